"""What a release says of a series with, and without, stored nodule candidates."""

from types import SimpleNamespace

import numpy as np
import pytest

from lidcflow.errors import ReleaseError
from lidcflow.nodules.join_weights import JoinWeights
from lidcflow.nodules.malignancy import embedded_malignancy
from lidcflow.nodules.segmenter import embedded_segmenter
from lidcflow.nodules.slice_scores import best_in_slices, join_slices
from lidcflow.nodules.table import CANDIDATE, CHANNELS, SCHEMA
from lidcflow.release.embedded import embedded_pin
from lidcflow.release.pins import EMBEDDED, NodulePin
from lidcflow.report.recommendation import SeriesWarning
from lidcflow.store.arrays import CandidateArrays
from tasks import findings as module
from tasks.findings import (
    SliceScores,
    could_have_candidates_now,
    detector_of,
    is_unlike,
    join_candidates,
    systems_of,
)
from tests.nodules.detectors import small_detector  # noqa: F401
from tests.nodules.examples import finding
from tests.nodules.small_record import small_record

HEIGHTS = ((0.8, 0.1, 0.1), (0.6, 0.2, 0.2), (0.7, 0.1, 0.2), (0.9, 0.05, 0.05))
OWN = np.array([[0.9, 0.05, 0.05], [0.9, 0.05, 0.05], [0.5, 0.25, 0.25], [0.9, 0.05, 0.05]])
WITH_SECTORS, WITH_HEIGHT = (
    JoinWeights(bias=0.5, slices=1, candidates=1),
    JoinWeights(bias=1, slices=0.5, candidates=1),
)
KERNEL, HU, FEATURES = (
    SeriesWarning(code=f"unlike-training-{name}", sentence="") for name in ("kernel", "hu", "features")
)


@pytest.fixture
def pin():
    return NodulePin(
        detector=EMBEDDED,
        version=1,
        sha256="ab",
        threshold=0.5,
        with_sectors=WITH_SECTORS,
        with_height=WITH_HEIGHT,
        chest_height=HEIGHTS,
    )


@pytest.fixture
def release(release_record, pin):
    return release_record.model_copy(update={"nodules": pin})


@pytest.fixture
def sure(monkeypatch):
    """A detector whose P is the filter's score."""
    detector = SimpleNamespace(probabilities=lambda _, score: np.asarray(score, np.float64))
    monkeypatch.setattr(module, "detector_of", lambda *_: detector)


def stored(*candidates, flags=()):
    """A store whose series has candidates at (z in mm, score), or none were looked for."""
    table = np.zeros(len(candidates), CANDIDATE)
    for row, (z_mm, score) in zip(table, candidates, strict=True):
        row["z_mm"], row["score"], row["row"], row["column"], row["diameter_mm"] = z_mm, score, 20, 40, 6
    numbers = np.stack([table[name].astype(np.float32) for name in CANDIDATE.names], axis=1)
    attributes = {
        "schema": SCHEMA,
        "columns": list(CANDIDATE.names),
        "channels": list(CHANNELS),
        "sop_instance_uids": ["1.2.0"] * len(table),
        "flags": list(flags),
    }
    patches = np.arange(len(table), dtype=np.int16)[:, None, None, None, None] * np.ones((1, 2, 3, 48, 48), np.int16)
    return SimpleNamespace(read_candidates=lambda _, **__: CandidateArrays(attributes, numbers, patches))


NOT_LOOKED_FOR = SimpleNamespace(read_candidates=lambda _, **__: None)


def joined(release, store, probabilities, warnings):
    return join_candidates(release, store, small_record(), SliceScores(probabilities, warnings))


def codes(read):
    return [one.code for one in read.warnings]


def best(*candidates):
    z_mm, score = np.array(candidates, np.float64).T
    return best_in_slices(small_record().edges_mm, z_mm, np.full(len(z_mm), 6.0), np.asarray(score, np.float32))


@pytest.mark.usefixtures("sure")
def test_sector_models_and_candidates_are_joined_slice_by_slice(release):
    candidates = ((25.0, 0.75), (5.0, 0.25))

    read = joined(release, stored(*candidates), OWN, (KERNEL,))

    np.testing.assert_allclose(read.probabilities, join_slices(OWN, best(*candidates), WITH_SECTORS))
    assert read.warnings == (KERNEL,)


@pytest.mark.usefixtures("sure")
def test_findings_are_the_candidates_above_the_threshold_with_their_planes(release):
    read = joined(release, stored((25.0, 0.75), (5.0, 0.25), (15.0, 0.5)), OWN, ())

    assert [(one.z_mm, one.probability) for one in read.findings] == [(25.0, 0.75), (15.0, 0.5)]
    assert {rank: int(planes[0, 0, 0]) for rank, planes in read.planes.items()} == {1: 0, 2: 2}


@pytest.mark.usefixtures("sure")
@pytest.mark.parametrize("warning", [HU, FEATURES])
def test_the_embedded_release_reads_images_unlike_all_that_the_models_of_a_release_know(release, warning):
    embedded = embedded_pin(len(OWN))

    read = joined(release, stored((25.0, 0.75)), OWN, (warning,))

    height = np.array(embedded.chest_height)
    np.testing.assert_allclose(read.probabilities, join_slices(height, best((25.0, 0.75)), embedded.with_height))
    assert np.abs(read.probabilities - join_slices(np.array(HEIGHTS), best((25.0, 0.75)), WITH_HEIGHT)).max() > 0.01
    assert codes(read) == [warning.code, "sector-models-left-out"]
    assert "were not used" in read.warnings[-1].sentence


@pytest.mark.usefixtures("sure")
def test_a_release_without_sector_models_ranks_by_the_height_and_the_candidates(release):
    read = joined(release, stored((25.0, 0.75)), None, ())

    np.testing.assert_allclose(read.probabilities, join_slices(np.array(HEIGHTS), best((25.0, 0.75)), WITH_HEIGHT))
    assert (codes(read), len(read.findings)) == (["no-sector-models"], 1)


def test_without_candidates_the_slices_keep_the_scores_of_their_sector_models(release):
    read = joined(release, NOT_LOOKED_FOR, OWN, ())

    np.testing.assert_array_equal(read.probabilities, OWN)
    assert (codes(read), read.findings, read.planes) == (["no-candidates"], (), {})


def test_with_neither_candidates_nor_sector_models_the_height_alone_ranks(release):
    read = joined(release, NOT_LOOKED_FOR, None, ())

    np.testing.assert_array_equal(read.probabilities, HEIGHTS)
    assert codes(read) == ["no-sector-models", "no-candidates"]


@pytest.mark.parametrize(
    ("flag", "code"),
    [
        ("no-lungs", "no-lungs"),
        ("too-few-slices", "no-candidates-in-few-slices"),
        ("candidates-failed", "candidates-failed"),
    ],
)
def test_a_series_in_which_no_candidates_could_be_found_is_answered_with_the_reason(release, flag, code):
    read = joined(release, stored(flags=(flag,)), OWN, ())

    np.testing.assert_array_equal(read.probabilities, OWN)
    assert codes(read) == [code]
    assert "there are no findings" in read.warnings[0].sentence


@pytest.mark.usefixtures("sure")
def test_lungs_without_any_candidate_make_every_slice_less_likely(release):
    read = joined(release, stored(), OWN, ())

    assert (read.findings, read.warnings) == ((), ())
    assert (read.probabilities[:, 0] > OWN[:, 0]).all()


@pytest.mark.usefixtures("sure")
def test_more_candidates_than_are_kept_are_no_reason_to_warn(release):
    read = joined(release, stored((25.0, 0.75), flags=("candidates-cut",)), OWN, ())

    assert (len(read.findings), read.warnings) == (1, ())


def test_a_release_without_a_detector_reads_as_before(release_record):
    read = joined(release_record, NOT_LOOKED_FOR, OWN, (HU,))

    assert read.probabilities is OWN
    assert (read.warnings, read.findings, read.planes) == ((HU,), (), {})


def test_a_release_without_any_model_is_refused(release_record):
    with pytest.raises(ReleaseError, match=r"release lidcflow version 3: must have models"):
        joined(release_record, NOT_LOOKED_FOR, None, ())


def test_a_header_unlike_those_of_training_leaves_the_sector_models_their_say():
    assert not is_unlike([KERNEL])
    assert is_unlike([KERNEL, HU])


def test_the_detector_of_a_release_is_that_of_the_package(small_detector, pin):  # noqa: F811
    assert detector_of(pin.model_copy(update={"sha256": small_detector.sha256})) is small_detector


def test_another_detector_than_the_one_that_a_release_pins_is_refused(small_detector, pin):  # noqa: F811
    with pytest.raises(ReleaseError, match=rf"must have the digest ab, got {small_detector.sha256[:12]}"):
        detector_of(pin)
    with pytest.raises(ReleaseError, match="detector mine: must be embedded"):
        detector_of(pin.model_copy(update={"detector": "mine"}))


@pytest.mark.parametrize(
    ("code", "candidates", "now"),
    [("no-candidates", SCHEMA, True), ("no-candidates", 0, False), ("no-lungs", SCHEMA, False)],
)
def test_a_reading_without_candidates_is_made_again_when_they_are_there(code, candidates, now):
    said = SimpleNamespace(warnings=(SeriesWarning(code=code, sentence=""),), findings=())

    assert could_have_candidates_now(said, SimpleNamespace(candidates=candidates)) is now


@pytest.mark.parametrize(
    ("told", "candidates", "now"), [({}, SCHEMA, True), ({}, 1, False), ({"circle": "why"}, 2, False)]
)
def test_a_reading_without_cubes_is_made_again_when_they_are_there(told, candidates, now):
    said = SimpleNamespace(warnings=(), findings=(finding(**told),))

    assert could_have_candidates_now(said, SimpleNamespace(candidates=candidates)) is now


@pytest.mark.parametrize("system", ["segmenter", "malignancy"])
def test_a_release_that_pins_another_system_of_findings_is_not_read_with_this_one(system):
    pinned = embedded_pin(65)

    with pytest.raises(ReleaseError, match=f"{system} of the release: its weights must have the digest abababababab"):
        systems_of(pinned.model_copy(update={system: "ab" * 32}))


def test_findings_of_a_release_from_before_these_systems_are_described_by_those_of_the_package():
    old = embedded_pin(65).model_copy(update={"segmenter": "", "malignancy": ""})

    assert systems_of(old).segmenter is embedded_segmenter()
    assert systems_of(embedded_pin(65)).malignancy is embedded_malignancy()
