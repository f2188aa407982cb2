"""Series like those of training get no warning, others one plain sentence for each difference."""

from dataclasses import replace

import numpy as np
import pytest

from lidcflow.drift.measures import HU_EDGES, hu_histogram, measure_series
from lidcflow.drift.outlying import distance_ratio, reference_limits, warnings_of
from tests.drift.profiles import measured, profile
from tests.report.conftest import make_record  # noqa: F401


@pytest.fixture
def known(release_record):
    return reference_limits(profile(release_record, np.random.default_rng(0)))


@pytest.fixture
def ordinary():
    """A series of the same kind as those of training, and its features."""
    rng = np.random.default_rng(1)
    return measured(rng), rng.normal(size=16)


def sentences(warnings):
    return {one.code: one.sentence for one in warnings}


def test_a_series_like_those_of_training_gets_no_warning(known, ordinary):
    assert warnings_of(*ordinary, known) == ()


def test_few_of_many_ordinary_series_get_a_warning(known):
    rng = np.random.default_rng(2)

    warned = [bool(warnings_of(measured(rng), rng.normal(size=16), known)) for _ in range(200)]

    assert np.mean(warned) <= 0.02


@pytest.mark.parametrize(
    ("spacing_mm", "expected"),
    [
        (2.7, {}),
        (5.0, "The slice spacing is 5 mm; the release was trained on 1.25 to 2.5 mm."),
        (0.5, "The slice spacing is 0.5 mm; the release was trained on 1.25 to 2.5 mm."),
        (None, {}),
    ],
)
def test_a_number_outside_of_training_is_told_with_what_training_has_seen(known, ordinary, spacing_mm, expected):
    series, features = ordinary
    series.numbers["slice_spacing_mm"] = spacing_mm

    found = sentences(warnings_of(series, features, known))

    assert found == ({"unlike-training-slice-spacing": expected} if expected else {})


def test_a_kernel_that_no_training_series_has_is_named_and_an_untold_one_is_not(known, ordinary):
    series, features = ordinary
    sharp = replace(series, words=series.words | {"kernel": "BONE", "manufacturer": None, "model": "new"})

    found = sentences(warnings_of(sharp, features, known))

    assert found == {"unlike-training-kernel": "The release was trained on no series with the kernel BONE."}


def test_radiodensities_far_from_those_of_training_are_told(known, ordinary):
    series, features = ordinary
    water = replace(series, hu=hu_histogram(np.zeros((2, 4, 4), dtype=np.int16)))

    found = sentences(warnings_of(water, features, known))

    assert list(found) == ["unlike-training-hu"]
    assert "another part of the body, rescaled values or metal" in found["unlike-training-hu"]


def test_features_far_from_all_of_training_are_told(known, ordinary):
    series, features = ordinary

    assert list(sentences(warnings_of(series, features + 8, known))) == ["unlike-training-features"]


def test_how_far_a_series_is_from_training_grows_with_its_distance(known, ordinary):
    series, features = ordinary
    water = replace(series, hu=hu_histogram(np.zeros((2, 4, 4), dtype=np.int16)))

    near, far, further = (distance_ratio(series, features + offset, known) for offset in (0, 8, 80))

    assert near <= 1 < far < further
    assert further == pytest.approx(10 * far, rel=0.1)
    assert distance_ratio(water, features, known) > 1


def test_a_handful_of_training_series_sets_no_measure_of_distance(release_record, ordinary):
    few = reference_limits(profile(release_record, np.random.default_rng(0), patients=7))

    assert distance_ratio(ordinary[0], ordinary[1] + 100, few) == 0


def test_a_series_that_is_upside_down_is_told(known, ordinary):
    series, features = ordinary

    found = sentences(warnings_of(replace(series, heights=series.heights[:, ::-1]), features, known))

    assert list(found) == ["upside-down"]


@pytest.mark.parametrize("part", [slice(0, 4), slice(6, 10)])
def test_a_part_of_a_chest_is_told(known, ordinary, part):
    series, features = ordinary
    stretched = np.repeat(series.heights[:, part], 3, axis=1)[:, 1:11]

    found = sentences(warnings_of(replace(series, heights=stretched), features, known))

    assert list(found) == ["unlike-training-heights"]


def test_a_training_set_of_both_ways_up_and_a_profile_without_heights_tell_nothing_of_them(release_record, ordinary):
    series, features = ordinary
    own = profile(release_record, np.random.default_rng(0))
    both_ways = own.heights.array
    both_ways[::10] = both_ways[::10, :, ::-1]
    turned = replace(series, heights=series.heights[:, ::-1])

    for changed in (None, type(own.heights).of(both_ways, "<f2")):
        known = reference_limits(own.model_copy(update={"heights": changed}))
        assert "upside-down" not in sentences(warnings_of(turned, features, known))


def test_a_handful_of_training_series_sets_no_limit_to_distances(release_record, ordinary):
    known = reference_limits(profile(release_record, np.random.default_rng(0), patients=7))

    codes = sentences(warnings_of(ordinary[0], ordinary[1] + 100, known))

    assert "unlike-training-features" not in codes


def test_series_of_one_patient_do_not_vouch_for_each_other(release_record):
    alone = profile(release_record, np.random.default_rng(0))
    twins = {name: (*values, *values) for name, values in alone.numbers.items()}
    words = {name: (*values, *values) for name, values in alone.words.items()}
    doubled = alone.model_copy(
        update={
            "patients": alone.patients * 2,
            "numbers": twins,
            "words": words,
            "hu": type(alone.hu).of(np.tile(alone.hu.array, (2, 1)), "<f4"),
            "heights": type(alone.hu).of(np.tile(alone.heights.array, (2, 1, 1)), "<f2"),
            "features": type(alone.hu).of(np.tile(alone.features.array, (2, 1)), "<f2"),
        }
    )

    assert reference_limits(doubled).feature_limit > 0.8 * reference_limits(alone).feature_limit


def test_a_stored_series_is_measured_by_its_facts_and_voxels(make_record):  # noqa: F811
    mean_hu = np.full((8, 4, 4), -1000, dtype=np.int16)
    mean_hu[:, :2] = -939
    mean_hu[0, 0, 0] = 3071

    found = measure_series(make_record(), mean_hu)

    assert found.numbers == {
        "slice_spacing_mm": 5.0,
        "slice_thickness_mm": None,
        "pixel_spacing_mm": 0.7,
        "field_of_view_mm": 358.4,
        "scan_length_mm": 80.0,
        "kvp": 120.0,
    }
    assert found.words == {"manufacturer": "ACME", "model": None, "kernel": "SOFT", "contrast": None}
    assert (found.hu[0], found.hu[-1], len(found.hu)) == (63 / 64, 1 / 64, len(HU_EDGES) - 1)


def test_a_volume_of_air_alone_has_a_histogram():
    assert hu_histogram(np.full((1, 2, 2), -1024, dtype=np.int16))[0] == 1
