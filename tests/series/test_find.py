import os
import shutil

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    MPEG2MPML,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    RLELossless,
)

from lidcflow.config import PreprocessConfig
from lidcflow.dicom.records import VerdictReason
from lidcflow.errors import SourceError
from lidcflow.pixels.decode import hounsfield_slice
from lidcflow.privacy import PUBLIC_KEY, hash_patient_id
from lidcflow.series.find import index_folder
from lidcflow.volume.reduce import reduce_series

FRAME = encapsulate([b"never decoded"])
CT, SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.7"


def index(folder, **options):
    return index_folder(folder, secret=PUBLIC_KEY, **options)


def only_verdict(folder, **options):
    (verdict,) = index(folder, **options)
    return verdict


def positions(z_mm):
    return lambda i: [-100.0, -100.0, z_mm[i]]


def mutate(path, **values):
    dataset = pydicom.dcmread(path)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)


def test_a_clean_series_is_usable_and_says_what_it_is(ct_series, tmp_path):
    verdict = only_verdict(ct_series(tmp_path, n=10, size=32, spacing_mm=2.5))

    assert verdict.usable
    assert verdict.reason is VerdictReason.USABLE
    assert verdict.sentence == "10 slices of 32 x 32, 2.50 mm apart"
    assert (verdict.n_files, verdict.set_aside, verdict.flags) == (10, 0, ())


def test_slices_are_ordered_from_the_top_whatever_files_and_numbers_say(ct_series, tmp_path):
    series = only_verdict(
        ct_series(tmp_path, ImagePositionPatient=lambda i: [0, 0, 5.0 * i], InstanceNumber=lambda i: 100 - i)
    ).series

    assert [source.z_mm for source in series.slices] == [5.0 * i for i in range(9, -1, -1)]
    assert series.slices[0].instance_number == 91
    assert series.slice_spacing_mm == 5.0


def test_series_are_grouped_by_uid_whatever_the_folders_say(ct_series, tmp_path):
    ct_series(tmp_path / "mixed", series_uid="1.2.1")
    for path in (tmp_path / "mixed").iterdir():
        path.rename(path.with_name(f"a{path.name}"))
    ct_series(tmp_path / "mixed", series_uid="1.2.2")
    elsewhere = tmp_path / "else" / "where"
    elsewhere.mkdir(parents=True)
    (tmp_path / "mixed" / "a000004.dcm").rename(elsewhere / "no-extension")

    found = index(tmp_path)

    assert [(verdict.series_instance_uid, verdict.n_files, verdict.usable) for verdict in found] == [
        ("1.2.1", 10, True),
        ("1.2.2", 10, True),
    ]


def test_the_order_of_the_files_changes_nothing(ct_series, tmp_path):
    folder = ct_series(tmp_path / "a", series_uid="1.2.3")
    before = only_verdict(folder).series
    for number, path in enumerate(sorted(folder.iterdir(), reverse=True)):
        path.rename(folder / f"x{number}")

    after = only_verdict(folder).series

    assert after.fingerprint == before.fingerprint
    assert [s.sop_instance_uid for s in after.slices] == [s.sop_instance_uid for s in before.slices]


def test_the_fingerprint_changes_with_the_geometry(ct_series, tmp_path):
    before = only_verdict(ct_series(tmp_path / "a", series_uid="1.2.3")).series
    after = only_verdict(ct_series(tmp_path / "b", series_uid="1.2.3", spacing_mm=2.0)).series

    assert after.fingerprint != before.fingerprint


REFUSED = {
    "another modality": ({"Modality": "MR"}, VerdictReason.NOT_CT, "modality must be CT, got MR"),
    "secondary captures": (
        {"SOPClassUID": SECONDARY_CAPTURE},
        VerdictReason.NOT_CT,
        "got Secondary Capture Image Storage",
    ),
    "localizers": ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, VerdictReason.LOCALIZER, "got 10 localizers"),
    "several frames": ({"NumberOfFrames": 4}, VerdictReason.MULTI_FRAME, "got 4 frames"),
    "no position": ({"ImagePositionPatient": None}, VerdictReason.NO_POSITION, "got 0 of 10"),
    "position not a number": ({"ImagePositionPatient": [0, 0]}, VerdictReason.NO_POSITION, "got 0 of 10"),
    "no orientation": ({"ImageOrientationPatient": None}, VerdictReason.NO_POSITION, "got 0 of 10"),
    "cosines of no direction": (
        {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
        VerdictReason.NO_POSITION,
        "got 0 of 10",
    ),
    "no pixel spacing": ({"PixelSpacing": None}, VerdictReason.NO_POSITION, "got 0 of 10"),
    "pixel spacing of zero": ({"PixelSpacing": [0, 0]}, VerdictReason.NO_POSITION, "got 0 of 10"),
    "coronal": (
        {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1], "ImagePositionPatient": lambda i: [0, 2.5 * i, 0]},
        VerdictReason.NOT_AXIAL,
        "got 90.0",
    ),
    "ten degrees off, stacked along the normal": (
        {
            "ImageOrientationPatient": [1, 0, 0, 0, 0.984808, 0.173648],
            "ImagePositionPatient": lambda i: [0, -0.173648 * 2 * i, 0.984808 * 2 * i],
        },
        VerdictReason.NOT_AXIAL,
        "got 10.0",
    ),
    "gantry tilt": (
        {"ImageOrientationPatient": [1, 0, 0, 0, 0.99863, -0.052336]},
        VerdictReason.TILTED,
        "got 3.0 degrees of gantry tilt",
    ),
    "two orientations": (
        {"ImageOrientationPatient": lambda i: [1, 0, 0, 0, 1, 0] if i % 2 else [0, 1, 0, 0, 0, -1]},
        VerdictReason.MIXED_GEOMETRY,
        "got 2 kinds, the largest on 5 of 10",
    ),
    "two pixel spacings": (
        {"PixelSpacing": lambda i: [1, 1] if i < 5 else [2, 2]},
        VerdictReason.MIXED_GEOMETRY,
        "got 2 kinds",
    ),
    "two frames of reference": (
        {"FrameOfReferenceUID": lambda i: f"1.{i % 2}"},
        VerdictReason.MIXED_GEOMETRY,
        "got 2 kinds",
    ),
    "two matrix sizes": (
        {"Rows": lambda i: 32 if i % 2 else 16, "PixelData": lambda i: bytes(2048 if i % 2 else 1024)},
        VerdictReason.MIXED_GEOMETRY,
        "Rows and Columns 32\\32 there and 16\\32 in instance 1.2.",
    ),
    "sagittal": (
        {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1], "ImagePositionPatient": lambda i: [2.5 * i, 0, 0]},
        VerdictReason.NOT_AXIAL,
        "got 90.0",
    ),
    "two kernels": (
        {"ConvolutionKernel": lambda i: "LUNG" if i % 2 else "STANDARD"},
        VerdictReason.MIXED_KERNELS,
        "got 2 kernels, the most frequent on 5 of 10",
    ),
    "a whole body": (
        {"n": 40, "spacing_mm": 25.0},
        VerdictReason.WHOLE_BODY,
        "a scan must be at most 800 mm long, got 1000 mm from instance ",
    ),
    "a scan longer than any patient": (
        {"n": 10, "spacing_mm": 300.0},
        VerdictReason.WHOLE_BODY,
        "at most 2500 mm long, got 3000 mm from instance ",
    ),
    "lossy JPEG of 8 bits": (
        {"syntax": JPEGBaseline8Bit, "PixelData": FRAME},
        VerdictReason.UNSUPPORTED_SYNTAX,
        "(InstanceNumber 1): lossy JPEG of 8 bits, which no longer holds Hounsfield units",
    ),
    "lossy JPEG of 12 bits": (
        {"syntax": JPEGExtended12Bit, "PixelData": FRAME},
        VerdictReason.UNSUPPORTED_SYNTAX,
        "got JPEG Extended (Process 2 and 4) (1.2.840.10008.1.2.4.51) in 10 of 10 instances, the first ",
    ),
    "a film": (
        {"syntax": MPEG2MPML, "PixelData": FRAME},
        VerdictReason.UNSUPPORTED_SYNTAX,
        "for which there is no decoder here; decompress the series first",
    ),
    "32 bits": (
        {"BitsAllocated": 32},
        VerdictReason.UNSUPPORTED_PIXELS,
        "got SamplesPerPixel 1 and BitsAllocated 32 in 10 of 10 instances",
    ),
    "colour": ({"SamplesPerPixel": 3}, VerdictReason.UNSUPPORTED_PIXELS, "got SamplesPerPixel 3 and BitsAllocated 16"),
    "absurd size": (
        {"Rows": 65535, "Columns": 65535},
        VerdictReason.UNSUPPORTED_PIXELS,
        "Columns must be 16 to 4096, got 65535 x 65535",
    ),
    "bits in the middle": (
        {"BitsStored": 12, "HighBit": 13},
        VerdictReason.UNSUPPORTED_PIXELS,
        "got BitsStored 12 and HighBit 13",
    ),
    "too many pixels": ({"Rows": 16}, VerdictReason.UNSUPPORTED_PIXELS, "got 2048 bytes for 16 x 32 pixels of 2 bytes"),
    "too few pixels": ({"Rows": 64}, VerdictReason.TRUNCATED, "must have 4096 bytes, got 2048"),
    "no pixels": ({"PixelData": None}, VerdictReason.TRUNCATED, "got 0 bytes in 10 of 10 instances, the first "),
    "no slope": ({"RescaleSlope": None}, VerdictReason.NO_RESCALE, "got RescaleSlope none and RescaleIntercept -1024"),
    "a position beyond the building": (
        {"ImagePositionPatient": [0, 1e300, 0]},
        VerdictReason.NO_POSITION,
        "got 0 of 10",
    ),
    "a slope of no scanner": ({"RescaleSlope": 1e300}, VerdictReason.NO_RESCALE, "got RescaleSlope 1e+300"),
    "slope of zero": ({"RescaleSlope": 0}, VerdictReason.NO_RESCALE, "got RescaleSlope 0 and RescaleIntercept -1024"),
    "no intercept": (
        {"RescaleIntercept": None},
        VerdictReason.NO_RESCALE,
        "got RescaleSlope 1 and RescaleIntercept none",
    ),
    "effective atomic numbers": (
        {"RescaleType": "Z_EFF"},
        VerdictReason.NOT_HOUNSFIELD,
        "got Z_EFF in 10 of 10 instances",
    ),
    "material density": ({"RescaleType": "MGML"}, VerdictReason.NOT_HOUNSFIELD, "got MGML in 10 of 10 instances"),
    "optical density": ({"RescaleType": "OD"}, VerdictReason.NOT_HOUNSFIELD, "got OD in 10 of 10"),
    "modified units": ({"RescaleType": "HU_MOD"}, VerdictReason.NOT_HOUNSFIELD, "got HU_MOD in 10 of 10"),
    "one image in another unit": (
        {"RescaleType": lambda i: "PCT" if i == 3 else "HU"},
        VerdictReason.NOT_HOUNSFIELD,
        "got PCT in 1 of 10 instances, the first ",
    ),
    "a unit that may be a name": (
        {"RescaleType": "Lovelace^Ada^of London"},
        VerdictReason.NOT_HOUNSFIELD,
        "got a value of 22 characters in 10",
    ),
    "one position": ({"ImagePositionPatient": [0, 0, 7.5]}, VerdictReason.DUPLICATE_POSITIONS, "first at z = 7.50 mm"),
    "a slice missing": (
        {"ImagePositionPatient": positions([0, 1, 2, 3, 5, 6, 7, 8, 9, 10])},
        VerdictReason.MISSING_SLICES,
        "got 1.00 to 2.00 mm; a slice may be missing near z = 4.0 mm",
    ),
    "a gap of no whole steps": (
        {"ImagePositionPatient": positions([0, 1, 2, 3, 4, 5, 6, 7, 8, 10.5])},
        VerdictReason.UNEVEN_SPACING,
        "got 1.00 to 2.50 mm",
    ),
    "too few": ({"n": 7}, VerdictReason.TOO_FEW_SLICES, "at least 8 slices, got 7"),
    "a study that leads out of a folder": ({"StudyInstanceUID": "../../x"}, VerdictReason.BAD_UID, "got 7 characters"),
    "instances without a name": ({"SOPInstanceUID": None}, VerdictReason.BAD_UID, "got none"),
    "one instance at two places": (
        {"SOPInstanceUID": "1.2"},
        VerdictReason.BAD_UID,
        "got one at two positions for 9 of 10 images, the first 1.2 (InstanceNumber 2)",
    ),
    "two patients": (
        {"PatientID": lambda i: f"P{i % 2}"},
        VerdictReason.MIXED_IDENTITY,
        "got 1 studies and 2 patients",
    ),
    "two studies": ({"StudyInstanceUID": lambda i: f"1.{i % 2}"}, VerdictReason.MIXED_IDENTITY, "got 2 studies"),
}


@pytest.mark.parametrize(("overrides", "reason", "found"), REFUSED.values(), ids=REFUSED)
def test_a_series_that_cannot_be_used_gets_one_reason_and_a_sentence(ct_series, tmp_path, overrides, reason, found):
    verdict = only_verdict(ct_series(tmp_path, series_uid="1.2.3", **overrides))

    assert not verdict.usable
    assert verdict.reason is reason
    assert found in verdict.sentence
    assert verdict.sentence.startswith("series 1.2.3: ")
    assert "; " in verdict.sentence


@pytest.mark.parametrize("uid", ["../../x", "1.2.x", "a" * 70])
def test_a_series_uid_that_is_none_is_replaced_by_a_hash(ct_series, tmp_path, uid):
    verdict = only_verdict(ct_series(tmp_path, series_uid="1.2.3", SeriesInstanceUID=uid))

    assert verdict.reason is VerdictReason.BAD_UID
    assert verdict.series_instance_uid.startswith("invalid-")
    assert uid not in verdict.sentence


@pytest.mark.parametrize("syntax", [JPEGLSNearLossless, JPEG2000])
def test_lossy_compression_is_flagged(ct_series, encode, tmp_path, syntax):
    folder = ct_series(tmp_path)
    plain = only_verdict(folder).series
    options = {"j2k_cr": [10]} if syntax == JPEG2000 else {}

    series = only_verdict(encode(folder, syntax, **options)).series

    assert series.flags == ("lossy-compression",)
    assert series.fingerprint != plain.fingerprint


def test_pixels_that_were_compressed_with_loss_before_are_flagged(ct_series, tmp_path):
    assert only_verdict(ct_series(tmp_path, LossyImageCompression="01")).flags == ("lossy-compression",)


def test_of_an_instance_in_two_syntaxes_the_plain_one_is_kept(ct_series, encode, tmp_path):
    encode(ct_series(tmp_path / "compressed", series_uid="1.2.3"), RLELossless)
    ct_series(tmp_path / "plain", series_uid="1.2.3")

    series = only_verdict(tmp_path).series

    assert {source.transfer_syntax_uid for source in series.slices} == {ExplicitVRLittleEndian}


def test_gaps_can_be_accepted_with_a_flag(ct_series, tmp_path):
    folder = ct_series(tmp_path, ImagePositionPatient=positions([0, 1, 2, 3, 5, 6, 7, 8, 9, 10]))

    verdict = only_verdict(folder, config=PreprocessConfig(gaps="accept"))

    assert verdict.usable
    assert verdict.flags == verdict.series.flags == ("missing-slices-accepted",)


def test_spacing_that_varies_within_the_limit_is_flagged(ct_series, tmp_path):
    folder = ct_series(tmp_path, ImagePositionPatient=positions([0, 1, 2, 3, 4.3, 5.3, 6.3, 7.3, 8.3, 9.3]))

    assert only_verdict(folder).flags == ("spacing-varies",)


def test_localizers_and_captures_in_a_series_are_set_aside_and_counted(ct_series, tmp_path):
    folder = ct_series(tmp_path, n=12)
    mutate(folder / "000001.dcm", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    mutate(folder / "000012.dcm", SOPClassUID=SECONDARY_CAPTURE)

    verdict = only_verdict(folder)

    assert (len(verdict.series.slices), verdict.set_aside, verdict.flags) == (10, 2, ("files-set-aside",))


def test_a_scout_without_a_mark_is_set_aside_by_its_orientation(ct_series, tmp_path):
    folder = ct_series(tmp_path, n=11)
    mutate(folder / "000001.dcm", ImageOrientationPatient=[0, 1, 0, 0, 0, -1])

    verdict = only_verdict(folder)

    assert (len(verdict.series.slices), verdict.set_aside) == (10, 1)


def test_a_slice_of_another_kernel_is_set_aside_and_absent_kernels_do_not_count(ct_series, tmp_path):
    kernels = ["LUNG", None, *["STANDARD"] * 9]
    verdict = only_verdict(
        ct_series(tmp_path, n=11, ConvolutionKernel=lambda i: Ellipsis if kernels[i] is None else kernels[i])
    )

    assert (len(verdict.series.slices), verdict.set_aside, verdict.flags) == (10, 1, ("files-set-aside",))


def test_a_multi_frame_capture_among_the_images_is_set_aside(ct_series, tmp_path):
    folder = ct_series(tmp_path, n=11)
    mutate(folder / "000001.dcm", SOPClassUID=SECONDARY_CAPTURE, NumberOfFrames=4)

    verdict = only_verdict(folder)

    assert (len(verdict.series.slices), verdict.set_aside) == (10, 1)


def test_a_whole_body_is_usable_where_the_lungs_are_looked_for(ct_series, tmp_path):
    folder = ct_series(tmp_path, n=40, spacing_mm=25.0)

    verdict = only_verdict(folder, config=PreprocessConfig(z_range="lung"))

    assert verdict.usable
    assert verdict.flags == ("long-scan",)


@pytest.mark.parametrize("z_range", ["scan", "centre"])
def test_the_longest_chest_of_lidc_is_no_whole_body(ct_series, tmp_path, z_range):
    folder = ct_series(tmp_path, n=68, spacing_mm=10.0, size=16)

    assert only_verdict(folder, config=PreprocessConfig(z_range=z_range)).usable


def test_what_the_field_is_sloppy_with_is_tolerated(ct_series, tmp_path):
    padding = DataElement("PixelPaddingValue", "US", 63536)
    folder = ct_series(tmp_path, Manufacturer=None, PatientID=None, PixelPaddingValue=padding, hu=5000)

    verdict = only_verdict(folder)

    assert verdict.flags == ("no-patient-id",)
    assert hounsfield_slice(verdict.series.slices[0]).max() == 3071


def test_a_file_that_cannot_be_opened_is_counted_as_unreadable(ct_series, tmp_path, monkeypatch):
    ct_series(tmp_path)
    (tmp_path / "locked.dcm").write_bytes(b"")
    opened = open

    def locked(path, *args, **options):
        if str(path).endswith("locked.dcm"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **options)

    monkeypatch.setattr("builtins.open", locked)
    found = index(tmp_path)

    assert (found.unreadable, found[0].flags) == (1, ("unreadable-files-beside",))


def test_a_link_to_nothing_is_no_file(ct_series, tmp_path):
    ct_series(tmp_path)
    (tmp_path / "gone.dcm").symlink_to(tmp_path / "nothing")

    assert only_verdict(tmp_path).n_files == 10


def test_a_second_copy_of_a_file_is_set_aside(ct_series, tmp_path):
    folder = ct_series(tmp_path)
    shutil.copy(folder / "000005.dcm", folder / "copy of 5.dcm")

    verdict = only_verdict(folder)

    assert (len(verdict.series.slices), verdict.set_aside) == (10, 1)


def test_of_two_copies_the_whole_one_is_kept(ct_series, tmp_path):
    folder = ct_series(tmp_path)
    content = (folder / "000005.dcm").read_bytes()
    (folder / "000000.dcm").write_bytes(content[:-100])

    assert only_verdict(folder).usable


def test_a_file_cut_short_in_its_pixels_refuses_the_series(ct_series, tmp_path):
    folder = ct_series(tmp_path)
    content = (folder / "000005.dcm").read_bytes()
    (folder / "000005.dcm").write_bytes(content[:-100])

    verdict = only_verdict(folder)

    assert verdict.reason is VerdictReason.TRUNCATED
    assert "must have 2048 bytes, got 1948 bytes in 1 of 10 instances, the first " in verdict.sentence


def test_a_patient_without_an_id_is_known_by_the_study_and_flagged(ct_series, tmp_path):
    series = only_verdict(ct_series(tmp_path, PatientID=None, StudyInstanceUID="1.2.3")).series

    assert series.patient_key == hash_patient_id("1.2.3", PUBLIC_KEY)
    assert series.flags == ("no-patient-id",)


def test_a_patient_is_known_by_the_keyed_hash_alone(ct_series, tmp_path):
    verdict = only_verdict(ct_series(tmp_path, patient_id="Müller^日本", SpecificCharacterSet="ISO_IR 192"))

    assert verdict.series.patient_key == hash_patient_id("Müller^日本", PUBLIC_KEY)
    assert "Müller" not in repr(verdict)


def test_phantoms_are_known_by_their_manufacturer(ct_series, tmp_path):
    assert only_verdict(ct_series(tmp_path, Manufacturer="lidcflow phantom")).series.synthetic


def test_a_prone_patient_is_flagged(ct_series, tmp_path):
    verdict = only_verdict(ct_series(tmp_path, ImageOrientationPatient=[-1, 0, 0, 0, -1, 0]))

    assert verdict.flags == ("rotated-in-plane",)


def test_other_files_are_counted(ct_series, tmp_path):
    ct_series(tmp_path / "ct")
    (tmp_path / "notes.txt").write_text("no DICOM")
    (tmp_path / "empty").touch()

    found = index(tmp_path)

    assert (len(found), len(found.usable), found.not_dicom, found.unreadable) == (1, 1, 2, 0)


def test_an_unreadable_file_is_counted_and_flagged_on_its_neighbours(ct_series, tmp_path):
    folder = ct_series(tmp_path / "ct")
    (folder / "torn.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 500)
    ct_series(tmp_path / "other")

    found = index(tmp_path)

    assert (found.not_dicom, found.unreadable) == (0, 1)
    assert sorted(verdict.flags for verdict in found if verdict.usable) == [(), ("unreadable-files-beside",)]


def test_nothing_of_a_torn_header_reaches_the_log(ct_series, tmp_path, caplog):
    folder = ct_series(tmp_path, patient_id="Lovelace")
    (folder / "torn.dcm").write_bytes((folder / "000001.dcm").read_bytes()[:400] + b"\xff" * 500)

    index(tmp_path)

    assert caplog.text == ""


def test_a_directory_of_dicom_media_is_just_another_file(ct_series, tmp_path):
    ct_series(tmp_path / "ct")
    (tmp_path / "DICOMDIR").write_bytes((tmp_path / "ct" / "000001.dcm").read_bytes())

    assert (index(tmp_path).not_dicom, len(index(tmp_path))) == (1, 1)


def test_a_missing_source_names_the_way_out(tmp_path):
    with pytest.raises(SourceError, match="must be a folder, got nothing; check the path"):
        index(tmp_path / "missing")


def test_an_empty_source_is_refused(tmp_path):
    with pytest.raises(SourceError, match="got an empty folder"):
        index(tmp_path)


def test_a_source_without_dicom_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no DICOM")

    with pytest.raises(SourceError, match="got 1 other files and 0 unreadable ones"):
        index(tmp_path)


def test_linked_folders_that_form_a_loop_and_pipes_do_not_hang(ct_series, tmp_path):
    ct_series(tmp_path / "ct")
    (tmp_path / "ct" / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")

    assert only_verdict(tmp_path).n_files == 10


def test_progress_ends_at_all_files(ct_series, tmp_path):
    seen = []

    index(ct_series(tmp_path), on_progress=lambda done, total: seen.append((done, total)))

    assert seen[-1] == (10, 10)


def test_processes_find_what_one_process_finds(ct_series, tmp_path, monkeypatch):
    ct_series(tmp_path / "a")
    ct_series(tmp_path / "b", Modality="MR")
    monkeypatch.setattr("lidcflow.headers.reader.POOL_FROM", 1)
    monkeypatch.setattr("lidcflow.headers.reader.BATCH", 8)

    assert index(tmp_path, workers=2) == index(tmp_path)


def test_headers_longer_than_the_first_read_are_read_too(ct_series, tmp_path):
    verdict = only_verdict(ct_series(tmp_path, ImageComments="x" * 10_000, AdditionalPatientHistory="y" * 20_000))

    assert verdict.usable


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize("undefined_length", [False, True])
def test_the_pixels_of_an_icon_are_not_those_of_the_slice(ct_series, tmp_path, syntax, undefined_length):
    icon = Dataset()
    icon.Rows = icon.Columns = icon.BitsAllocated = 8
    icon.PixelData = b"\xff" * 128
    icons = DataElement("IconImageSequence", "SQ", [icon])
    icons.is_undefined_length = undefined_length
    plain = only_verdict(ct_series(tmp_path / "plain", series_uid="1.2.3", syntax=syntax)).series

    series = only_verdict(
        ct_series(tmp_path / "icon", series_uid="1.2.3", syntax=syntax, IconImageSequence=icons)
    ).series

    np.testing.assert_array_equal(hounsfield_slice(series.slices[0]), hounsfield_slice(plain.slices[0]))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_mutated_header_crashes_the_index(ct_series, tmp_path, data):
    folder = tmp_path / "mutated"
    if not folder.exists():
        ct_series(folder, n=8, size=16)
    path = folder / "000003.dcm"
    original = path.read_bytes()
    mutated = bytearray(original)
    for _ in range(data.draw(st.integers(1, 8))):
        mutated[data.draw(st.integers(132, len(original) - 513))] = data.draw(st.integers(0, 255))
    del mutated[data.draw(st.integers(132, len(mutated))) :]
    path.write_bytes(mutated)

    try:
        found = index(folder)
    finally:
        path.write_bytes(original)

    assert 1 <= len(found) <= 2
    assert all(verdict.reason in VerdictReason and verdict.sentence for verdict in found)


ANY_NUMBER = st.sampled_from([0, -1, 1, 1e-300, -1e-300, 1e300, -1e300, 1e9, 1e-9, 65535]) | st.floats(-1e6, 1e6)
SLOPPY = {
    "ImagePositionPatient": st.lists(ANY_NUMBER, min_size=1, max_size=4),
    "ImageOrientationPatient": st.lists(ANY_NUMBER, min_size=6, max_size=6),
    "PixelSpacing": st.lists(ANY_NUMBER, min_size=1, max_size=3),
    "RescaleSlope": ANY_NUMBER,
    "RescaleIntercept": ANY_NUMBER,
    "SliceThickness": ANY_NUMBER,
    "InstanceNumber": st.integers(-(2**31), 2**31),
    "Rows": st.integers(0, 65535),
    "BitsStored": st.integers(0, 65535),
    "PixelRepresentation": st.integers(0, 65535),
    "PixelPaddingValue": st.integers(-32768, 32767).map(lambda value: DataElement("PixelPaddingValue", "SS", value)),
    "Manufacturer": st.text(st.characters(exclude_categories=["C"]), max_size=200),
}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), keyword=st.sampled_from(sorted(SLOPPY)), everywhere=st.booleans())
def test_no_header_value_crashes_index_or_reduction(ct_series, tmp_path, data, keyword, everywhere):
    value = data.draw(SLOPPY[keyword])
    usual = {keyword: lambda i: value if everywhere or i == 3 else Ellipsis}
    folder = ct_series(tmp_path / "sloppy", n=9, size=16, SpecificCharacterSet="ISO_IR 192", **usual)

    for series in index(folder).usable:
        volume = reduce_series(series, PreprocessConfig(size=16, slices=8))

        assert np.isfinite(volume.edges_mm).all()
        assert (np.diff(volume.edges_mm) < 0).all()


@pytest.mark.real
@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("gantrytilting/001", VerdictReason.TILTED),
        ("notavolume/001", VerdictReason.MIXED_ACQUISITIONS),
        ("slicecount/001", VerdictReason.NOT_CT),
        ("sliceincrement/001", VerdictReason.MISSING_SLICES),
        ("sliceincrement/002", VerdictReason.TILTED),
        ("sliceorientation/001", VerdictReason.NOT_CT),
    ],
)
def test_real_irregular_series_get_their_reason(real_data, folder, reason):
    assert only_verdict(real_data / "irregular" / folder).reason is reason


@pytest.mark.real
@pytest.mark.parametrize(
    ("process", "found"),
    [
        ("JPEGProcess1", "lossy JPEG of 8 bits, which no longer holds Hounsfield units; fetch the series"),
        ("JPEGProcess2_4", "got JPEG Extended (Process 2 and 4) (1.2.840.10008.1.2.4.51) in"),
        ("JPEGProcess6_8", "progressive lossy JPEG of 12 bits"),
        ("JPEGProcess10_12", "progressive lossy JPEG of 12 bits"),
    ],
)
def test_real_lossy_jpeg_is_refused_and_says_why(real_data, tmp_path, process, found):
    (path,) = (real_data / "syntaxes").glob(f"{process}TransferSyntax*.dcm")
    (tmp_path / path.name).symlink_to(path)

    verdict = only_verdict(tmp_path)

    assert verdict.reason is VerdictReason.UNSUPPORTED_SYNTAX
    assert found in verdict.sentence


@pytest.mark.real
def test_the_real_lidc_series_is_usable(real_data):
    series = only_verdict(real_data / "LIDC-IDRI").series

    assert len(series.slices) == 133
    assert series.slice_spacing_mm == pytest.approx(2.5)
    assert (series.rows, series.columns, series.row_spacing_mm) == (512, 512, 0.703125)
    assert series.patient_key == hash_patient_id("LIDC-IDRI-0001", PUBLIC_KEY)
    assert not series.synthetic
    np.testing.assert_allclose([series.slices[0].z_mm, series.slices[-1].z_mm], [-10, -340])


@pytest.mark.parametrize(
    "unit", ["HU", "hu", " HU ", "Hounsfield", "HOUNSFIELD UNITS", "Houndsfield Unit", "", None, ...]
)
def test_what_archives_write_for_hounsfield_units_is_read_without_a_flag(ct_series, tmp_path, unit):
    verdict = only_verdict(ct_series(tmp_path, RescaleType="" if unit is None else unit))

    assert (verdict.reason, verdict.flags) == (VerdictReason.USABLE, ())


@pytest.mark.parametrize("unit", ["US", "us "])
def test_a_unit_that_is_left_open_is_flagged(ct_series, tmp_path, unit):
    verdict = only_verdict(ct_series(tmp_path, RescaleType=unit))

    assert (verdict.reason, verdict.flags) == (VerdictReason.USABLE, ("unspecified-units",))
