import logging
import re
import shutil

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless

from lidcflow.config import PreprocessConfig
from lidcflow.dicom.records import VerdictReason
from lidcflow.erase.refusals import without_erased
from lidcflow.erase.subject import Subject
from lidcflow.errors import EmptySource, PacsError, SeriesRefused
from lidcflow.headers.reader import HeaderReader
from lidcflow.pixels import from_pacs
from lidcflow.privacy import PUBLIC_KEY, hash_patient_id
from lidcflow.series.find import index_files, index_folder
from lidcflow.source.places import parse_source
from lidcflow.volume.reduce import reduce_series
from tests.dicomweb_server import Answer, cut, every, first
from tests.encoded import ENCODED, encode_folder
from tests.enhanced import to_enhanced

CONFIG = PreprocessConfig(slices=8, size=16)


def index(source, server):
    access = server.access
    return index_files(parse_source(source, access).listing(), HeaderReader(PUBLIC_KEY, access=access))


def only_series(source, server):
    (verdict,) = index(source, server)
    return verdict.series


def assert_same(folder, source, server):
    """Compare verdicts and volumes of a folder and of a PACS."""
    on_disk, found = index_folder(folder, secret=PUBLIC_KEY), index(source, server)
    assert [(one.reason, one.sentence, one.flags) for one in found] == [
        (one.reason, one.sentence, one.flags) for one in on_disk
    ]
    for there, here in zip(found.usable, on_disk.usable, strict=True):
        assert there.fingerprint == here.fingerprint
        volume, expected = reduce_series(there, CONFIG, server.access), reduce_series(here, CONFIG)
        np.testing.assert_array_equal(volume.hu, expected.hu)
        assert volume.sources == expected.sources


def test_a_real_pacs_gives_the_verdicts_and_volumes_of_a_folder(ct_series, tmp_path, pacs):
    ct_series(tmp_path / "ct" / "a", PatientName="Doe^Jané", SpecificCharacterSet="ISO_IR 100", Manufacturer="Grün")
    padding = DataElement(0x00280120, "US", 63536)
    ct_series(tmp_path / "ct" / "b", PixelPaddingValue=padding, ContrastBolusAgent="", KVP="", n=9)
    ct_series(tmp_path / "ct" / "scout", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    ct_series(tmp_path / "ct" / "few", n=5)
    ct_series(tmp_path / "ct" / "no-rescale", RescaleSlope=None)
    ct_series(tmp_path / "ct" / "gap", ImagePositionPatient=lambda i: [0, 0, -2.5 * i - 10 * (i > 4)])

    pacs.send(tmp_path / "ct")

    assert_same(tmp_path / "ct", "pacs:main", pacs)


@pytest.mark.real
def test_real_ct_comes_from_a_real_pacs_by_few_requests(real_data, tmp_path, pacs, caplog):
    folder = shutil.copytree(real_data / "LIDC-IDRI" / "LIDC-IDRI-0001", tmp_path / "ct")
    pacs.send(folder)
    caplog.set_level(logging.INFO)

    assert_same(folder, "pacs:main", pacs)

    asked = [record.args[1] for record in caplog.records if record.name == "httpx"]
    ends = [str(url).rpartition("/")[2][:8] for url in asked]
    assert ends == ["series?M", "lookup", "instance", "metadata", "1.3.6.1.", "1.3.6.1."]
    assert "LIDC-IDRI-0001" not in caplog.text


@pytest.mark.parametrize("syntax", ENCODED.values(), ids=ENCODED)
def test_any_transfer_syntax_comes_from_a_pacs_as_it_is_kept_there(ct_series, tmp_path, pacs, syntax):
    folder = encode_folder(ct_series(tmp_path / "ct", n=8), syntax)

    pacs.send(folder)

    assert only_series("pacs:main", pacs).slices[0].transfer_syntax_uid == syntax
    assert_same(folder, "pacs:main", pacs)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless])
def test_a_multi_frame_object_comes_from_a_pacs(ct_series, tmp_path, pacs, syntax):
    folder = ct_series(tmp_path / "ct", n=12)
    to_enhanced(folder if syntax == ExplicitVRLittleEndian else encode_folder(folder, syntax))

    pacs.send(folder)

    assert {source.frame_number for source in only_series("pacs:main", pacs).slices} == set(range(1, 13))
    assert_same(folder, "pacs:main", pacs)


def test_an_image_that_was_sent_twice_to_a_pacs_is_used_once(ct_series, tmp_path, pacs):
    folder = ct_series(tmp_path / "ct", n=10)
    again = pydicom.dcmread(folder / "000004.dcm")
    again.SOPInstanceUID, again.InstanceNumber = "1.2.3.4", 99
    again.save_as(folder / "again.dcm")

    pacs.send(folder)

    assert only_series("pacs:main", pacs).flags == ("duplicates-set-aside",)
    assert_same(folder, "pacs:main", pacs)


def test_a_study_and_a_series_are_sources_of_their_own(ct_series, tmp_path, pacs):
    ct_series(tmp_path / "a", n=8)
    study = pacs.send(ct_series(tmp_path / "b", n=9))

    (series,) = index(f"pacs:main/{study}", pacs).usable

    assert (series.study_instance_uid, len(series.slices)) == (study, 9)
    assert only_series(f"{pacs.url}/studies/{study}/series/{series.series_instance_uid}", pacs) == series


def test_two_studies_that_share_a_series_are_refused_as_they_are_in_a_folder(ct_series, tmp_path, tiny):
    for name, study in (("a", "1.2.3"), ("b", "1.2.4")):
        uids = {"StudyInstanceUID": study, "SOPInstanceUID": lambda i, name=name: f"1.2.{ord(name)}.{i}"}
        ct_series(tmp_path / "both" / name, series_uid="1.2.5", n=8, **uids)

    tiny.hold(tmp_path / "both")

    assert index("pacs:tiny", tiny)[0].reason == "mixed-identity"
    assert_same(tmp_path / "both", "pacs:tiny", tiny)


def test_other_modalities_are_judged_only_when_they_are_named(ct_series, tmp_path, pacs):
    study = pacs.send(ct_series(tmp_path / "mr", n=8, Modality="MR"))
    (uid,) = {str(pydicom.dcmread(path).SeriesInstanceUID) for path in (tmp_path / "mr").iterdir()}

    with pytest.raises(EmptySource, match="must hold series of the modality that is looked for, got none"):
        index(f"pacs:main/{study}", pacs)

    assert index(f"pacs:main/{study}/{uid}", pacs)[0].reason == "not-ct"


def test_a_list_names_places_of_a_pacs_beside_folders(ct_series, tmp_path, pacs):
    study = pacs.send(ct_series(tmp_path / "sent", n=8))
    ct_series(tmp_path / "kept", n=8)
    (tmp_path / "list.txt").write_text(f"pacs:main/{study}\nkept\npacs:main/1.2.3\npacs:other\n")

    found = index(str(tmp_path / "list.txt"), pacs)

    assert (len(found.usable), found.beside.missing_lines) == (2, (3, 4))


def test_metadata_that_say_something_else_than_the_images_are_not_believed(ct_series, tmp_path, tiny):
    folder = ct_series(tmp_path / "ct", n=8)
    tiny.hold(folder)

    def other_slope(asked, answer):
        slope = b'"00281053": {"vr": "DS", "Value": [%d'
        return Answer(body=answer.body.replace(slope % 1, slope % 2)) if asked.endswith("metadata") else answer

    with tiny.faulty(other_slope):
        assert_same(folder, "pacs:tiny", tiny)

    assert len([request for request in tiny.requests if re.search(r"/series/[0-9.]+$", request)]) == 2


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"[1, 2]",
        b'{"a": 1}',
        b'[{"00080018": 5}]',
        b'[{"00080018": {"Value": [{}]}}]',
        lambda body: body.replace(b'"vr": "DS"', b'"vr": "XX"'),
        lambda body: body.replace(b'"vr": "DS"', b'"vr": "SQ"'),
        lambda body: body.replace(b'"vr": "UI", "Value": ["', b'"vr": "UI", "Value": ["../'),
        lambda body: body.replace(b'"00280030"', b'"00280031"'),
    ],
)
def test_metadata_that_make_no_sense_are_not_needed(ct_series, tmp_path, tiny, body):
    folder = ct_series(tmp_path / "ct", n=8)
    tiny.hold(folder)

    def senseless(asked, answer):
        return Answer(body=body(answer.body) if callable(body) else body) if asked.endswith("metadata") else answer

    with tiny.faulty(senseless):
        assert_same(folder, "pacs:tiny", tiny)


@pytest.mark.parametrize(
    "fault",
    [
        every(2, 503),
        first(1, cut(1000, told=True), "/series/"),
        first(1, cut(1000, told=False), "/series/"),
        every(1, 500, "metadata"),
    ],
    ids=["503s", "cut short", "cut short unnoticed by HTTP", "no metadata"],
)
def test_a_pacs_that_stumbles_changes_nothing(ct_series, tmp_path, tiny, fault):
    folder = ct_series(tmp_path / "ct", n=8)
    tiny.hold(folder)

    with tiny.faulty(fault):
        assert_same(folder, "pacs:tiny", tiny)


def test_a_series_that_never_comes_whole_is_refused_alone(ct_series, tmp_path, tiny):
    tiny.hold(ct_series(tmp_path / "ct", n=8))
    series = only_series("pacs:tiny", tiny)

    def broken(asked, answer):
        return cut(1000, told=False)(asked, answer) if "/series/" in asked else answer

    with tiny.faulty(broken), pytest.raises(SeriesRefused, match="must give it whole, got an answer that ends before"):
        reduce_series(series, CONFIG, tiny.access)
    with tiny.faulty(broken):
        (verdict,) = index("pacs:tiny", tiny)
    assert (verdict.reason, verdict.series_instance_uid) == ("incomplete", series.series_instance_uid)


def test_a_pacs_that_goes_away_stops_with_one_sentence(ct_series, tmp_path, tiny):
    tiny.hold(ct_series(tmp_path / "ct", n=8))
    series = only_series("pacs:tiny", tiny)

    with tiny.faulty(every(1, 503)), pytest.raises(PacsError, match="pacs tiny: the PACS must answer, got status 503"):
        reduce_series(series, CONFIG, tiny.access)


def test_a_study_that_is_deleted_under_way_is_gone(ct_series, tmp_path, pacs):
    study = pacs.send(ct_series(tmp_path / "ct", n=8))
    listing = parse_source("pacs:main", pacs.access).listing()
    series = only_series("pacs:main", pacs)

    pacs.delete("studies", study)

    with pytest.raises(SeriesRefused, match="must stay in the PACS while it is read, but it is gone") as refused:
        reduce_series(series, CONFIG, pacs.access)
    assert refused.value.reason == "gone"
    (verdict,) = index_files(listing, HeaderReader(PUBLIC_KEY, access=pacs.access))
    assert (verdict.reason, verdict.study_instance_uid, verdict.series) == ("incomplete", study, None)


def test_an_instance_that_is_deleted_under_way_refuses_its_series(ct_series, tmp_path, pacs):
    pacs.send(ct_series(tmp_path / "ct", n=9))
    series = only_series("pacs:main", pacs)

    pacs.delete("instances", series.slices[4].sop_instance_uid)

    with pytest.raises(SeriesRefused, match="it is gone"):
        reduce_series(series, CONFIG, pacs.access)


def test_an_instance_that_changes_under_way_refuses_its_series(ct_series, tmp_path, tiny):
    folder = ct_series(tmp_path / "ct", n=8)
    tiny.hold(folder)
    series = only_series("pacs:tiny", tiny)
    changed = pydicom.dcmread(folder / "000003.dcm")
    changed.RescaleIntercept = -1000
    changed.save_as(folder / "000003.dcm")

    tiny.hold(folder)

    with pytest.raises(SeriesRefused, match="must come from the PACS as it was indexed, got another"):
        reduce_series(series, CONFIG, tiny.access)


def test_instances_beyond_the_memory_for_them_are_asked_for_one_by_one(ct_series, tmp_path, tiny, monkeypatch):
    folder = ct_series(tmp_path / "ct", n=12, ImagePositionPatient=lambda i: [0, 0, 2.5 * i])
    tiny.hold(folder)
    monkeypatch.setattr(from_pacs, "HELD_BYTES", 5000)

    assert_same(folder, "pacs:tiny", tiny)

    assert 5 < sum("/instances/" in request for request in tiny.requests) < 12


def test_what_a_series_lacks_is_told_and_its_slices_are_not_taken_for_missing(ct_series, tmp_path, tiny):
    tiny.hold(ct_series(tmp_path / "ct", n=12))
    listing = parse_source("pacs:tiny", tiny.access).listing()

    del tiny.instances[sorted(tiny.instances)[3]]

    (verdict,) = index_files(listing, HeaderReader(PUBLIC_KEY, access=tiny.access))
    assert verdict.reason == "incomplete"
    assert "the PACS must give its 12 instances, got 11; try later" in verdict.sentence


def test_progress_is_counted_in_instances(ct_series, tmp_path, tiny):
    for name in ("a", "b"):
        tiny.hold(ct_series(tmp_path / name, n=8))
    told = []

    listing = parse_source("pacs:tiny", tiny.access).listing()
    index_files(listing, HeaderReader(PUBLIC_KEY, access=tiny.access), on_progress=lambda *seen: told.append(seen))

    assert told == [(8, 16), (16, 16)]


def test_a_series_of_an_erased_patient_is_known_as_such_though_none_of_it_comes(ct_series, tmp_path, tiny):
    tiny.hold(ct_series(tmp_path / "ct" / "a", n=12, patient_id="Ada", series_uid="1.2.3"))
    tiny.hold(ct_series(tmp_path / "ct" / "b", n=12, patient_id="Grace", series_uid="1.2.4"))
    erased = {Subject("patient", hash_patient_id("Ada", PUBLIC_KEY))}

    with tiny.faulty(lambda asked, answer: Answer(404) if "/series/1.2" in asked else answer):
        ada, grace = without_erased(index("pacs:tiny", tiny), erased)

    assert (ada.reason, grace.reason) == (VerdictReason.ERASED, VerdictReason.INCOMPLETE)
    assert grace.patients == (hash_patient_id("Grace", PUBLIC_KEY),)
