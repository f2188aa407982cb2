import csv
import json
import sys

import pytest
from typer.testing import CliRunner

from flows.cli import app, main
from lidcflow.config import PreprocessConfig
from lidcflow.privacy import PUBLIC_KEY, hash_patient_id
from lidcflow.series.find import index_folder
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume.reduce import reduce_series

HEADER = "series_instance_uid,z_mm,reader,malignancy\n"


@pytest.fixture
def lidcflow(tmp_path, monkeypatch):
    """Run a command in a folder of its own whose configuration makes tiny volumes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lidcflow.toml").write_text('workspace = "workspace"\n[preprocess]\nslices = 10\nsize = 16\n')
    return lambda *arguments: CliRunner().invoke(app, ["labels", *map(str, arguments)])


@pytest.fixture
def stored(tmp_path, ct_series):
    """Store series 1.2.3 and 1.2.4 of the patient Lovelace; each has a slab for every image."""
    config = PreprocessConfig(slices=10, size=16)
    store = VolumeStore(tmp_path / "workspace" / "store", config)
    for uid in ("1.2.3", "1.2.4"):
        ct_series(tmp_path / "ct" / uid, series_uid=uid, patient_id="Lovelace")
    for series in index_folder(tmp_path / "ct", secret=PUBLIC_KEY).usable:
        store.write(series, reduce_series(series, config))


def rows_of(file):
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.usefixtures("stored")
def test_own_readings_label_what_is_stored_and_name_no_patient(lidcflow, tmp_path):
    (tmp_path / "own.csv").write_text(HEADER + "1.2.3,45,A,4\n1.2.4,,A,\n")

    done = lidcflow("--source", "own.csv", "--out", "out.csv")

    assert done.exit_code == 0
    assert "1 readings in files; 1 nodules in 2 labelled series, in out.csv" in done.stdout
    assert rows_of(tmp_path / "out.csv") == [
        {"patient_key": hash_patient_id("Lovelace", PUBLIC_KEY), "series_instance_uid": uid, "labels": labels}
        for uid, labels in (("1.2.3", "0020000000"), ("1.2.4", "0000000000"))
    ]


@pytest.mark.usefixtures("stored")
def test_rows_that_disagree_are_shown_and_reported_and_exit_3(lidcflow, tmp_path):
    (tmp_path / "own.csv").write_text(HEADER + "1.2.3,45,A,4\n1.2.4,99,A,4\n1.2.5,45,A,4\n")

    done = lidcflow("--source", "own.csv", "--report", "report.csv")

    assert done.exit_code == 3
    assert "2 rows not used: 1 z-outside, 1 unknown-series" in done.stdout
    assert "1 left out" in done.stdout
    reported = rows_of(tmp_path / "report.csv")
    assert [(row["kind"], row["file"], row["row"], row["reason"], row["series_instance_uid"]) for row in reported] == [
        ("csv", "own.csv", "line 3", "z-outside", "1.2.4"),
        ("csv", "own.csv", "line 4", "unknown-series", "1.2.5"),
    ]
    assert "must lie within its series" in reported[0]["sentence"]


@pytest.mark.usefixtures("stored")
def test_as_json_there_is_json_alone(lidcflow, tmp_path):
    (tmp_path / "own.csv").write_text(HEADER + "1.2.3,45,A,4\n")

    done = lidcflow("--source", "own.csv", "--json")

    facts = json.loads(done.stdout)
    assert (facts["series"], facts["nodules"], facts["readings"]) == (1, 1, 1)
    assert [problem["reason"] for problem in facts["problems"]] == ["not-read"]


@pytest.mark.usefixtures("stored")
def test_the_source_of_the_configuration_is_used_and_may_be_a_list(lidcflow, tmp_path):
    (tmp_path / "a.csv").write_text(HEADER + "1.2.3,45,A,4\n")
    (tmp_path / "b.csv").write_text(HEADER + "1.2.4,45,A,1\n")
    with (tmp_path / "lidcflow.toml").open("a") as stream:
        stream.write('[labels]\nsource = ["lidc", "a.csv", "b.csv"]\n')

    done = lidcflow("--out", "out.csv")

    assert done.exit_code == 0
    assert [row["labels"] for row in rows_of(tmp_path / "out.csv")] == ["0020000000", "0010000000"]


@pytest.mark.usefixtures("stored", "lidcflow")
def test_without_any_label_the_report_is_written_and_one_sentence_said(tmp_path, monkeypatch, capsys):
    (tmp_path / "own.csv").write_text(HEADER + "1.2.9,45,A,4\n")
    monkeypatch.setattr(sys, "argv", ["lidcflow", "labels", "--source", "own.csv", "--report", "report.csv"])

    with pytest.raises(SystemExit) as left:
        main()

    assert left.value.code == 1
    assert "at least one of the 2 stored series must have readings that fit" in capsys.readouterr().err
    assert [row["reason"] for row in rows_of(tmp_path / "report.csv")] == ["unknown-series", "not-read", "not-read"]
    assert not (tmp_path / "labels.csv").exists()


@pytest.mark.usefixtures("lidcflow")
def test_without_a_store_own_readings_can_not_be_matched(tmp_path, monkeypatch, capsys):
    (tmp_path / "own.csv").write_text(HEADER + "1.2.9,45,A,4\n")
    monkeypatch.setattr(sys, "argv", ["lidcflow", "labels", "--source", "own.csv"])

    with pytest.raises(SystemExit) as left:
        main()

    assert left.value.code == 1
    assert "error: store" in capsys.readouterr().err


def test_labels_are_written_for_every_series_of_lidc(lidcflow, tmp_path):
    done = lidcflow("--out", tmp_path / "out.csv")

    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert done.exit_code == 0
    assert lines[0] == "patient_id,series_instance_uid,labels"
    assert len(lines) == 1 + 1018
