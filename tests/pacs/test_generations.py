"""A PACS in which instances are stored anew, or are another patient's when they come."""

import pydicom
import pytest

from lidcflow.config import PreprocessConfig
from lidcflow.dicom.records import VerdictReason
from lidcflow.errors import SeriesRefused
from lidcflow.headers.reader import HeaderReader
from lidcflow.inbox.sightings import pacs_sightings
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_files
from lidcflow.source.places import parse_source
from lidcflow.volume.reduce import reduce_series

CONFIG = PreprocessConfig(slices=8, size=16)


def only_series(server):
    (series,) = index_files(
        parse_source("pacs:main", server.access).listing(), HeaderReader(PUBLIC_KEY, access=server.access)
    ).usable
    return series


def sent_anew(server, path, **changes):
    """Replace an instance in a PACS by one of the same UID."""
    dataset = pydicom.dcmread(path)
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)
    server.delete("instances", dataset.SOPInstanceUID)
    server.ask("POST", "/instances", content=path.read_bytes())


def test_an_orthanc_tells_that_an_instance_was_stored_anew(ct_series, tmp_path, pacs):
    folder = ct_series(tmp_path / "ct", n=8)
    pacs.send(folder)
    first, again = only_series(pacs), only_series(pacs)
    with pacs.connect() as opened:
        key = [(first.study_instance_uid, first.series_instance_uid)]
        (seen,) = pacs_sightings(opened, key)

        sent_anew(pacs, folder / "000003.dcm", PixelData=bytes(2048))

        (seen_again,) = pacs_sightings(opened, key)
    other = only_series(pacs)
    assert first.state == again.state != ""
    assert (other.fingerprint, other.state == first.state) == (first.fingerprint, False)
    assert seen.instances == seen_again.instances
    assert "" != seen.state != seen_again.state != ""


def test_dicomweb_alone_tells_nothing(ct_series, tmp_path, pacs):
    pacs.send(ct_series(tmp_path / "ct", n=8))
    silent = pacs.config.model_copy(update={"changes": None})
    access = pacs.access.model_copy(update={"pacs": {"main": silent}})

    (series,) = index_files(parse_source("pacs:main", access).listing(), HeaderReader(PUBLIC_KEY, access=access)).usable

    assert series.state == ""


@pytest.mark.parametrize("changes", [{"PatientID": "P2"}, {"PixelSpacing": [9.5, 9.5]}])
def test_an_instance_that_comes_as_another_than_was_indexed_refuses_its_series(ct_series, tmp_path, pacs, changes):
    folder = ct_series(tmp_path / "ct", n=8)
    pacs.send(folder)
    series = only_series(pacs)

    for path in sorted(folder.iterdir()):
        sent_anew(pacs, path, **changes)

    with pytest.raises(SeriesRefused, match="must come from the PACS as it was indexed, got another") as refused:
        reduce_series(series, CONFIG, pacs.access)
    assert refused.value.reason == VerdictReason.CHANGED
