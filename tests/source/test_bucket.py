import io
import itertools
import socket
import threading
from contextlib import contextmanager

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless

from lidcflow.config import Access, ObjectsConfig, PreprocessConfig
from lidcflow.errors import EmptySource, ResourceError, SeriesRefused
from lidcflow.headers.reader import HeaderReader
from lidcflow.objects import bucket_of
from lidcflow.pixels.open import open_file, slice_opener
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_files, index_folder
from lidcflow.source.bucket import fetch_range, open_object
from lidcflow.source.places import parse_source
from lidcflow.volume.reduce import reduce_series
from tests.encoded import encode_folder
from tests.enhanced import to_enhanced
from tests.object_storage import every, slow

CONFIG = PreprocessConfig(slices=8, size=16)


def index(source, objects):
    return index_files(parse_source(source, objects.access).listing(), HeaderReader(PUBLIC_KEY, access=objects.access))


def only_series(source, objects):
    (verdict,) = index(source, objects)
    return verdict.series


def test_a_bucket_gives_the_verdicts_and_volumes_of_a_folder(ct_series, tmp_path, upload, objects):
    folder = ct_series(tmp_path / "ct")
    (on_disk,) = index_folder(folder, secret=PUBLIC_KEY).usable

    series = only_series(upload(folder), objects)

    assert series.fingerprint == on_disk.fingerprint
    volume, expected = reduce_series(series, CONFIG, objects.access), reduce_series(on_disk, CONFIG)
    np.testing.assert_array_equal(volume.hu, expected.hu)
    assert volume.sources == expected.sources


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5"])
def test_any_transfer_syntax_comes_from_a_bucket(ct_series, tmp_path, upload, objects, syntax):
    folder = encode_folder(ct_series(tmp_path / "ct", n=8), syntax)
    (on_disk,) = index_folder(folder, secret=PUBLIC_KEY).usable

    series = only_series(upload(folder), objects)

    np.testing.assert_array_equal(reduce_series(series, CONFIG, objects.access).hu, reduce_series(on_disk, CONFIG).hu)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless])
def test_a_multi_frame_object_comes_from_a_bucket(ct_series, tmp_path, upload, objects, syntax):
    folder = ct_series(tmp_path / "ct", n=12)
    to_enhanced(folder if syntax == ExplicitVRLittleEndian else encode_folder(folder, syntax))
    (on_disk,) = index_folder(folder, secret=PUBLIC_KEY).usable

    series = only_series(upload(folder), objects)

    assert {source.frame_number for source in series.slices} == set(range(1, 13))
    np.testing.assert_array_equal(reduce_series(series, CONFIG, objects.access).hu, reduce_series(on_disk, CONFIG).hu)


def test_an_image_that_was_sent_twice_to_a_bucket_is_used_once(ct_series, tmp_path, upload, objects):
    folder = ct_series(tmp_path / "ct", n=10)
    again = pydicom.dcmread(folder / "000004.dcm")
    again.SOPInstanceUID, again.InstanceNumber = "1.2.3.4", 99
    again.save_as(folder / "again.dcm")

    (verdict,) = index(upload(folder), objects)

    assert (len(verdict.series.slices), verdict.flags) == (10, ("duplicates-set-aside",))


def test_a_header_longer_than_its_head_is_read_on(ct_series, tmp_path, upload, objects):
    folder = ct_series(tmp_path / "ct", n=8, PatientComments="x" * 10_000, ImageComments="y" * 10_000)

    assert only_series(upload(folder), objects).slices[0].pixel_offset > 20_000


def test_one_range_is_read_for_a_header_and_one_for_its_pixels(ct_series, tmp_path, upload, objects):
    url = upload(ct_series(tmp_path / "ct", n=10))
    objects.requests.clear()

    series = only_series(url, objects)
    reduce_series(series, CONFIG, objects.access)

    gets = [request for request in objects.requests if request.endswith(".dcm")]
    assert len(gets) == 20


@pytest.mark.parametrize("fault", [every(3, 503), slow(0.02)], ids=["503s", "slow"])
def test_a_server_that_stumbles_changes_nothing(ct_series, tmp_path, upload, objects, fault):
    folder = ct_series(tmp_path / "ct", n=8)
    url = upload(folder)
    (on_disk,) = index_folder(folder, secret=PUBLIC_KEY).usable

    with objects.faulty(fault):
        volume = reduce_series(only_series(url, objects), CONFIG, objects.access)

    np.testing.assert_array_equal(volume.hu, reduce_series(on_disk, CONFIG).hu)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (lambda _: None, "could not be read"),
        (lambda old: old[:9], "could not be read"),
        (lambda old: old + b"more", r"has \d+ bytes where its header pass saw"),
        (lambda old: old[:-1] + b"\x07", "has another content"),
    ],
    ids=["vanished", "cut short", "longer", "another content"],
)
def test_an_object_that_changes_after_it_was_indexed_refuses_the_series(
    ct_series, tmp_path, upload, objects, content, found
):
    folder = ct_series(tmp_path / "ct", n=8)
    series = only_series(upload(folder), objects)
    bucket = bucket_of("s3://bucket", objects.access)
    now = content((folder / "000003.dcm").read_bytes())

    bucket.delete(["archive/000003.dcm"])
    if now is not None:
        bucket.put("archive/000003.dcm", now)

    with pytest.raises(SeriesRefused, match=found):
        reduce_series(series, CONFIG, objects.access)


def test_an_object_that_is_cut_short_refuses_its_series_alone(ct_series, tmp_path, upload, objects):
    ct_series(tmp_path / "both" / "a", n=8)
    whole = ct_series(tmp_path / "both" / "b", n=8)
    content = (whole / "000003.dcm").read_bytes()
    (whole / "000003.dcm").write_bytes(content[: len(content) // 2])

    found = index(upload(tmp_path / "both"), objects)

    assert sorted(str(verdict.reason) for verdict in found) == ["truncated", "usable"]


def test_one_object_that_is_refused_is_unreadable_and_the_others_are_read(ct_series, tmp_path, upload, objects):
    url = upload(ct_series(tmp_path / "ct", n=9))

    with objects.faulty(lambda environ: 403 if environ["PATH_INFO"].endswith("000009.dcm") else None):
        found = index(url, objects)

    assert (found.unreadable, found[0].n_files) == (1, 8)


def test_storage_that_goes_away_stops_with_one_sentence(ct_series, tmp_path, upload, objects):
    series = only_series(upload(ct_series(tmp_path / "ct", n=8)), objects)

    stopped = pytest.raises(ResourceError, match="source s3://bucket: the storage must answer, got status 403")
    with objects.faulty(every(1, 403)), stopped:
        reduce_series(series, CONFIG, objects.access)


def test_a_prefix_without_objects_is_refused(objects):
    with pytest.raises(EmptySource, match="got an empty folder, list or prefix"):
        index("s3://bucket/none", objects)


def test_no_more_slices_are_under_way_than_the_read_ahead_allows(ct_series, tmp_path, upload, objects):
    series = only_series(upload(ct_series(tmp_path / "ct", n=30)), objects)
    objects.requests.clear()

    with slice_opener(series.slices, objects.access) as opened:
        for source in itertools.islice(series.slices, 3):
            opened(source).close()

    assert len(objects.requests) <= 3 + 8


def test_files_are_opened_where_they_lie(ct_series, tmp_path):
    (series,) = index_folder(ct_series(tmp_path / "ct"), secret=PUBLIC_KEY).usable

    with slice_opener(series.slices, Access()) as opened:
        assert opened is open_file


EMPTY_LISTING = (
    b"<ListBucketResult><Name>b</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"
)
HALF = (
    b"HTTP/1.1 206 Partial Content\r\nContent-Length: 100\r\nContent-Range: bytes 0-99/200\r\n"
    b"Last-Modified: Tue, 24 Nov 2026 12:00:00 GMT\r\nConnection: close\r\n\r\n" + b"x" * 50
)


MORE = HALF.replace(b"Content-Length: 100", b"Content-Length: 9000") + b"x" * 8950


@contextmanager
def breaking_off(content=HALF):
    """Run a server whose listings are whole and whose objects break off half way, or are what is given."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        threading.Thread(target=answer, args=(server, content), daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def answer(server, content):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(EMPTY_LISTING)
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            connection.sendall(head + EMPTY_LISTING if b"list-type" in connection.recv(4096) else content)


def test_a_body_that_breaks_off_is_an_error_of_its_object():
    with breaking_off() as endpoint:
        access = Access(s3=ObjectsConfig(endpoint=endpoint, anonymous=True, retries=1, timeout_s=2))

        with pytest.raises(OSError, match="an object must be given"):
            fetch_range("s3://b/key", 0, 100, access)


def test_a_range_is_no_longer_than_was_asked_for():
    with breaking_off(MORE) as endpoint:
        access = Access(s3=ObjectsConfig(endpoint=endpoint, anonymous=True, retries=1, timeout_s=2))

        with pytest.raises(OSError, match="must have at most 100 bytes, got more"):
            fetch_range("s3://b/key", 0, 100, access)


def test_an_object_is_read_as_a_file(objects):
    bucket_of("s3://bucket", objects.access).put("key", bytes(range(100)))

    with open_object("s3://bucket/key", 100, objects.access) as file:
        assert file.read(3) == b"\0\1\2"
        assert file.seek(-2, io.SEEK_END) == 98
        assert file.read() == b"\x62\x63"
        assert file.seek(-1, io.SEEK_CUR) == 99
