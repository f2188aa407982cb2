import pandas as pd

from lidcflow.erase.workspace_files import VALIDATION_ROWS, kept_trainings
from lidcflow.learn import train


def test_sectors_of_unfinished_trainings_are_found_by_the_series_that_they_were_measured_on(tmp_path):
    for sector, uid in (("sector-01-of-05", "1.2"), ("sector-02-of-05", "1.3")):
        folder = tmp_path / "abc" / sector
        folder.mkdir(parents=True)
        pd.DataFrame({"series_instance_uid": [uid]}).to_parquet(folder / VALIDATION_ROWS)

    assert kept_trainings(tmp_path, ["1.3"]) == [tmp_path / "abc" / "sector-02-of-05"]
    assert kept_trainings(tmp_path / "none", ["1.3"]) == []


def test_the_rows_of_a_kept_sector_have_the_name_that_an_erasure_looks_for():
    assert train.ROWS == VALIDATION_ROWS
