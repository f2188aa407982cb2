import io
import json
import shutil
import struct
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    LegacyConvertedEnhancedCTImageStorage,
    RLELossless,
)

from lidcflow.config import PreprocessConfig
from lidcflow.dicom.elements import Budget
from lidcflow.dicom.frames import FrameError, frame_spans
from lidcflow.dicom.records import VerdictReason
from lidcflow.errors import SeriesRefused
from lidcflow.pixels.decode import hounsfield_slice
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume.reduce import reduce_series
from tests.enhanced import to_enhanced

SMALL = PreprocessConfig(size=16, slices=8)


def only_verdict(folder):
    (verdict,) = index_folder(folder, secret=PUBLIC_KEY)
    return verdict


def hu_of(folder):
    return np.array([hounsfield_slice(source) for source in only_verdict(folder).series.slices])


@pytest.fixture
def pair(ct_series, tmp_path):
    """Return a function that writes a series twice: its volume as classic images, and the folder to be converted."""

    def write(**overrides):
        overrides = {"ConvolutionKernel": "STANDARD", "KVP": 120, **overrides}
        classic = ct_series(tmp_path / "classic", series_uid="1.2.3", **overrides)
        shutil.copytree(classic, tmp_path / "enhanced")
        return only_verdict(classic).series, tmp_path / "enhanced"

    return write


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "per frame"])
@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian])
def test_a_multi_frame_object_gives_the_volume_of_its_slices_as_classic_images(pair, shared, syntax):
    classic, folder = pair(**({"syntax": syntax} if syntax else {}))

    series = only_verdict(to_enhanced(folder, shared=shared)).series

    np.testing.assert_array_equal(reduce_series(series, SMALL).hu, reduce_series(classic, SMALL).hu)
    assert series.acquisition == classic.acquisition
    assert (series.slice_spacing_mm, series.row_spacing_mm) == (classic.slice_spacing_mm, classic.row_spacing_mm)


def test_every_lossless_syntax_gives_the_same_hounsfield_units(pair, encode, lossless_syntax):
    classic, folder = pair()
    expected = np.array([hounsfield_slice(source) for source in classic.slices])

    found = hu_of(to_enhanced(encode(folder, lossless_syntax)))

    np.testing.assert_array_equal(found, expected)


def test_frames_of_a_deflated_object_are_found_in_any_order(pair, encode, monkeypatch):
    classic, folder = pair(n=24, ImagePositionPatient=lambda i: [0, 0, 2.5 * i])
    monkeypatch.setattr("lidcflow.pixels.encoded.CHUNK_BYTES", 512)

    found = hu_of(to_enhanced(encode(folder, DeflatedExplicitVRLittleEndian)))

    np.testing.assert_array_equal(found, [hounsfield_slice(source) for source in classic.slices])


@pytest.mark.parametrize(("table", "fragments"), [("basic", 1), ("basic", 3), ("extended", 1), (None, 1), (None, 3)])
def test_compressed_frames_are_found_by_tables_or_fragments(pair, encode, table, fragments):
    classic, folder = pair()

    found = hu_of(to_enhanced(encode(folder, JPEGLSLossless), table=table, fragments=fragments))

    np.testing.assert_array_equal(found, [hounsfield_slice(source) for source in classic.slices])


def test_an_offset_table_that_makes_no_sense_is_not_believed(pair, encode):
    classic, folder = pair()

    def spoil(dataset):
        dataset.ExtendedOffsetTable = bytes(len(dataset.ExtendedOffsetTable))

    found = hu_of(to_enhanced(encode(folder, RLELossless), table="extended", change=spoil))

    np.testing.assert_array_equal(found, [hounsfield_slice(source) for source in classic.slices])


def test_sequences_of_undefined_length_are_read_too(pair):
    classic, folder = pair()

    def change(dataset):
        for element in dataset:
            if element.VR == "SQ":
                element.is_undefined_length = True
                for item in element.value:
                    item.is_undefined_length_sequence_item = True

    series = only_verdict(to_enhanced(folder, shared=False, change=change)).series

    np.testing.assert_array_equal(reduce_series(series, SMALL).hu, reduce_series(classic, SMALL).hu)


def test_each_frame_has_its_own_rescale(pair):
    classic, folder = pair(hu=0, RescaleIntercept=lambda i: -1024 + i)

    series = only_verdict(to_enhanced(folder)).series

    assert [source.intercept for source in series.slices] == [source.intercept for source in classic.slices]
    np.testing.assert_array_equal(reduce_series(series, SMALL).hu, reduce_series(classic, SMALL).hu)


def test_images_that_were_converted_to_one_object_keep_their_protocol(pair):
    classic, folder = pair()

    def convert(dataset):
        dataset.SOPClassUID = LegacyConvertedEnhancedCTImageStorage
        (shared,) = dataset.SharedFunctionalGroupsSequence
        shared.UnassignedSharedConvertedAttributesSequence = shared.CTReconstructionSequence
        shared.UnassignedSharedConvertedAttributesSequence[0].KVP = "120"
        del shared.CTReconstructionSequence, shared.CTXRayDetailsSequence

    assert only_verdict(to_enhanced(folder, change=convert)).series.acquisition == classic.acquisition


def test_frames_are_named_by_the_instance_and_their_number(pair):
    _, folder = pair(ImagePositionPatient=lambda i: [0, 0, 2.5 * i])

    slices = only_verdict(to_enhanced(folder)).series.slices

    assert {source.sop_instance_uid for source in slices} == {"1.2.3.1"}
    assert [source.frame_number for source in slices] == list(range(10, 0, -1))


def test_the_store_traces_every_slab_to_frames(pair, tmp_path):
    _, folder = pair()
    series = only_verdict(to_enhanced(folder)).series
    volume = reduce_series(series, SMALL)
    store = VolumeStore(tmp_path / "store", SMALL)

    store.write(series, volume)

    sources = store.record("1.2.3").sources
    assert sources == volume.sources
    assert {source.frame_number for slab in sources for source in slab} == set(range(1, 11))
    stored = json.loads((tmp_path / "store" / "series" / "1.2.3" / "zarr.json").read_text())
    assert stored["attributes"]["lidcflow"]["source_slices"][0] == ["1.2.3.1", 1, 50.0, 1]


def test_classic_images_have_no_frame_number_in_the_store(ct_series, tmp_path):
    series = only_verdict(ct_series(tmp_path / "ct", series_uid="1.2.3")).series
    store = VolumeStore(tmp_path / "store", SMALL)

    store.write(series, reduce_series(series, SMALL))

    stored = json.loads((tmp_path / "store" / "series" / "1.2.3" / "zarr.json").read_text())
    assert stored["attributes"]["lidcflow"]["source_slices"][0] == [series.slices[0].sop_instance_uid, 1, 50.0]


def without(keyword):
    def change(dataset):
        for item in [*dataset.SharedFunctionalGroupsSequence, *dataset.PerFrameFunctionalGroupsSequence]:
            if keyword in item:
                delattr(item, keyword)

    return change


def with_values(**values):
    def change(dataset):
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return change


def with_two_orientations(dataset):
    for item in dataset.PerFrameFunctionalGroupsSequence[::2]:
        item.PlaneOrientationSequence = [pydicom.Dataset()]
        item.PlaneOrientationSequence[0].ImageOrientationPatient = [0, 1, 0, 0, 0, -1]


def with_units(unit):
    def change(dataset):
        for groups in [*dataset.SharedFunctionalGroupsSequence, *dataset.PerFrameFunctionalGroupsSequence]:
            for item in groups.get("PixelValueTransformationSequence", []):
                item.RescaleType = unit

    return change


def without_last_group(dataset):
    del dataset.PerFrameFunctionalGroupsSequence[-1]


def with_all_localizers(dataset):
    dataset.SharedFunctionalGroupsSequence[0].CTImageFrameTypeSequence[0].FrameType = [
        "ORIGINAL",
        "PRIMARY",
        "LOCALIZER",
    ]


REFUSED = {
    "no positions": (without("PlanePositionSequence"), VerdictReason.NO_POSITION, "got 0 of 10"),
    "no orientation": (without("PlaneOrientationSequence"), VerdictReason.NO_POSITION, "got 0 of 10"),
    "no pixel measures": (without("PixelMeasuresSequence"), VerdictReason.NO_POSITION, "got 0 of 10"),
    "no rescale": (
        without("PixelValueTransformationSequence"),
        VerdictReason.NO_RESCALE,
        "RescaleIntercept none in 10 of 10 frames, the first frame 1 of ",
    ),
    "a unit for each frame": (with_units("Z_EFF"), VerdictReason.NOT_HOUNSFIELD, "got Z_EFF in 10 of 10 frames"),
    "orientations that differ": (
        with_two_orientations,
        VerdictReason.MIXED_GEOMETRY,
        "got 2 kinds, the largest on 5 of 10",
    ),
    "no groups": (
        with_values(PerFrameFunctionalGroupsSequence=[]),
        VerdictReason.MULTI_FRAME,
        "functional groups must be one for each frame, got 0 for 10 frames",
    ),
    "a group too few": (without_last_group, VerdictReason.MULTI_FRAME, "got 9 for 10 frames"),
    "a frame more than groups": (with_values(NumberOfFrames=11), VerdictReason.MULTI_FRAME, "got 10 for 11 frames"),
    "no frames": (with_values(NumberOfFrames=0), VerdictReason.MULTI_FRAME, "NumberOfFrames must be 1 to 10000, got 0"),
    "absurd frames": (with_values(NumberOfFrames=2**31 - 1), VerdictReason.MULTI_FRAME, "1 to 10000, got 2147483647"),
    "a frame cut off": (with_values(PixelData=bytes(9 * 2048)), VerdictReason.TRUNCATED, "must have 2048 bytes, got 0"),
    "pixels of a frame more": (
        with_values(PixelData=bytes(11 * 2048)),
        VerdictReason.UNSUPPORTED_PIXELS,
        "got 4096 bytes",
    ),
    "no pixels": (lambda dataset: delattr(dataset, "PixelData"), VerdictReason.TRUNCATED, "got 0"),
    "an absurd matrix": (with_values(Rows=65535, Columns=65535), VerdictReason.UNSUPPORTED_PIXELS, "65535 x 65535"),
    "all localizers": (with_all_localizers, VerdictReason.LOCALIZER, "got 10 localizers"),
}


@pytest.mark.parametrize(("change", "reason", "found"), REFUSED.values(), ids=REFUSED)
def test_a_multi_frame_object_that_cannot_be_used_gets_one_reason(pair, change, reason, found):
    _, folder = pair()

    verdict = only_verdict(to_enhanced(folder, change=change))

    assert verdict.reason is reason
    assert found in verdict.sentence
    assert verdict.sentence.startswith("series 1.2.3: ")
    assert "; " in verdict.sentence


def test_two_multi_frame_objects_in_a_series_are_refused(pair):
    _, folder = pair()
    to_enhanced(folder)
    other = pydicom.dcmread(folder / "enhanced.dcm")
    other.SOPInstanceUID = "1.2.3.2"
    other.save_as(folder / "other.dcm")

    verdict = only_verdict(folder)

    assert verdict.reason is VerdictReason.MULTI_FRAME
    assert "got 2 multi-frame objects and 0 classic images" in verdict.sentence


def test_a_multi_frame_object_beside_classic_images_is_refused(pair, tmp_path):
    to_enhanced(pair()[1])

    verdict = only_verdict(tmp_path)

    assert verdict.reason is VerdictReason.MULTI_FRAME
    assert "got 1 multi-frame objects and 10 classic images" in verdict.sentence


def test_a_copy_of_a_multi_frame_object_and_a_localizer_beside_it_are_set_aside(pair):
    _, folder = pair()
    shutil.copy(folder / "000001.dcm", folder.parent / "scout.dcm")
    to_enhanced(folder)
    shutil.copy(folder / "enhanced.dcm", folder / "copy.dcm")
    scout = pydicom.dcmread(folder.parent / "scout.dcm")
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scout.save_as(folder / "scout.dcm")

    verdict = only_verdict(folder)

    assert (len(verdict.series.slices), verdict.n_files, verdict.set_aside) == (10, 3, 11)
    assert verdict.flags == ("files-set-aside",)


@pytest.mark.parametrize("frames", [9, 11])
def test_fragments_that_do_not_fit_the_frames_are_refused(pair, encode, frames):
    _, folder = pair()

    def change(dataset):
        dataset.PixelData = encapsulate([b"\xff\xd9" + bytes(20)] * frames, has_bot=False)

    verdict = only_verdict(to_enhanced(encode(folder, JPEGLSLossless), change=change))

    assert verdict.reason is VerdictReason.MULTI_FRAME
    assert f"got {frames}" in verdict.sentence


def test_an_object_with_more_fragments_than_can_be_is_not_searched_for_ever(monkeypatch):
    monkeypatch.setattr("lidcflow.dicom.frames.MOST_FRAGMENTS", 5)
    content = struct.pack("<LL", 0xE000FFFE, 0) * 100

    with pytest.raises(FrameError, match="at most 5 fragments"):
        frame_spans(io.BytesIO(content), 0, 3, None)


def test_a_compressed_frame_that_is_cut_short_is_refused_when_it_is_read(pair, encode):
    _, folder = pair()
    series = only_verdict(to_enhanced(encode(folder, RLELossless))).series
    last = replace(max(series.slices, key=lambda source: source.frame_number), item_bytes=100)

    with pytest.raises(SeriesRefused, match="must be whole, got a part"):
        hounsfield_slice(last)


def test_a_header_of_more_pieces_than_a_header_has_gives_a_verdict(pair, monkeypatch):
    _, folder = pair()
    to_enhanced(folder, shared=False)
    monkeypatch.setattr("lidcflow.dicom.enhanced.Budget", lambda: Budget(pieces=200))

    verdict = only_verdict(folder)

    assert verdict.reason is VerdictReason.MULTI_FRAME
    assert "functional groups must be sound, got some that can't be read" in verdict.sentence


@pytest.mark.real
@pytest.mark.parametrize("syntax", [None, RLELossless, JPEGLSLossless], ids=["plain", "RLE", "JPEG-LS"])
def test_the_real_series_as_one_object_gives_the_same_volume(real_data, encode, tmp_path, syntax):
    whole = only_verdict(real_data / "LIDC-IDRI").series
    for source in whole.slices if syntax is None else whole.slices[40:64]:
        shutil.copy(source.path, tmp_path)
    expected = reduce_series(only_verdict(tmp_path).series, PreprocessConfig())

    folder = to_enhanced(encode(tmp_path, syntax) if syntax else tmp_path)

    series = only_verdict(folder).series
    assert pydicom.dcmread(folder / "enhanced.dcm", stop_before_pixels=True).SOPClassUID != CTImageStorage
    np.testing.assert_array_equal(reduce_series(series, PreprocessConfig()).hu, expected.hu)
