import time

import numpy as np
import pytest
from prefect.client.orchestration import get_client

from flows.preprocess import preprocess
from lidcflow.catalog.series import Catalog, State
from lidcflow.config import ClusterConfig, Config, NodulesConfig, PreprocessConfig
from lidcflow.errors import SourceError, StoreMismatch
from lidcflow.store.volumes import VolumeStore

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def config(tmp_path, address):
    return Config(
        workspace=tmp_path / "workspace",
        patient_key="public",
        preprocess=PreprocessConfig(slices=8, size=16),
        cluster=ClusterConfig(place=address, batch_size=2),
    )


@pytest.fixture
def source(tmp_path, ct_series):
    """A folder of three usable series, one that is too short, and one of MR."""
    for name in ("a", "b", "c"):
        ct_series(tmp_path / "source" / name, patient_id="Lovelace", PatientName="Ada")
    ct_series(tmp_path / "source" / "short", n=3)
    ct_series(tmp_path / "source" / "mr", Modality="MR")
    return tmp_path / "source"


def read_from_prefect(path, body):
    with get_client(sync_client=True) as client:
        return client.request("POST", path, json=body).json()


def test_usable_series_end_in_the_store_and_the_others_in_the_report(source, config):
    report = preprocess(str(source), config)

    assert (report.found, report.usable, report.done, report.reused) == (4, 3, 3, 0)
    assert [series.reason for series in report.refused] == ["too-few-slices"]
    assert report.others == {"MR": 1}
    assert len(VolumeStore.of(config, create=True).series_uids()) == 3
    with Catalog(config.catalog) as catalog:
        assert catalog.counts() == {State.COMMITTED: 3, State.PASSED_OVER: 1, State.REFUSED: 1}


def test_a_second_run_reuses_all_and_works_on_what_is_new(source, config, ct_series):
    preprocess(str(source), config)
    ct_series(source / "d")

    report = preprocess(str(source), config)

    assert (report.done, report.reused) == (1, 3)


def test_a_store_without_candidates_is_completed_once_and_its_volumes_stay(source, config):
    preprocess(str(source), config.model_copy(update={"nodules": NodulesConfig(candidates=False)}))
    store = VolumeStore.of(config)
    digests = {uid: store.summary(uid).volume_digest for uid in store.series_uids()}
    before = [store.summary(uid).candidates for uid in digests]

    completing, again = preprocess(str(source), config), preprocess(str(source), config)

    assert before == [0, 0, 0]
    assert (completing.done, completing.reused, completing.completed, completing.verified) == (0, 3, 3, 0)
    assert (again.done, again.reused, again.completed) == (0, 3, 0)
    assert {uid: store.summary(uid).volume_digest for uid in store.series_uids()} == digests
    assert all(store.read_candidates(uid) is not None for uid in digests)


def test_a_lost_catalog_is_filled_again_by_a_run_that_has_nothing_else_to_do(source, config):
    preprocess(str(source), config)
    (config.workspace / "catalog.db").unlink()

    preprocess(str(source), config)

    with Catalog(config.catalog) as catalog:
        assert catalog.counts() == {State.COMMITTED: 3, State.PASSED_OVER: 1, State.REFUSED: 1}


def test_without_an_address_a_cluster_of_its_own_does_the_work(source, config):
    alone = config.model_copy(update={"cluster": ClusterConfig(workers=1)})

    assert preprocess(str(source), alone).done == 3


def test_the_run_shows_refused_series_progress_and_one_event_for_each_series(source, config):
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    refused_before = read_from_prefect("/artifacts/count", {"artifacts": {"key": {"any_": ["refused-series"]}}})

    preprocess(str(source), config)

    refused = read_from_prefect("/artifacts/count", {"artifacts": {"key": {"any_": ["refused-series"]}}})
    assert refused == refused_before + 1
    newest = {"artifacts": {"key": {"any_": ["preprocess-progress"]}}, "sort": "CREATED_DESC", "limit": 1}
    assert [bar["data"] for bar in read_from_prefect("/artifacts/filter", newest)] == [100.0]
    assert eventually(lambda: committed_events(started) >= 3)


def committed_events(since):
    wanted = {"filter": {"event": {"name": ["lidcflow.series.committed"]}, "occurred": {"since": since}}}
    return read_from_prefect("/events/filter", wanted)["total"]


def eventually(holds, within_s=60.0):
    end_s = time.monotonic() + within_s
    while not holds() and time.monotonic() < end_s:
        time.sleep(0.2)
    return holds()


def test_who_the_patient_is_stays_in_the_source(source, config):
    preprocess(str(source), config)

    written = [file.read_bytes() for file in config.workspace.rglob("*") if file.is_file()]
    assert written
    assert not any(word in content for content in written for word in (b"Lovelace", b"Ada", b"000001.dcm"))


def test_a_store_of_another_configuration_stops_the_run_before_it_starts(source, config):
    VolumeStore(config.store_root, PreprocessConfig(slices=9))

    with pytest.raises(StoreMismatch):
        preprocess(str(source), config)

    assert not (config.workspace / "catalog.db").exists()


def test_a_missing_source_leaves_nothing_behind(tmp_path, config):
    with pytest.raises(SourceError, match="must be a folder or a list file of this machine"):
        preprocess(str(tmp_path / "nowhere"), config)

    assert not config.workspace.exists()


def test_wrong_pixels_are_told_in_the_report_and_the_catalog_also_of_a_volume_that_is_reused(source, config, ct_series):
    chest = np.full((10, 32, 32), -1000)
    chest[:, 4:28, 4:28] = 40
    chest[:, 8:24, 6:26] = -800
    chest += np.random.default_rng(0).integers(-20, 20, chest.shape)
    chest[4] = -1024
    ct_series(source / "blank", hu=chest, series_uid="1.2.77")
    ct_series(source / "empty", hu=0, series_uid="1.2.78")

    first, second = preprocess(str(source), config), preprocess(str(source), config)

    flagged = {one.series_instance_uid: one for one in first.flagged}
    assert flagged["1.2.77"].flags == ("blank-slices",)
    assert "1 of its 10 images holds one constant value: images 5" in flagged["1.2.77"].sentence
    assert second.flagged == first.flagged
    assert [(one.series_instance_uid, one.reason) for one in first.refused if one.reason == "blank"] == [
        ("1.2.78", "blank")
    ]
    with Catalog(config.catalog) as catalog:
        assert {row.series_instance_uid: row.flags for row in catalog.rows()}["1.2.77"] == ["blank-slices"]
