"""What `make bench` makes of the ratios of its benchmarks."""

import json
from pathlib import Path

import pytest

from benchmarks import figures, run
from benchmarks.run import BEGIN, END, Figure, print_figures, table, with_table

SCRIPTS = Path(run.__file__).parent


@pytest.fixture
def one_benchmark(tmp_path, monkeypatch):
    """A benchmark of its own in a folder of its own, and a page."""
    (tmp_path / "benchmarks").mkdir()
    script = (SCRIPTS / "figures.py").read_text() + 'record_ratio("rival by ours", 3.0)\nprint("done")\n'
    (tmp_path / "benchmarks" / "quick.py").write_text(script)
    (tmp_path / "page.md").write_text(f"# Page\n\n{BEGIN}\n\nold\n\n{END}\n\nrest\n")
    places = {"ROOT": tmp_path, "OUTPUT": tmp_path / "output", "PAGE": tmp_path / "page.md"}
    for name, place in {**places, "RECORDED": tmp_path / "recorded.json", "SMALL": {"quick": ("--small",)}}.items():
        monkeypatch.setattr(run, name, place)
    monkeypatch.setattr("sys.argv", ["run"])
    return tmp_path


def test_a_run_writes_its_ratios_with_their_command_into_the_page(one_benchmark, capsys):
    run.main()

    page = (one_benchmark / "page.md").read_text()
    assert "| `python benchmarks/quick.py --small` | rival by ours | 3.00 |" in page
    assert "old" not in page
    assert page.startswith("# Page\n")
    assert page.endswith("\n\nrest\n")
    assert (one_benchmark / "output" / "quick.txt").read_text() == "done\n"
    assert json.loads((one_benchmark / "recorded.json").read_text())["quick"]["figures"] == {"rival by ours": 3.0}
    assert "rival by ours: 3.00\n" in capsys.readouterr().out


def test_a_ratio_that_fell_by_more_than_a_fifth_is_shown(one_benchmark, capsys):
    run.main()
    script = one_benchmark / "benchmarks" / "quick.py"
    script.write_text(script.read_text().replace("3.0", "2.3"))

    run.main()

    assert "rival by ours: 2.30, before 3.00  FELL" in capsys.readouterr().out


def test_a_benchmark_that_fails_is_named_and_the_recorded_ratios_stay(one_benchmark):
    run.main()
    (one_benchmark / "benchmarks" / "quick.py").write_text("raise SystemExit(1)")

    with pytest.raises(SystemExit, match="without a figure: quick"):
        run.main()

    assert "rival by ours | 3.00" in (one_benchmark / "page.md").read_text()


@pytest.mark.parametrize(
    ("value", "recorded", "lower_is_better", "fell"),
    [(8.1, 10.0, False, False), (7.9, 10.0, False, True), (1.2, 1.0, True, False), (1.3, 1.0, True, True)],
)
def test_a_ratio_fell_where_it_is_worse_by_more_than_a_fifth(value, recorded, lower_is_better, fell):
    assert Figure("a", value, lower_is_better).fell(recorded) is fell
    assert not Figure("a", value, lower_is_better).fell(None)


def test_a_benchmark_by_itself_records_nothing(tmp_path, monkeypatch):
    monkeypatch.delenv(figures.FILE, raising=False)
    monkeypatch.chdir(tmp_path)

    figures.record_ratio("rival by ours", 2.0)

    assert list(tmp_path.iterdir()) == []


def test_runs_of_two_days_are_two_tables():
    one = {"command": "python benchmarks/a.py", "date": "2026-01-01", "machine": "2 cores", "figures": {"x": 1.0}}
    written = table({"a": one, "b": {**one, "date": "2026-01-02"}})

    assert written.count("| Command | Compared | Ratio |") == 2


def test_a_page_without_marks_is_an_error():
    with pytest.raises(ValueError, match="must have the lines"):
        with_table("# Page\n", "table")


def test_every_benchmark_is_run_small_or_named_as_one_by_hand():
    scripts = {file.stem for file in SCRIPTS.glob("*.py")} - {"__init__", "run", "figures"}

    assert set(run.SMALL) | set(run.BY_HAND) == scripts


def test_a_run_without_figures_is_told_as_failed(capsys):
    print_figures("quick", [], {}, 1.0)

    assert capsys.readouterr().out == "quick, 1 s: failed\n"
