import json

from lidcflow.config.file import load_config
from lidcflow.errors import ReleaseError
from tasks.tracking.connection import Tracking
from tasks.tracking.erasure import mark_release
from tests.published import publish


def test_a_workspace_without_a_release_says_what_to_run_and_stays_empty(lidcflow, tmp_path):
    done = lidcflow("releases")

    assert (done.exit_code, done.stdout) == (0, "There is no release yet; run `lidcflow train`.\n")
    assert list(tmp_path.iterdir()) == []


def test_one_release_is_shown_as_its_card_or_its_record(lidcflow, figured):
    publish(figured)

    card = lidcflow("releases", 1).stdout
    record = json.loads(lidcflow("releases", "1", "--json").stdout)

    assert card.startswith("# lidcflow version 1\n\nRecommends slices of chest CT")
    assert "## Limits" in card
    assert record["gate"] == {"passed": True, "reason": "better", "compared_with": "sector prior", "checks": []}


def test_the_embedded_release_is_shown_in_an_empty_workspace_as_its_card_or_its_record(lidcflow, tmp_path):
    card = lidcflow("releases", "embedded")
    record = json.loads(lidcflow("releases", "embedded", "--json").stdout)

    assert (card.exit_code, card.stdout[:27]) == (0, "# lidcflow-embedded version")
    for expected in ("LIDC-IDRI", "CC BY 3.0", "| validation |", "not a medical device"):
        assert expected in card.stdout
    assert (record["name"], record["nodules"]["detector"], record["sectors"]) == ("lidcflow-embedded", "embedded", [])
    assert list(tmp_path.iterdir()) == []


def test_the_embedded_release_has_no_files_to_export_or_to_pin(lidcflow):
    for options in (["--export", "out"], ["--pin"]):
        done = lidcflow("releases", "embedded", *options)

        assert done.exit_code == 2
        assert "are for trained releases" in " ".join(done.stderr.split())


def test_exporting_no_release_is_wrong_usage(lidcflow):
    done = lidcflow("releases", "--export", "out")

    assert done.exit_code == 2
    assert "which release?" in done.stderr


def test_a_release_is_exported_again_but_not_over_files_of_another_one(lidcflow, figured, tmp_path):
    for _ in range(2):
        publish(figured)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "own.txt").write_text("mine")

    assert [lidcflow("releases", 1, "--export", "facts").exit_code for _ in range(2)] == [0, 0]
    other, full = lidcflow("releases", 2, "--export", "facts"), lidcflow("releases", 2, "--export", "full")

    assert "facts must be a new or an empty folder, or hold an export of this release" in str(other.exception)
    assert str(other.exception).endswith("got files of another release; name another folder")
    assert str(full.exception).endswith("got other files; name another folder")
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["own.txt"]


def test_a_release_whose_data_were_erased_says_so_in_the_list(lidcflow, figured):
    publish(figured)
    mark_release(Tracking.of(load_config()), 1, "e1", "1 series of 1 patient in its snapshot were erased on 2026-11-24")

    (listed,) = json.loads(lidcflow("releases", "--json").stdout)
    refused = lidcflow("promote", 1)

    assert listed["erased"] == ["1 series of 1 patient in its snapshot were erased on 2026-11-24"]
    rows = [line.split("│") for line in lidcflow("releases").stdout.splitlines() if line.count("│") > 2]
    assert "were erased on 2026-11-24" in " ".join(cells[-2].strip() for cells in rows)
    assert isinstance(refused.exception, ReleaseError)
