"""The plan of a training on many series, which Prefect keeps as a parameter of a flow."""

import hashlib

import numpy as np
from prefect.settings import get_current_settings

from lidcflow.config import Config
from lidcflow.learn.dataset import build_snapshot
from lidcflow.learn.release import BackbonePin
from tasks.snapshot import _plan

SERIES = 12_000
BACKBONE = BackbonePin(id="compact-ab", kind="compact", digest="ab", input="gray", size=16)


class Volume:
    def __init__(self, number):
        self.series_instance_uid = f"1.3.6.1.4.1.14519.5.2.1.7009.9004.{10**20 + number}"
        self.patient_key = hashlib.sha256(str(number).encode()).hexdigest()[:16]
        self.volume_digest = "d" * 64


def test_a_plan_of_many_series_is_no_more_than_prefect_takes(tmp_path):
    volumes = [Volume(number) for number in range(SERIES)]
    labels = {volume.series_instance_uid: np.array([0, 1, 2], np.int8) for volume in volumes}
    config, file = Config(workspace=tmp_path), tmp_path / "snapshot.parquet"
    snapshot = build_snapshot(volumes, labels, config.split)
    snapshot.save(file)

    plan = _plan(config, snapshot, file, BACKBONE, synthetic=True)

    assert len(plan.model_dump_json()) < get_current_settings().server.api.max_parameter_size / 10
    assert plan.series == SERIES
    assert plan.series_uids == tuple(volume.series_instance_uid for volume in volumes)
