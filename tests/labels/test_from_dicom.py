import highdicom as hd
import numpy as np
import pytest
from highdicom import seg
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from tests.labels.dicom_objects import (
    LIDC_RATINGS,
    image_group,
    images_in,
    region_group,
    segment_group,
    spatial_group,
    write_report,
    write_segmentation,
)

POLYGON = [(4, 4), (8, 4), (8, 8)]


@pytest.fixture(scope="session")
def ct(ct_folder):
    return images_in(ct_folder)


def mask(*slices, rows=slice(4, 9)):
    of = np.zeros((10, 32, 32), dtype=bool)
    of[list(slices), rows, 4:9] = True
    return of


def told(collected):
    return [(problem.origin.kind, problem.origin.part, str(problem.reason)) for problem in collected.problems]


def test_a_segment_lies_where_its_frames_do_and_has_the_rating_of_its_report(tmp_path, ct, labels, collected):
    segmentation = write_segmentation(tmp_path / "a.dcm", ct, mask(2, 3), mask(7))
    groups = [
        segment_group(segmentation, 1, ct[2:4], LIDC_RATINGS[4]),
        segment_group(segmentation, 2, ct[7:8], LIDC_RATINGS[1]),
    ]
    write_report(tmp_path / "b.dcm", [*ct, segmentation], groups)

    assert labels() == "0022000100"
    assert (len(collected().nodules["1.2.3"]), collected().problems) == (2, [])


def test_segments_of_several_readers_are_clustered_by_their_outlines(tmp_path, ct, labels, collected):
    for name, rating, rows in (("a", 2, slice(4, 9)), ("b", 5, slice(5, 10)), ("c", 1, slice(20, 25))):
        segmentation = write_segmentation(tmp_path / f"{name}.dcm", ct, mask(2, rows=rows))
        group = segment_group(segmentation, 1, ct[2:3], LIDC_RATINGS[rating])
        write_report(tmp_path / f"{name}-report.dcm", [*ct, segmentation], [group])

    assert sorted(nodule.malignancy for nodule in collected().nodules["1.2.3"]) == [1.0, 3.5]
    assert labels() == "0020000000"


@pytest.mark.parametrize("kind", list(seg.SegmentationTypeValues))
def test_every_type_of_segmentation_is_read_and_empty_frames_cover_nothing(tmp_path, ct, labels, kind):
    segmentation = write_segmentation(tmp_path / "a.dcm", ct, mask(2), mask(5), kind=kind, omit_empty_frames=False)
    groups = [segment_group(segmentation, number, ct[2:3], 4) for number in (1, 2)]
    write_report(tmp_path / "b.dcm", [*ct, segmentation], groups)

    assert labels() == "0020020000"


def test_a_segment_without_a_rating_is_told_and_leaves_the_series_out(tmp_path, ct, labels, collected):
    segmentation = write_segmentation(tmp_path / "a.dcm", ct, mask(2), mask(5))
    write_report(tmp_path / "b.dcm", [*ct, segmentation], [segment_group(segmentation, 1, ct[2:3], 4)])

    assert labels() is None
    assert told(collected()) == [("seg", "segment 2", "no-rating")]


def test_a_segmented_organ_asks_for_no_rating(tmp_path, ct, collected):
    write_segmentation(tmp_path / "a.dcm", ct, mask(*range(10)), category=codes.SCT.AnatomicalStructure)
    write_report(tmp_path / "b.dcm", ct, [image_group(ct[2:3], 4)])

    assert collected().problems == []


def test_a_rating_without_its_segmentation_leaves_the_series_out(tmp_path, ct, labels, collected):
    segmentation = write_segmentation(tmp_path / "a.dcm", ct, mask(2))
    group = segment_group(segmentation, 1, ct[2:3], 4)
    write_report(tmp_path / "b.dcm", [*ct, segmentation], [group, image_group(ct[2:3], 4)])
    (tmp_path / "a.dcm").unlink()

    assert labels() is None
    assert told(collected()) == [("sr", "measurement group 1", "no-segment")]


@pytest.mark.parametrize(
    ("rating", "label"),
    [
        (LIDC_RATINGS[3], "2"),
        (LIDC_RATINGS[2], "1"),
        (Code("x", "99OWN", "2 out of 5 (unlikely)"), "1"),
        (codes.SCT.Malignant, "2"),
        (codes.SCT.Benign, "1"),
        (Code("x", "99OWN", "Benign"), "1"),
        (4, "2"),
        (2.5, "1"),
    ],
)
def test_a_rating_is_a_code_or_a_number(tmp_path, ct, labels, rating, label):
    write_report(tmp_path / "a.dcm", ct, [image_group(ct[2:3], rating)])

    assert labels() == f"00{label}0000000"


def test_regions_in_an_image_in_space_and_whole_images_say_where_a_nodule_is(tmp_path, ct, labels):
    corners_mm = [(-90, -90, 37.5), (-80, -90, 37.5), (-80, -80, 37.5)]
    groups = [
        region_group(ct[2], POLYGON, 4),
        spatial_group(ct[0], corners_mm, LIDC_RATINGS[1]),
        image_group(ct[7:9], codes.SCT.Malignant),
    ]
    write_report(tmp_path / "a.dcm", ct, groups)

    assert labels() == "0020010220"


def test_two_reports_on_the_same_images_are_two_readings_of_one_nodule(tmp_path, ct, collected):
    for name, rating in (("a", 1), ("b", 4)):
        write_report(tmp_path / f"{name}.dcm", ct, [image_group(ct[2:4], rating)])

    assert [nodule.malignancy for nodule in collected().nodules["1.2.3"]] == [2.5]


def test_a_shared_tracking_identifier_names_a_nodule(tmp_path, ct, collected):
    uid = hd.UID()
    write_report(tmp_path / "a.dcm", ct, [image_group(ct[2:4], 1, uid), image_group(ct[2:4], 5)])
    write_report(tmp_path / "b.dcm", ct, [image_group(ct[4:5], 4, uid)])

    assert sorted(nodule.malignancy for nodule in collected().nodules["1.2.3"]) == [2.5, 5.0]


@pytest.mark.parametrize(
    ("rating", "reason"),
    [(None, "no-rating"), (6, "rating-out-of-range"), (Code("x", "99OWN", "high"), "rating-out-of-range")],
)
def test_a_group_whose_rating_is_none_leaves_the_series_out(tmp_path, ct, labels, collected, rating, reason):
    write_report(tmp_path / "a.dcm", ct, [image_group(ct[2:3], 4), image_group(ct[4:5], rating)])

    assert labels() is None
    assert told(collected()) == [("sr", "measurement group 2", reason)]


def test_a_region_beyond_the_image_is_told(tmp_path, ct, collected):
    write_report(tmp_path / "a.dcm", ct, [region_group(ct[2], [(4, 4), (40, 4), (40, 8)], 4)])

    assert told(collected()) == [("sr", "measurement group 1", "outside-image")]


def test_a_report_that_rates_nothing_is_about_something_else(tmp_path, ct, collected):
    write_report(tmp_path / "a.dcm", ct, [image_group(ct[2:3], None)])
    (tmp_path / "own.csv").write_text("series_instance_uid,class\n1.2.3,\n")

    assert (collected().nodules, collected().problems) == ({"1.2.3": []}, [])


def test_a_file_that_is_cut_short_is_told_without_its_path_or_values(tmp_path, ct, collected):
    segmentation = write_segmentation(tmp_path / "Lovelace.dcm", ct, mask(2))
    whole = (tmp_path / "Lovelace.dcm").read_bytes()
    (tmp_path / "Lovelace.dcm").write_bytes(whole[: len(whole) // 2])
    write_report(tmp_path / "b.dcm", ct, [image_group(ct[2:3], 4)])

    (problem,) = collected().problems
    assert (problem.origin.kind, problem.origin.file) == ("seg", segmentation.SOPInstanceUID)
    assert "Lovelace" not in problem.sentence


def test_the_images_beside_them_are_passed_over(tmp_path, ct, ct_folder, collected):
    write_report(tmp_path / "a.dcm", ct, [image_group(ct[2:3], 4)])
    for file in ct_folder.iterdir():
        (tmp_path / file.name).symlink_to(file)

    assert collected().problems == []


def test_a_segmentation_on_another_grid_is_grouped_by_z_alone(tmp_path, ct, labels):
    small = images_in(tmp_path)
    for image in ct:
        image = image.copy()
        image.Rows = image.Columns = 16
        image.PixelData = image.PixelData[: 16 * 16 * 2]
        small.append(image)
    segmentation = write_segmentation(tmp_path / "a.dcm", small, mask(2)[:, :16, :16])
    write_report(tmp_path / "b.dcm", [*ct, segmentation], [segment_group(segmentation, 1, ct[2:3], 4)])

    assert labels() == "0020000000"
