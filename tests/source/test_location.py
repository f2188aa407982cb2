"""Where an image lies is parsed from the path that an index keeps."""

import pytest

from lidcflow.config import Access
from lidcflow.source.location import InBucket, InPacs, OnDisk, file_location, location_of, open_at


@pytest.mark.parametrize(
    ("path", "location", "never_changes"),
    [
        ("/archive/1.dcm", OnDisk("/archive/1.dcm"), False),
        ("s3://bucket/1.dcm", InBucket("s3://bucket/1.dcm"), False),
        ("idc://bucket/series/1.dcm", InBucket("idc://bucket/series/1.dcm"), True),
        ("https://pacs/studies/1/series/2/instances/3", InPacs("https://pacs/studies/1/series/2/instances/3"), True),
    ],
)
def test_a_path_says_where_an_image_lies(path, location, never_changes):
    found = location_of(path)

    assert type(found) is type(location)
    assert found == location
    assert found.never_changes is never_changes


def test_a_file_and_an_object_are_opened_alike(tmp_path, upload, objects):
    (tmp_path / "source").mkdir()
    file = tmp_path / "source" / "1.dcm"
    file.write_bytes(b"content")
    url = f"{upload(tmp_path / 'source')}/1.dcm"

    for path in (str(file), url):
        with open_at(file_location(path), objects.access, 7) as stream:
            assert stream.read() == b"content"


def test_an_object_that_changed_since_it_was_listed_is_not_read(tmp_path, upload, objects):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "1.dcm").write_bytes(b"content")
    url = f"{upload(tmp_path / 'source')}/1.dcm"

    with (
        open_at(file_location(url), objects.access, 7, version="another") as stream,
        pytest.raises(OSError, match="listed"),
    ):
        stream.read()


def test_a_file_that_is_gone_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_at(file_location(str(tmp_path / "gone")), Access(), 7)
