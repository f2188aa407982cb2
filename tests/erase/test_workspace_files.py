"""Which files of a workspace tell of a series."""

import pandas as pd
import pytest

from lidcflow.erase.workspace_files import (
    VALIDATION_ROWS,
    delete_folders,
    files_that_name,
    is_inside,
    kept_trainings,
    report_folders,
    require_inside,
)
from lidcflow.errors import ErasureError
from lidcflow.learn import train


def test_sectors_of_unfinished_trainings_are_found_by_the_series_that_they_were_measured_on(tmp_path):
    for sector, uid in (("sector-01-of-05", "1.2"), ("sector-02-of-05", "1.3")):
        folder = tmp_path / "abc" / sector
        folder.mkdir(parents=True)
        pd.DataFrame({"series_instance_uid": [uid]}).to_parquet(folder / VALIDATION_ROWS)

    assert kept_trainings(tmp_path, ["1.3"]) == [tmp_path / "abc" / "sector-02-of-05"]
    assert kept_trainings(tmp_path / "none", ["1.3"]) == []


def test_a_sector_whose_rows_were_cut_short_may_be_of_any_series(tmp_path):
    (tmp_path / "abc" / "sector-01-of-05").mkdir(parents=True)
    (tmp_path / "abc" / "sector-01-of-05" / VALIDATION_ROWS).write_bytes(b"PAR1")

    assert kept_trainings(tmp_path, ["1.3"]) == [tmp_path / "abc" / "sector-01-of-05"]


def test_the_rows_of_a_kept_sector_have_the_name_that_an_erasure_looks_for():
    assert train.ROWS == VALIDATION_ROWS


def test_nothing_is_deleted_where_a_link_leads_out_of_the_workspace(tmp_path):
    workspace, outside = tmp_path / "workspace", tmp_path / "outside"
    (workspace / "store").mkdir(parents=True)
    outside.mkdir()
    (workspace / "reports").symlink_to(outside)

    require_inside(workspace / "store", workspace)
    with pytest.raises(ErasureError) as refused:
        require_inside(workspace / "reports", workspace)

    assert str(refused.value) == (
        f"erase: reports must lie in the workspace {workspace}, but a link leads out of it; put a mount there instead "
        "of the link, for a copy of the workspace would delete what belongs to the original"
    )
    assert not is_inside(outside, workspace)


def test_answers_are_found_below_every_study_and_what_a_link_leads_to_is_not_ours(tmp_path):
    for folder in ("9.2/1.2", "9.1/1.2", "9.1/1.3", "9.1/1.4"):
        (tmp_path / "reports" / folder).mkdir(parents=True)
    (tmp_path / "reports" / "linked").symlink_to(tmp_path / "reports" / "9.1")
    (tmp_path / "reports" / "9.2" / "1.3").symlink_to(tmp_path / "reports" / "9.1" / "1.3")
    (tmp_path / "reports" / "index.html").write_text("")

    found = report_folders(tmp_path / "reports", ["1.3", "1.2"])

    assert [str(folder.relative_to(tmp_path / "reports")) for folder in found] == ["9.1/1.2", "9.1/1.3", "9.2/1.2"]
    assert report_folders(tmp_path / "none", ["1.2"]) == []


def test_a_study_goes_with_its_last_answer(tmp_path):
    for folder in ("9.1/1.2", "9.1/1.3", "9.2/1.2"):
        (tmp_path / folder).mkdir(parents=True)

    delete_folders([tmp_path / "9.1" / "1.2", tmp_path / "9.2" / "1.2"])

    assert sorted(str(folder.relative_to(tmp_path)) for folder in tmp_path.rglob("*")) == ["9.1", "9.1/1.3"]


def test_a_text_names_a_series_between_quotes_only(tmp_path):
    (tmp_path / "b.json").write_text('{"series": "1.2"}')
    (tmp_path / "a.json").write_text('["1.3", "1.2"]')
    (tmp_path / "c.json").write_text('{"series": "1.2.3"}')
    (tmp_path / "d.txt").write_text('"1.2"')

    assert files_that_name(tmp_path, "*.json", ["1.9", "1.2"]) == [tmp_path / "a.json", tmp_path / "b.json"]
    assert files_that_name(tmp_path / "none", "*.json", ["1.2"]) == []
