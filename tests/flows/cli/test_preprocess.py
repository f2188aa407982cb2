import csv
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from prefect.settings import get_current_settings

from flows.cli import main
from lidcflow.config.file import load_config
from tests.truth import check_truth

pytestmark = pytest.mark.usefixtures("tiny_volumes")


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


def test_a_dry_run_counts_what_would_be_done_and_stores_nothing(lidcflow, source, tmp_path):
    done = lidcflow("preprocess", source, "--dry-run", "--json")

    cost = json.loads(done.stdout)
    assert (cost["found"], cost["waiting"], cost["refused"], cost["stored"]) == (2, 1, 1, 0)
    assert (cost["images"], cost["workers"]) == (10, 1)
    assert cost["minutes"] == pytest.approx((10 * 0.016336 + 0.0384) / 60, abs=0.005)
    assert "about 0.0 min on 1 processes" in lidcflow("preprocess", source, "--dry-run").stdout
    assert not (tmp_path / "workspace" / "store").exists()


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
    while not list(folder.glob("series/[0-9]*")) and running.poll() is None:
        time.sleep(0.05)

    os.killpg(running.pid, signal.SIGINT)
    _, said = running.communicate(timeout=60)

    assert running.returncode == 130, said.decode()
    assert b"Traceback" not in said
    assert b"stopped by Ctrl-C: every file is whole; run the command again for the rest\n" in said
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
