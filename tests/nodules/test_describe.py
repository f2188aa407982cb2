"""What is told of a finding, by doubles of the segmenter and of the malignancy system."""

from types import SimpleNamespace

import numpy as np
import pytest

from lidcflow.nodules.cubes import Cubes
from lidcflow.nodules.describe import (
    CUT_BY_CUBE,
    CUT_BY_SCAN,
    NO_CUBE,
    NO_OUTLINE,
    NO_SEGMENTER,
    describe_findings,
)
from lidcflow.nodules.stored import StoredCandidates, cut_none
from lidcflow.nodules.systems import FindingSystems
from lidcflow.nodules.table import CANDIDATE
from tests.nodules.examples import finding
from tests.nodules.small_record import small_record
from tests.nodules.test_outline import ellipsoid

VOXEL_MM = 0.75


def stored(found, *, candidate=1):
    table = np.zeros(2, CANDIDATE)
    table[1]["z_mm"], table[1]["row"], table[1]["column"] = found.z_mm, found.row, found.column
    hu = np.full((1, 48, 48, 48), -800, np.int16)
    cubes = None if candidate is None else Cubes(hu, np.array([candidate]), np.array([VOXEL_MM]))
    return StoredCandidates(table, cut_none(), ("1.2.0", "1.2.4"), (), cubes)


def systems(probability, malignancy=None):
    segmenter = SimpleNamespace(probabilities=lambda cubes, _: np.stack([probability] * len(cubes)))
    return FindingSystems(segmenter, malignancy)


MIDDLE = finding(z_mm=17.5, row=32.0, column=32.0, slice_number=3, sop_instance_uid="1.2.4", instance_number=5)


def described(probability, found=MIDDLE, malignancy=None):
    (told,) = describe_findings([found], stored(found), small_record(), systems(probability, malignancy))
    return told


def test_an_outline_gives_axes_volume_and_a_polygon_in_pixels_of_the_source():
    told = described(ellipsoid((8.0, 6.0, 10.0)))

    assert told.long_axis_mm == pytest.approx(10.0, abs=0.3)
    assert told.short_axis_mm == pytest.approx(6.0, abs=0.3)
    assert told.volume_mm3 == pytest.approx(np.pi / 6 * 480, rel=0.05)
    rows, columns = np.array(told.outline).T
    assert (rows.min(), rows.max()) == pytest.approx((32 - 6, 32 + 6), abs=0.6)
    assert (columns.min(), columns.max()) == pytest.approx((32 - 20, 32 + 20), abs=1.2)
    assert told.outline[0] == told.outline[-1]
    assert told.circle is None
    assert told.size_mm == told.long_axis_mm


def test_the_image_of_a_finding_is_that_of_its_largest_outline():
    told = described(ellipsoid((8.0, 6.0, 6.0), centre_mm=(4.0, 0.0, 0.0)))

    assert (told.z_mm, told.slice_number, told.sop_instance_uid) == (17.5, 3, "1.2.5")


def test_an_image_beyond_the_nodule_is_not_its_image():
    told = described(ellipsoid((1.6, 4.0, 4.0), centre_mm=(2.6, 0.0, 0.0)))

    assert told.outline is not None
    assert told.sop_instance_uid == "1.2.4"


@pytest.mark.parametrize(
    ("probability", "why"),
    [
        (np.zeros((48,) * 3), NO_OUTLINE),
        (np.ones((48,) * 3), NO_OUTLINE),
        (np.pad(np.full((1, 1, 1), 0.5), ((24, 23),) * 3), NO_OUTLINE),
        (ellipsoid((20.0,) * 3, centre_mm=(0.0, 0.0, 10.0)), CUT_BY_CUBE),
    ],
)
def test_a_circle_stands_where_the_mask_can_not_be_measured(probability, why):
    told = described(probability)

    assert (told.circle, told.outline, told.long_axis_mm, told.mask) == (why, None, None, None)
    assert told.size_mm == told.diameter_mm
    assert told.sop_instance_uid == "1.2.4"


@pytest.mark.parametrize("place", [{"z_mm": 36.0}, {"z_mm": 4.0}, {"row": 6.0}, {"row": 58.0}, {"column": 60.0}])
def test_a_circle_stands_for_a_nodule_that_the_edge_of_the_scan_cuts(place):
    told = described(ellipsoid((8.0,) * 3), MIDDLE.model_copy(update=place))

    assert told.circle == CUT_BY_SCAN


def test_a_finding_without_a_cube_keeps_its_circle():
    (told,) = describe_findings([MIDDLE], stored(MIDDLE, candidate=0), small_record(), systems(ellipsoid((8.0,) * 3)))

    assert told == MIDDLE.model_copy(update={"circle": NO_CUBE})


def test_findings_of_candidates_without_cubes_stay_as_they_are():
    told = describe_findings([MIDDLE], stored(MIDDLE, candidate=None), small_record(), systems(ellipsoid((8.0,) * 3)))

    assert told == (MIDDLE,)


def test_malignancy_is_told_with_its_system_and_what_is_outside_of_its_training():
    asked = []

    def answer(cube, voxel_mm, outline, diameter_mm):
        asked.append((cube.shape, voxel_mm, outline is not None, diameter_mm))
        return SimpleNamespace(probability=0.31234567, outside=("size",))

    told = described(ellipsoid((8.0,) * 3), malignancy=SimpleNamespace(name="forest", answer=answer))
    without = described(np.zeros((48,) * 3), malignancy=SimpleNamespace(name="forest", answer=answer))

    assert (told.malignant, told.malignancy, told.outside) == (0.3123, "forest", ("size",))
    assert (without.malignant, without.circle) == (0.3123, NO_OUTLINE)
    assert asked == [((48, 48, 48), VOXEL_MM, outlined, 6.0) for outlined in (True, False)]


def test_without_a_segmenter_findings_keep_their_circles():
    (told,) = describe_findings([MIDDLE], stored(MIDDLE), small_record(), FindingSystems(None, None))

    assert (told.circle, told.malignant) == (NO_SEGMENTER, None)
