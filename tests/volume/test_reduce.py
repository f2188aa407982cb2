from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from skimage.transform import downscale_local_mean, resize_local_mean

from lidcflow.config import Access, PreprocessConfig
from lidcflow.errors import SeriesRefused
from lidcflow.pixels.decode import hounsfield_slice
from lidcflow.pixels.noticed import PixelFaults
from lidcflow.pixels.open import slice_opener
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from lidcflow.volume import reduce
from lidcflow.volume.reduce import reduce_series, require_content
from lidcflow.volume.resample import slab_weights
from lidcflow.volume.slabs import SlabSource

SMALL = PreprocessConfig(size=16, slices=8)


def usable(folder, **wanted):
    (series,) = index_folder(folder, secret=PUBLIC_KEY, config=PreprocessConfig(**wanted)).usable
    return series


def noise(n, size=32):
    return np.random.default_rng(n).integers(-1000, 400, (n, size, size))


def test_channels_are_the_mean_and_the_maximum_of_the_voxels_in_a_cell(ct_series, tmp_path):
    hu = noise(16)

    volume = reduce_series(usable(ct_series(tmp_path, n=16, hu=hu)), SMALL)

    assert (volume.hu.shape, volume.hu.dtype) == ((2, 8, 16, 16), np.int16)
    np.testing.assert_allclose(volume.hu[0], downscale_local_mean(hu.astype(float), (2, 2, 2)), atol=0.51)
    np.testing.assert_array_equal(volume.hu[1], hu.reshape(8, 2, 16, 2, 16, 2).max(axis=(1, 3, 5)))


def test_each_slice_is_shown_once_from_the_top_when_it_is_read(ct_series, tmp_path):
    hu, seen = noise(16), []

    reduce_series(
        usable(ct_series(tmp_path, n=16, hu=hu)), SMALL, on_slice=lambda i, plane: seen.append((i, plane.copy()))
    )

    assert [i for i, _ in seen] == list(range(16))
    np.testing.assert_array_equal([plane for _, plane in seen], hu)


def test_any_size_agrees_with_scikit_images_area_mean(ct_series, tmp_path):
    hu = noise(13, size=45)

    volume = reduce_series(usable(ct_series(tmp_path, n=13, size=45, hu=hu)), SMALL)

    np.testing.assert_allclose(volume.hu[0], resize_local_mean(hu.astype(float), (8, 16, 16)), atol=0.6)


@pytest.mark.parametrize("z_range", ["scan", "centre"])
@pytest.mark.parametrize("via_mm", [None, 1.0])
@pytest.mark.parametrize("value", [-1024, -3, 3071])
def test_a_constant_stays_constant(ct_series, tmp_path, z_range, via_mm, value):
    config = PreprocessConfig(size=16, slices=13, z_range=z_range, via_mm=via_mm)

    volume = reduce_series(usable(ct_series(tmp_path, n=11, size=24, hu=value)), config)

    assert (volume.hu == value).all()


def test_a_matrix_that_is_not_square_covers_its_whole_field_of_view(ct_series, tmp_path):
    hu = noise(16, size=48)[:, :24]
    folder = ct_series(tmp_path, n=16, size=48, PixelSpacing=[0.8, 0.5], Rows=24, PixelData=lambda i: stored(hu[i]))

    series = usable(folder)

    assert (series.rows, series.columns, series.row_spacing_mm, series.column_spacing_mm) == (24, 48, 0.8, 0.5)
    np.testing.assert_allclose(reduce_series(series, SMALL).hu[0], resize_local_mean(hu + 0.0, (8, 16, 16)), atol=0.6)


def stored(hu):
    return (hu + 1024).astype("<i2").tobytes()


def test_mass_is_conserved(ct_series, tmp_path):
    hu = noise(11)

    volume = reduce_series(usable(ct_series(tmp_path, n=11, hu=hu)), SMALL)

    assert volume.hu[0].mean() == pytest.approx(hu.mean(), abs=0.1)


def test_a_nodule_of_one_voxel_keeps_its_height_in_the_maximum(ct_series, tmp_path):
    hu = np.full((16, 32, 32), -850)
    hu[5, 10, 20] = 60

    volume = reduce_series(usable(ct_series(tmp_path, n=16, hu=hu)), SMALL)

    assert np.argwhere(volume.hu[1] == 60).tolist() == [[2, 5, 10]]


def test_padding_is_air_before_the_average(ct_series, tmp_path):
    hu = np.full((16, 32, 32), 0)
    hu[:, ::2] = -2000 - 1024

    volume = reduce_series(usable(ct_series(tmp_path, n=16, hu=hu)), SMALL)

    assert (volume.hu[0] == -512).all()


def test_the_top_of_the_chest_comes_first_whichever_way_the_table_moved(ct_series, tmp_path):
    feet_first = usable(
        ct_series(
            tmp_path, n=16, hu=lambda i: 10 * i, ImagePositionPatient=lambda i: [0, 0, 2.5 * i], PatientPosition="FFS"
        )
    )

    volume = reduce_series(feet_first, SMALL)

    assert volume.hu[1, :, 0, 0].tolist() == [150, 130, 110, 90, 70, 50, 30, 10]
    assert (volume.edges_mm[0], volume.edges_mm[-1]) == (38.75, -1.25)


def test_each_slice_has_its_own_rescale(ct_series, tmp_path):
    folder = ct_series(tmp_path, n=16, hu=0, RescaleIntercept=lambda i: -1024 + i, RescaleSlope=1)

    volume = reduce_series(usable(folder), PreprocessConfig(size=16, slices=16))

    assert volume.hu[0, :, 0, 0].tolist() == list(range(16))


def test_every_slab_names_its_sources_and_their_weights_add_up_to_one(ct_series, tmp_path):
    series = usable(ct_series(tmp_path, n=12, spacing_mm=2.0))

    volume = reduce_series(series, SMALL)

    assert [len(slab) for slab in volume.sources] == [2] * 8
    assert [round(source.weight, 6) for source in volume.sources[0]] == [0.666667, 0.333333]
    assert [source.instance_number for source in volume.sources[0]] == [1, 2]
    assert all(sum(source.weight for source in slab) == pytest.approx(1) for slab in volume.sources)
    assert {source.sop_instance_uid for slab in volume.sources for source in slab} == {
        source.sop_instance_uid for source in series.slices
    }


def test_the_sources_explain_the_voxels(ct_series, tmp_path):
    hu = noise(12)
    series = usable(ct_series(tmp_path, n=12, hu=hu))
    by_uid = {source.sop_instance_uid: hu[i] for i, source in enumerate(series.slices)}

    volume = reduce_series(series, SMALL)

    for slab, mean, peak in zip(volume.sources, *volume.hu, strict=True):
        weighted = sum(source.weight * by_uid[source.sop_instance_uid] for source in slab)
        highest = np.max([by_uid[source.sop_instance_uid] for source in slab], axis=0)
        np.testing.assert_allclose(mean, downscale_local_mean(weighted, (2, 2)), atol=0.51)
        np.testing.assert_array_equal(peak, highest.reshape(16, 2, 16, 2).max(axis=(1, 3)))


def test_a_gap_that_is_accepted_is_filled_from_its_neighbours(ct_series, tmp_path):
    z_mm = [0, 1, 2, 3, 4, 8, 9, 10, 11, 12]
    chest = noise(1, size=32)[0]
    chest[:2, :2] = 0
    folder = ct_series(tmp_path, hu=lambda i: chest + 100 * (i > 4), ImagePositionPatient=lambda i: [0, 0, -z_mm[i]])

    volume = reduce_series(usable(folder, gaps="accept"), PreprocessConfig(size=16, slices=13))

    assert volume.hu[0, :, 0, 0].tolist() == [0, 0, 0, 0, 0, 25, 50, 75, 100, 100, 100, 100, 100]
    assert volume.flags == ("missing-slices-accepted",)


def test_the_centre_is_the_middle_at_one_millimetre(ct_series, tmp_path):
    folder = ct_series(tmp_path, n=40, spacing_mm=2.5, hu=lambda i: i)

    volume = reduce_series(usable(folder), PreprocessConfig(size=16, slices=65, z_range="centre"))

    np.testing.assert_allclose(np.diff(volume.edges_mm), -1)
    assert len(volume.sources) == 65
    assert volume.hu[0, 32, 0, 0] == pytest.approx(19.5, abs=0.51)


def test_a_scan_too_short_for_the_centre_is_taken_whole_and_flagged(ct_series, tmp_path):
    folder = ct_series(tmp_path, n=10, spacing_mm=2.5)

    volume = reduce_series(usable(folder), PreprocessConfig(size=16, slices=65, z_range="centre"))

    assert volume.edges_mm[0] - volume.edges_mm[-1] == pytest.approx(25)
    assert volume.flags == ("centre-outside-scan",)


def chest(i):
    hu = np.full((32, 32), -1000)
    hu[2:30, 2:30] = 40
    if 4 <= i < 12:
        hu[8:24, 6:14] = hu[8:24, 18:26] = -850
    return hu


def test_the_lung_range_spans_the_lungs(ct_series, tmp_path):
    series = usable(ct_series(tmp_path, n=16, spacing_mm=10, hu=chest))

    volume = reduce_series(series, PreprocessConfig(size=16, slices=16, z_range="lung"))

    assert volume.lung_z_mm == (15.0, -65.0)
    assert (volume.edges_mm[0], volume.edges_mm[-1]) == (15.0, -65.0)
    assert {source.instance_number for slab in volume.sources for source in slab} == set(range(5, 13))
    assert volume.flags == ()


def test_without_lungs_the_lung_range_is_the_scan_and_flagged(ct_series, tmp_path):
    air_around = np.full((16, 32, 32), -1000)
    air_around[:, 8:24, 8:24] = 40
    series = usable(ct_series(tmp_path, n=16, hu=air_around))

    volume = reduce_series(series, PreprocessConfig(size=16, slices=8, z_range="lung"))

    assert volume.lung_z_mm is None
    assert volume.flags == ("lung-not-found", "implausible-values")
    assert volume.noticed.implausible == ("lung",)
    np.testing.assert_array_equal(volume.edges_mm, reduce_series(series, SMALL).edges_mm)


def body(depth_mm):
    """Draw a body of 1.8 m: lungs from 403 to 647 mm below the crown, a bubble of air in the belly."""
    hu = np.full((32, 32), -1000)
    hu[4:28, 2:30] = 40
    if 403 <= depth_mm < 647:
        hu[8:24, 6:14] = hu[8:24, 18:26] = -850
    if 900 <= depth_mm < 920:
        hu[14:17, 14:17] = -1000
    return hu


def test_the_lungs_of_a_whole_body_are_found_within_a_few_millimetres(ct_series, tmp_path):
    folder = ct_series(tmp_path, n=450, spacing_mm=4.0, hu=lambda i: body(4 * i + 2))

    volume = reduce_series(usable(folder, z_range="lung"), PreprocessConfig(size=16, slices=65, z_range="lung"))

    assert [52 - z_mm for z_mm in volume.lung_z_mm] == pytest.approx([403, 647], abs=5)
    assert volume.flags == ("long-scan",)


def test_a_whole_body_without_lungs_is_refused(ct_series, tmp_path):
    series = usable(ct_series(tmp_path, n=40, spacing_mm=25.0, hu=40), z_range="lung")

    with pytest.raises(SeriesRefused) as refused:
        reduce_series(series, PreprocessConfig(size=16, slices=8, z_range="lung"))

    assert refused.value.reason == "whole-body"
    assert refused.value.sentence == (
        f"series {series.series_instance_uid}: a scan of 1000 mm must show lungs, got none; "
        "choose the series that shows the chest"
    )


def test_lungs_are_looked_for_in_slabs_of_five_millimetres_however_few_are_kept(ct_series, tmp_path):
    folder = ct_series(tmp_path, n=32, spacing_mm=5, hu=lambda i: chest(i // 2))

    volume = reduce_series(usable(folder), PreprocessConfig(size=16, slices=8, z_range="lung"))

    assert volume.lung_z_mm == (12.5, -67.5)


def test_lungs_are_looked_for_in_the_mean_of_at_most_128_cells_and_their_extent_is_divided(
    ct_series, tmp_path, monkeypatch
):
    folder = ct_series(tmp_path, n=16, size=256, spacing_mm=10, hu=one_pixel_in_four, PixelSpacing=[0.5, 0.25])
    asked = []

    def found_mm(*args):
        asked.append(args)
        return 45.0, -35.0

    monkeypatch.setattr("lidcflow.volume.lungs.lung_extent_mm", found_mm)

    volume = reduce_series(usable(folder), PreprocessConfig(size=256, slices=8, z_range="lung"))

    ((mean_hu, edges_mm, cell_mm2),) = asked
    assert mean_hu.shape == (32, 128, 128)
    assert (mean_hu == 25).all()
    assert edges_mm.tolist() == list(range(55, -110, -5))
    assert cell_mm2 == 0.5
    assert volume.edges_mm.tolist() == [45, 35, 25, 15, 5, -5, -15, -25, -35]
    assert (volume.hu.shape, volume.lung_z_mm) == ((2, 8, 256, 256), (45.0, -35.0))


def one_pixel_in_four(_):
    hu = np.zeros((256, 256), int)
    hu[::2, ::2] = 100
    return hu


RANGES = {
    "scan": (PreprocessConfig(size=16, slices=8), [range(16)]),
    "centre": (PreprocessConfig(size=16, slices=40, z_range="centre"), [range(6, 10)]),
    "longer than the scan": (PreprocessConfig(size=16, slices=200, z_range="centre"), [range(16)]),
    "lung": (PreprocessConfig(size=16, slices=8, z_range="lung"), [range(16), range(4, 12)]),
}


@pytest.mark.parametrize(("config", "opened"), RANGES.values(), ids=RANGES)
def test_only_the_slices_of_the_range_are_opened_by_the_access_that_is_given(
    ct_series, tmp_path, monkeypatch, config, opened
):
    series = usable(ct_series(tmp_path, n=16, spacing_mm=10, hu=chest))

    assert openings(series, config, monkeypatch) == [[series.slices[i] for i in indices] for indices in opened]


def test_a_scan_without_lungs_is_opened_twice_by_the_access_that_is_given(ct_series, tmp_path, monkeypatch):
    series = usable(ct_series(tmp_path, n=16, hu=40))

    assert openings(series, PreprocessConfig(size=16, slices=8, z_range="lung"), monkeypatch) == [[*series.slices]] * 2


def openings(series, config, monkeypatch):
    """Return the slices that each pass opens, all that it announces."""
    access, announced, passes = Access(), [], []

    @contextmanager
    def watched(slices, given):
        assert given is access
        announced.append(slices)
        passes.append([])
        with slice_opener(slices, given) as opener:
            yield lambda source: passes[-1].append(source) or opener(source)

    monkeypatch.setattr(reduce, "slice_opener", watched)
    reduce_series(series, config, access)
    assert passes == announced
    return passes


def test_a_source_is_named_by_instance_number_place_and_frame(ct_series, tmp_path):
    series = usable(ct_series(tmp_path, n=8))
    framed = replace(series, slices=tuple(replace(one, frame_number=i + 1) for i, one in enumerate(series.slices)))

    sources = reduce_series(framed, SMALL).sources

    assert sources[2] == (SlabSource(series.slices[2].sop_instance_uid, 3, 45.0, 1.0, 3),)


def test_what_a_chest_has_is_looked_for_in_the_mean_of_the_slabs_that_are_not_blank(ct_series, tmp_path, monkeypatch):
    hu = noise(16)
    hu[4:6] = 0
    asked = []
    monkeypatch.setattr(reduce, "lacking", lambda *args: asked.append(args) or ("air",))

    volume = reduce_series(usable(ct_series(tmp_path, n=16, hu=hu)), SMALL)

    ((mean_hu, blank_slabs),) = asked
    np.testing.assert_array_equal(mean_hu, volume.hu[0])
    assert blank_slabs == (2,)
    assert volume.noticed == PixelFaults(blank_slices=(4, 5), blank_slabs=(2,), implausible=("air",))
    assert volume.flags == ("blank-slices", "implausible-values")


def test_a_series_of_blank_slices_is_refused_by_number_and_first_instance(ct_series, tmp_path):
    series = usable(ct_series(tmp_path, n=10, hu=0))

    with pytest.raises(SeriesRefused) as refused:
        require_content(series, reduce_series(series, SMALL))

    assert refused.value.reason == "blank"
    assert refused.value.sentence == (
        f"series {series.series_instance_uid}: images must show more than one value, got 10 of 10 that do not, "
        f"the first of them instance {series.slices[0].sop_instance_uid}; export the series again"
    )


def test_units_are_left_open_only_where_the_pixels_are_those_of_a_chest(ct_series, tmp_path):
    series = usable(ct_series(tmp_path, n=10))
    volume = reduce_series(series, SMALL)
    lacks, has = PixelFaults(blank_slabs=(1,), implausible=("air", "lung")), PixelFaults()

    with pytest.raises(SeriesRefused) as refused:
        require_content(series, replace(volume, flags=("unspecified-units",), noticed=lacks))

    assert refused.value.reason == "not-hounsfield"
    assert refused.value.sentence == (
        f"series {series.series_instance_uid}: RescaleType must be HU or absent, got US, unspecified, and pixels "
        "without the values of air and lung; choose the series in Hounsfield units"
    )
    require_content(series, replace(volume, flags=("unspecified-units",), noticed=has))
    require_content(series, replace(volume, flags=(), noticed=lacks))


def test_via_an_intermediate_grid_is_one_matrix(ct_series, tmp_path):
    hu = noise(16)
    series = usable(ct_series(tmp_path, n=16, hu=hu, spacing_mm=2.5))

    volume = reduce_series(series, PreprocessConfig(size=16, slices=9, via_mm=1.0))

    z_mm = np.array([source.z_mm for source in series.slices])
    weights = slab_weights(z_mm, 1.25, volume.edges_mm, via_mm=1.0)
    expected = np.tensordot(weights, downscale_local_mean(hu.astype(float), (1, 2, 2)), axes=1)
    np.testing.assert_allclose(volume.hu[0], expected, atol=0.51)


def test_a_slice_that_vanished_under_way_refuses_the_series(ct_series, tmp_path):
    series = usable(ct_series(tmp_path))
    (tmp_path / "000004.dcm").unlink()

    with pytest.raises(SeriesRefused) as refused:
        reduce_series(series, SMALL)

    assert refused.value.reason == "unreadable"
    assert str(tmp_path) not in str(refused.value)


def test_series_of_another_order_of_files_give_the_same_volume(ct_series, tmp_path):
    series = usable(ct_series(tmp_path / "a", series_uid="1.2.3"))
    for number, path in enumerate(sorted((tmp_path / "a").iterdir(), reverse=True)):
        path.rename(tmp_path / "a" / f"x{number}")

    before = replace(series, slices=usable(tmp_path / "a").slices)

    np.testing.assert_array_equal(reduce_series(before, SMALL).hu, reduce_series(usable(tmp_path / "a"), SMALL).hu)


@pytest.mark.real
def test_the_real_lidc_series_is_reduced_to_65_slabs_of_its_whole_extent(real_data):
    series = usable(real_data / "LIDC-IDRI")

    volume = reduce_series(series, PreprocessConfig())

    assert volume.hu.shape == (2, 65, 128, 128)
    np.testing.assert_allclose(volume.edges_mm[[0, -1]], [-8.75, -341.25])
    assert (volume.hu[1] >= volume.hu[0]).all()
    assert {len(slab) for slab in volume.sources} == {3, 4}
    assert volume.flags == ()


@pytest.mark.real
@pytest.mark.parametrize("size", [128, 96])
def test_the_real_lidc_series_agrees_with_scikit_images_area_mean(real_data, size):
    series = usable(real_data / "LIDC-IDRI")
    stack = np.stack([hounsfield_slice(source) for source in series.slices]).astype(np.float32)

    mean = reduce_series(series, PreprocessConfig(size=size)).hu[0]

    reference = resize_local_mean(stack, mean.shape)
    assert np.corrcoef(mean.ravel(), reference.ravel())[0, 1] > 0.9999
    assert np.abs(mean - reference).mean() < 1


@pytest.mark.real
def test_the_real_lungs_are_found(real_data):
    volume = reduce_series(usable(real_data / "LIDC-IDRI"), PreprocessConfig(size=64, z_range="lung"))

    assert volume.lung_z_mm == pytest.approx((-29, -275), abs=8)
