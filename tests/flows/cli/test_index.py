import csv
import json
import shutil

import pytest

pytestmark = pytest.mark.usefixtures("tiny_volumes")


def test_index_lists_each_series_with_its_verdict_and_exits_3_when_one_is_refused(lidcflow, source):
    done = lidcflow("index", source)

    assert done.exit_code == 3
    assert "2 series, 1 usable" in done.stdout
    assert "too-few-slices" in done.stdout
    assert "not-ct" not in done.stdout
    assert "Beside CT: 1 MR series, passed over" in done.stdout
    assert "Research use only" in done.stdout


def test_index_as_json_is_json_alone_and_names_no_patient_or_path(lidcflow, source):
    done = lidcflow("index", source, "--json")

    found = json.loads(done.stdout)
    assert [series["reason"] for series in found["series"]].count("usable") == 1
    assert "Lovelace" not in done.stdout
    assert str(source) not in done.stdout


def test_index_writes_a_csv_file_beside_what_it_prints(lidcflow, source, tmp_path):
    lidcflow("index", source, "--csv", tmp_path / "index.csv")

    with (tmp_path / "index.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert sorted(row["reason"] for row in rows) == ["too-few-slices", "usable"]


def test_a_source_of_usable_series_exits_0(lidcflow, source):
    assert lidcflow("index", source / "good").exit_code == 0


def test_what_is_no_ct_is_counted_by_modality_and_ends_no_command_in_3(lidcflow, source, ct_series):
    shutil.rmtree(source / "short")
    ct_series(source / "x-ray", n=1, Modality="DX", SOPClassUID="1.2.840.10008.5.1.4.1.1.1.1")
    ct_series(source / "scout", n=2, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])

    counted = lidcflow("index", source, "--json")
    everything = lidcflow("index", source, "--all", "--csv", "all.csv")

    assert (counted.exit_code, everything.exit_code) == (0, 0)
    assert json.loads(counted.stdout)["others"] == {"DX": 1, "MR": 1, "localizer": 1}
    assert [row["modality"] for row in json.loads(counted.stdout)["series"]] == ["CT"]
    with open("all.csv", newline="") as stream:
        assert sorted(row["modality"] for row in csv.DictReader(stream)) == ["CT", "DX", "MR", "localizer"]


def test_a_source_of_other_modalities_alone_is_told_with_their_number(lidcflow, source):
    done = lidcflow("index", source / "mr")

    assert done.exit_code == 1
    assert "must hold CT series, got 1 MR series and no CT; name the folder" in str(done.exception)
    assert lidcflow("index", source / "mr", "--all").exit_code == 0
