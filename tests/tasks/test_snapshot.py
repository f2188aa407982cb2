"""The plan of a training on many series, which Prefect keeps as a parameter of a flow."""

import hashlib

import numpy as np
from prefect.settings import get_current_settings

from lidcflow.config import Config, PreprocessConfig
from lidcflow.learn.snapshot import build_snapshot
from lidcflow.pixels.noticed import PixelFaults
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.release.pins import BackbonePin
from lidcflow.series.find import index_folder
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume.reduce import reduce_series
from tasks.labels import fit_for_learning
from tasks.snapshot import _plan

SMALL = PreprocessConfig(size=16, slices=10)
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


def test_volumes_whose_pixels_look_wrong_are_not_learned_from(tmp_path, ct_series):
    store = VolumeStore(tmp_path / "store", SMALL)
    noise = np.random.default_rng(0).integers(-1000, 400, (10, 32, 32))
    for uid, value in {"1.2.1": noise[4], "1.2.2": -1024}.items():
        hu = noise.copy()
        hu[4] = value
        (series,) = index_folder(ct_series(tmp_path / uid, hu=hu, series_uid=uid), secret=PUBLIC_KEY).usable
        store.write(series, reduce_series(series, SMALL))
    stored = list(store.summaries(store.series_uids()))

    assert [volume.flags for volume in stored] == [(), ("blank-slices",)]
    assert [volume.series_instance_uid for volume in fit_for_learning(stored)] == ["1.2.1"]
    assert store.record("1.2.2").noticed.blank_slices == (4,)
    assert store.record("1.2.1").noticed == PixelFaults()
