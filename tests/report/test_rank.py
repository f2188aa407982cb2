from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lidcflow.config import InferConfig, PreprocessConfig
from lidcflow.dicom.orientation import PatientAxes
from lidcflow.errors import ReleaseError
from lidcflow.pixels.noticed import PixelFaults
from lidcflow.report.rank import not_evaluated, recommend, without_blank
from lidcflow.report.recommendation import Reason, SeriesWarning, VolumeFacts
from lidcflow.store.record import StoredSlice


def test_neighbours_at_or_above_the_threshold_join_into_one_range(study):
    ranges = study(0.0, 0.1, 0.6, 0.9, 0.5, 0.1, 0.7, 0.0).ranges

    assert [(one.first_slice, one.last_slice, one.peak_slice) for one in ranges] == [(3, 5, 4), (7, 7, 7)]


def test_ranges_are_ranked_by_their_peaks(study):
    ranges = study(0.6, 0.0, 0.9, 0.0, 0.7, 0.0, 0.0, 0.0).ranges

    assert [(one.rank, one.first_slice) for one in ranges] == [(1, 3), (2, 5), (3, 1)]


def test_of_equal_peaks_the_more_malignant_comes_first_then_the_upper_one(make_record, release):
    equal = [0.25, 0.5, 0.25]
    malignant = [0.25, 0.25, 0.5]
    nothing = [1.0, 0.0, 0.0]
    probabilities = np.array([nothing, equal, nothing, malignant, nothing, equal, nothing, nothing])

    ranges = recommend(probabilities, make_record(), release, InferConfig()).ranges

    assert [one.peak_slice for one in ranges] == [4, 2, 6]


def test_ranges_beyond_the_most_are_cut_and_counted(study):
    answer = study(0.6, 0.0, 0.9, 0.0, 0.7, 0.0, 0.8, 0.0, ranges=2)

    assert [one.first_slice for one in answer.ranges] == [3, 7]
    assert answer.ranges_left_out == 2


def test_an_answer_is_that_of_a_series_and_a_release(make_record, release, rows):
    warning = SeriesWarning(code="unlike-training-kernel", sentence="kernel must be SOFT, got SHARP")

    answer = recommend(rows(*[0.9] * 8), make_record(synthetic=True), release, InferConfig(), [warning])

    assert (answer.study_instance_uid, answer.series_instance_uid, answer.synthetic) == ("1.2.840.1", "1.2.840.2", True)
    assert (answer.release, answer.warnings, answer.ranges_left_out) == (release, (warning,), 0)


def test_an_answer_describes_its_volume(study):
    volume = study(columns=256, column_spacing_mm=1.4, slice_spacing_mm=5.00004, flags=("gap",)).volume

    assert volume == VolumeFacts(
        slices=8,
        z_top_mm=0.0,
        z_bottom_mm=-80.0,
        slice_height_mm=10.0,
        source_slices=16,
        slice_spacing_mm=5.0,
        rows=512,
        columns=256,
        row_spacing_mm=0.7,
        column_spacing_mm=1.4,
        acquisition={"manufacturer": "ACME", "kernel": "SOFT", "kvp": 120.0, "contrast": None},
        flags=("gap",),
        preprocess_digest=PreprocessConfig().digest,
        volume_digest="ab" * 32,
    )


def test_positions_are_rounded_to_a_tenth_of_a_micrometre(study):
    second = study(edges_mm=-np.arange(9) / 3).slices[1]

    assert (second.z_top_mm, second.z_mm, second.z_bottom_mm) == (-0.3333, -0.5, -0.6667)


def test_a_slice_lies_between_its_edges_and_in_its_sector(study):
    last = study().slices[-1]

    assert (last.sector, last.z_top_mm, last.z_mm, last.z_bottom_mm) == (2, -70.0, -75.0, -80.0)


def test_a_range_lies_between_the_edges_of_its_slices(study):
    first = study(0.0, 0.1, 0.6, 0.9, 0.5, 0.1, 0.0, 0.0).ranges[0]

    assert (first.z_top_mm, first.z_peak_mm, first.z_bottom_mm) == (-20.0, -35.0, -50.0)


def test_a_range_over_a_border_names_both_sectors(study):
    assert study(0.0, 0.0, 0.0, 0.9, 0.9, 0.0, 0.0, 0.0).ranges[0].sectors == (1, 2)


def test_a_range_names_every_source_image_once_and_top_first(study):
    first = study(0.0, 0.1, 0.6, 0.9, 0.0, 0.0, 0.0, 0.0).ranges[0]

    assert [image.instance_number for image in first.source_images] == [4, 5, 6, 7, 8]
    assert [image.instance_number for image in first.peak_source_images] == [6, 7, 8]
    assert sum(image.weight for image in first.peak_source_images) == pytest.approx(1)


def test_frames_of_one_instance_are_named_by_their_numbers(study, frames):
    first = study(0.0, 0.1, 0.6, 0.9, 0.0, 0.0, 0.0, 0.0, sources=frames).ranges[0]

    assert [image.frame_number for image in first.source_images] == [4, 5, 6, 7, 8]
    assert {image.sop_instance_uid for image in first.source_images} == {"1.2.9"}


def test_a_range_says_malignancy_at_its_peak_and_at_most(make_record, release):
    nothing = [1.0, 0.0, 0.0]
    probabilities = np.array([[0.1, 0.8, 0.1], [0.4, 0.2, 0.4], *[nothing] * 6])

    first = recommend(probabilities, make_record(), release, InferConfig()).ranges[0]

    assert (first.nodule_at_peak, first.malignant_at_peak, first.malignant_max) == (0.9, 0.1, 0.4)


def test_every_slice_can_be_traced_to_source_images(study):
    answer = study()

    assert [one.slice_number for one in answer.slices] == list(range(1, 9))
    assert all(one.source_images for one in answer.slices)
    assert answer.slices[3].source_images[0].sop_instance_uid == "1.2.840.3.6"


def test_slices_are_ranked_by_the_probability_of_a_nodule(study):
    answer = study(0.0, 0.1, 0.6, 0.9, 0.5, 0.2, 0.7, 0.0)

    assert [one.rank for one in answer.slices] == [7, 6, 3, 1, 4, 5, 2, 8]


def test_without_a_slice_above_the_threshold_the_five_highest_are_named(study):
    answer = study(0.0, 0.1, 0.4, 0.3, 0.05, 0.2, 0.45, 0.0)

    assert answer.verdict == "nothing-above-threshold"
    assert [one.slice_number for one in answer.highest_slices] == [7, 3, 4, 6, 2]
    assert answer.ranges == ()


def test_probabilities_of_another_precision_are_taken(make_record, release, rows):
    probabilities = rows(*[0.1] * 7, 1.0).astype(np.float32)

    assert recommend(probabilities, make_record(), release, InferConfig()).ranges[0].nodule_at_peak == 1.0


def test_sums_within_a_thousandth_of_1_are_taken_and_no_probability_exceeds_1(make_record, release):
    probabilities = np.array([[0.0, 0.5, 0.5009], [0.0, 1.0009, 0.0], *[[1.0009, 0.0, 0.0]] * 6])

    first, second, *_, last = recommend(probabilities, make_record(), release, InferConfig()).slices

    assert (first.probabilities.nodule, second.probabilities.benign, last.probabilities.non_nodule) == (1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"must sum to 1, got a sum 0\.0011 away from it"):
        recommend(np.add(probabilities, [0.0002, 0.0, 0.0]), make_record(), release, InferConfig())


def test_no_weight_of_an_image_exceeds_1(make_record, release, rows):
    slabs = make_record().sources
    rounded = tuple((slab[0]._replace(weight=1.0 + 1e-9),) for slab in slabs)

    answer = recommend(rows(*[0.9] * 8), make_record(sources=rounded), release, InferConfig())

    assert {image.weight for one in answer.slices for image in one.source_images} == {1.0}


def test_sums_of_single_precision_are_ranked_in_double_precision(make_record, release):
    # The second sum is 2**-26 below 0.75: in single precision it would be equal, and the more malignant come first.
    close = [[0.25, 0.75, 0.0], [0.25, 0.5, 0.25 - 2**-26], *[[1.0, 0.0, 0.0]] * 6]

    answer = recommend(np.array(close, dtype=np.float32), make_record(), release, InferConfig())

    assert [one.rank for one in answer.slices[:2]] == [1, 2]


@pytest.mark.parametrize(
    ("probabilities", "complaint"),
    [
        (np.full((7, 3), 1 / 3), r"shape must be \(8, 3\), got \(7, 3\)"),
        (np.full((8, 3), np.nan), "^probabilities: must be finite and not negative$"),
        (np.tile([1.5, -0.5, 0.0], (8, 1)), "^probabilities: must be finite and not negative$"),
        (np.full((8, 3), 0.5), "must sum to 1, got a sum 0.5 away"),
    ],
)
def test_what_is_no_distribution_is_refused(make_record, release, probabilities, complaint):
    with pytest.raises(ValueError, match=complaint):
        recommend(probabilities, make_record(), release, InferConfig())


def test_a_volume_of_another_preprocessing_is_refused(study):
    digest = PreprocessConfig().digest[:12]

    with pytest.raises(ReleaseError, match=rf"series 1\.2\.840\.2: .* that of release 3 \({digest}\), got 0{{12}};"):
        study(config_digest="0" * 64)


def test_a_series_that_could_not_be_read_gets_its_reason(release):
    answer = not_evaluated("1.2.840.2", "1.2.840.1", "missing-slices", "slices must be there, got a gap", release)

    assert (answer.verdict, answer.slices, answer.synthetic) == ("not-evaluated", (), False)
    assert answer.reason == Reason(code="missing-slices", sentence="slices must be there, got a gap")
    assert (answer.study_instance_uid, answer.series_instance_uid) == ("1.2.840.1", "1.2.840.2")
    assert answer.release == release


def test_a_synthetic_series_that_could_not_be_read_stays_synthetic(release):
    assert not_evaluated("1.2.840.2", None, "tilted", "must not be tilted", release, synthetic=True).synthetic


@given(nodule=st.lists(st.floats(0, 1), min_size=8, max_size=8))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ranges_hold_exactly_the_slices_at_or_above_the_threshold_and_never_touch(study, nodule):
    answer = study(*nodule)

    inside = [n for one in answer.ranges for n in range(one.first_slice, one.last_slice + 1)]
    above = [one.slice_number for one in answer.slices if one.probabilities.nodule >= 0.5]
    by_place = sorted(answer.ranges, key=lambda one: one.first_slice)
    assert sorted(inside) == above
    assert all(a.last_slice + 1 < b.first_slice for a, b in pairwise(by_place))


@pytest.mark.parametrize(("row", "kept"), [((1.0, 0.0, 0.0), False), ((-1.0, 0.0, 0.0), True)])
def test_the_answer_names_the_orientation_of_slices_that_are_not_stored_as_usual(make_record, release, row, kept):
    axes = PatientAxes((0.0, 0.0, 0.0), row, (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), 0.0)
    volume = recommend(np.full((8, 3), 1 / 3), make_record(axes=axes), release, InferConfig()).volume

    assert volume.orientation == ((*row, 0.0, 1.0, 0.0) if kept else None)
    assert ("orientation" in volume.model_dump()) == kept


def blank(make_record, slabs, images=()):
    """Eight slices, some of which show nothing."""
    record = make_record()
    sources = dict.fromkeys(source[:3] for slab in record.sources for source in slab)
    return make_record(
        source_slices=tuple(StoredSlice(*source) for source in sources),
        noticed=PixelFaults(blank_slices=tuple(number - 1 for number in images), blank_slabs=slabs),
    )


def test_a_blank_slice_is_in_no_range_however_high_its_probability(make_record, release, rows):
    probabilities = rows(0.0, 0.1, 0.6, 0.99, 0.5, 0.1, 0.7, 0.0)

    answer = recommend(probabilities, blank(make_record, (3,)), release, InferConfig())

    assert [(one.first_slice, one.last_slice) for one in answer.ranges] == [(7, 7), (3, 3), (5, 5)]
    assert [one.blank for one in answer.slices] == [False] * 3 + [True] + [False] * 4
    assert (answer.slices[3].rank, answer.slices[3].probabilities.nodule) == (8, 0.0)


def test_a_blank_slice_is_certainly_no_nodule():
    probabilities = np.array([[0.25, 0.5, 0.25], [0.25, 0.5, 0.25]])

    assert without_blank(probabilities, [1]).tolist() == [[0.25, 0.5, 0.25], [1.0, 0.0, 0.0]]
    assert probabilities[1].tolist() == [0.25, 0.5, 0.25]


def test_a_threshold_of_zero_takes_no_blank_slice(make_record, release, rows):
    low = release.model_copy(update={"threshold_nodule": 0.0})

    answer = recommend(rows(*[0.3] * 8), blank(make_record, (0, 1, 4)), low, InferConfig())

    assert [(one.first_slice, one.last_slice) for one in answer.ranges] == [(3, 4), (6, 8)]


def test_the_five_highest_are_none_of_the_blank_ones(make_record, release, rows):
    probabilities = rows(0.0, 0.0, 0.0, 0.4, 0.3, 0.0, 0.0, 0.0)

    answer = recommend(probabilities, blank(make_record, (0, 3, 7)), release, InferConfig())

    assert answer.verdict == "nothing-above-threshold"
    assert [one.slice_number for one in answer.highest_slices] == [5, 2, 3, 6, 7]


def test_a_range_names_no_image_that_shows_nothing(make_record, release, rows):
    probabilities = rows(0.0, 0.0, 0.9, 0.0, 0.0, 0.0, 0.0, 0.0)

    (found,) = recommend(probabilities, blank(make_record, (), images=(5,)), release, InferConfig()).ranges

    assert [image.instance_number for image in found.source_images] == [4, 6]
    assert [image.instance_number for image in found.peak_source_images] == [4, 6]


def test_a_blank_slice_names_the_images_that_show_nothing(make_record, release, rows):
    record = blank(make_record, (3,), images=(6, 7, 8))

    slices = recommend(rows(*[0.0] * 8), record, release, InferConfig()).slices

    assert [image.instance_number for image in slices[2].source_images] == [4, 5]
    assert [image.instance_number for image in slices[3].source_images] == [6, 7, 8]


def test_a_sound_slice_says_nothing_of_being_blank(study):
    assert '"blank"' not in study().to_json()


def test_findings_must_be_ranked_in_their_order_and_lie_in_the_slices(study, findings):
    low = findings[0].model_copy(update={"slice_number": 9})

    with pytest.raises(ValueError, match=r"must be ranked from 1 in their order, got ranks \[2, 1\]"):
        study(findings=findings[::-1])
    with pytest.raises(ValueError, match="each must lie in one of 8 slices, got slice 9"):
        study(findings=[low])
