"""Rounds through the inbox when files are exchanged, repaired or only touched."""

import os
import shutil

import numpy as np
import pytest

from flows.inbox import inbox_report
from lidcflow.config import DeliveryConfig
from lidcflow.inbox.ledger import Ledger


@pytest.fixture
def config(released, tmp_path):
    """The configuration of a workspace that reads one folder and delivers to another one."""
    (tmp_path / "out").mkdir()
    delivery = DeliveryConfig(to=(str(tmp_path / "out"),), settle_s=0, first_delay_s=0.001)
    own = {"workspace": tmp_path / "workspace", "inbox": str(tmp_path / "in"), "delivery": delivery}
    return released.model_copy(update=own)


def go_round(config):
    report = inbox_report(config)
    return report.delivered, report.refused, report.failed, report.waiting


def bring(folder, made, time_s=315532800):
    """Unpack an export: the same names and one fixed time."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(made, folder)
    for path in folder.iterdir():
        os.utime(path, (time_s, time_s))


def test_a_second_patients_study_under_the_same_names_sizes_and_times_is_answered(config, ct_series, tmp_path):
    first = ct_series(tmp_path / "first", series_uid="1.2.3", patient_id="P1")
    second = ct_series(tmp_path / "second", series_uid="1.2.4", patient_id="P2")

    bring(tmp_path / "in" / "export", first)
    answers = [go_round(config)]
    bring(tmp_path / "in" / "export", second)
    answers.append(go_round(config))

    assert answers == [(1, 0, 0, 0)] * 2
    with Ledger(config.catalog) as ledger:
        assert {row.series_instance_uid for row in ledger.rows()} == {"1.2.3", "1.2.4"}


def test_repaired_pixels_get_a_reading_of_their_own_and_touched_files_none(config, ct_series, tmp_path):
    folder = tmp_path / "in" / "export"
    halves = np.where(np.arange(32) < 16, -500, 40) + np.zeros((32, 1), dtype=int)
    incomplete = ct_series(tmp_path / "a", hu=lambda i: halves if i < 4 else -1024, series_uid="1.2.3")
    complete = ct_series(tmp_path / "b", hu=lambda i: halves + i, series_uid="1.2.3")

    bring(folder, incomplete)
    answers = [go_round(config), go_round(config)]
    for path in folder.iterdir():
        path.chmod(0o600)
    answers.append(go_round(config))
    bring(folder, complete)
    answers += [go_round(config), go_round(config)]

    assert answers == [(1, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0), (1, 0, 0, 0), (0, 0, 0, 0)]
