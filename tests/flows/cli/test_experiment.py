import json


def test_experiments_are_listed_with_ones_own(lidcflow, tmp_path):
    (tmp_path / "lidcflow.toml").write_text('[experiments.mine]\ngrid = { "train.seed" = [3, 4] }\n')

    listed = json.loads(lidcflow("experiment", "--list", "--json").stdout)["experiments"]

    arms = {one["name"]: one["arms"] for one in listed}
    assert arms["mine"] == ["as configured, seed 3", "as configured, seed 4"]
    assert arms["paper"] == ["baseline", "1 sector", "13 sectors", "64 x 64"]
    assert "Do more sectors help" in lidcflow("experiment", "--list").stdout


def test_an_unknown_experiment_is_told_before_anything_starts(lidcflow, tmp_path):
    done = lidcflow("experiment", "papre")

    assert done.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_an_experiment_without_a_name_is_wrong_usage(lidcflow):
    assert lidcflow("experiment").exit_code == 2
