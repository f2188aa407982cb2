import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest
from prefect.settings import get_current_settings
from typer.testing import CliRunner

from flows.cli import app, main
from lidcflow.config.file import load_config
from tests.truth import check_truth


@pytest.fixture
def lidcflow(tmp_path, monkeypatch):
    """Run a command in a folder of its own whose configuration makes tiny volumes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lidcflow.toml").write_text(
        'workspace = "workspace"\n[preprocess]\nslices = 8\nsize = 16\n[cluster]\nworkers = 1\n'
    )
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def source(tmp_path, ct_series):
    ct_series(tmp_path / "source" / "good", patient_id="Lovelace")
    ct_series(tmp_path / "source" / "short", n=3)
    ct_series(tmp_path / "source" / "mr", Modality="MR")
    return tmp_path / "source"


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


@pytest.mark.usefixtures("prefect_server")
def test_preprocess_reports_and_a_second_time_reuses_everything(lidcflow, source):
    first = lidcflow("preprocess", source, "--json", "--csv", "aside.csv")
    again = lidcflow("preprocess", source)

    assert (first.exit_code, again.exit_code) == (3, 3)
    assert json.loads(first.stdout)["done"] == 1
    with open("aside.csv", newline="") as stream:
        assert [row["reason"] for row in csv.DictReader(stream)] == ["too-few-slices"]
    assert json.loads(first.stdout)["others"] == {"MR": 1}
    assert "0 preprocessed, 1 reused unchanged, 1 set aside" in again.stdout


def test_labels_are_written_for_every_series_of_lidc(lidcflow, tmp_path):
    done = lidcflow("labels", "--out", tmp_path / "out.csv")

    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert done.exit_code == 0
    assert lines[0] == "patient_id,series_instance_uid,labels"
    assert len(lines) == 1 + 1018


def test_more_phantoms_than_there_are_scans_is_wrong_usage(lidcflow, tmp_path):
    done = lidcflow("phantom", tmp_path / "phantoms", "--series", "1000", "--max-slices", "60")

    assert done.exit_code == 2
    assert not (tmp_path / "phantoms").exists()


@pytest.mark.parametrize("command", ["index", "preprocess"])
def test_a_missing_source_is_one_sentence_and_leaves_nothing_behind(lidcflow, tmp_path, monkeypatch, capsys, command):
    monkeypatch.setattr(sys, "argv", ["lidcflow", command, str(tmp_path / "nowhere")])

    with pytest.raises(SystemExit) as left:
        main()

    assert left.value.code == 1
    assert capsys.readouterr().err.strip().splitlines() == [
        f"error: source {tmp_path / 'nowhere'}: must be a folder or a list file of this machine, "
        "s3://bucket/prefix, pacs:name, https://host/dicom-web or idc:name, got nothing; check the path"
    ]
    assert not (tmp_path / "workspace").exists()


@pytest.mark.usefixtures("lidcflow", "prefect_server")
def test_ctrl_c_ends_every_process_and_leaves_whole_volumes(tmp_path, ct_series):
    for number in range(40):
        ct_series(tmp_path / "source" / str(number))
    folder = tmp_path / "workspace" / "store"
    environment = {**os.environ, "PREFECT_API_URL": str(get_current_settings().api.url)}
    # A shell's background job ignores SIGINT, and hands that down: as at a terminal, it interrupts here.
    interrupted = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"if __name__ == '__main__': {interrupted}; from flows.cli import main; main()"
    (tmp_path / "run.py").write_text(program)
    running = subprocess.Popen(
        [sys.executable, "run.py", "preprocess", "source"],
        env=environment,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    while not list(folder.glob("series/*")) and running.poll() is None:
        time.sleep(0.05)

    os.killpg(running.pid, signal.SIGINT)
    _, said = running.communicate(timeout=60)

    assert running.returncode == 130, said.decode()
    assert b"Traceback" not in said
    assert none_left(running.pid, within_s=20.0)
    assert 0 < len(check_truth(load_config(tmp_path / "lidcflow.toml"))) < 40


def none_left(group, within_s):
    end_s = time.monotonic() + within_s
    while any(belongs_to(process, group) for process in psutil.process_iter()) and time.monotonic() < end_s:
        time.sleep(0.1)
    return not any(belongs_to(process, group) for process in psutil.process_iter())


def belongs_to(process, group):
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False
