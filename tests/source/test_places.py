import pytest

from lidcflow.config import Access
from lidcflow.errors import SourceError
from lidcflow.source.places import check_source, list_source


def listed(source, access=None):
    return list_source(str(source), access or Access())


def test_a_list_names_files_and_folders_relative_to_itself(tmp_path):
    (tmp_path / "series").mkdir()
    for name in ("series/1.dcm", "series/2.dcm", "3.dcm", "4.dcm"):
        (tmp_path / name).touch()
    (tmp_path / "list.txt").write_text("# wanted\nseries\n\n3.dcm\nseries/1.dcm\n")

    listing = listed(tmp_path / "list.txt")

    assert [file.path for file in listing.files] == [
        str(tmp_path / name) for name in ("3.dcm", "series/1.dcm", "series/2.dcm")
    ]


def test_lines_that_name_nothing_are_told_by_number_and_do_not_stop_the_others(tmp_path):
    (tmp_path / "1.dcm").touch()
    (tmp_path / "list.txt").write_text("gone.dcm\n1.dcm\ngone\n")

    listing = listed(tmp_path / "list.txt")

    assert (len(listing.files), listing.missing_lines) == (1, (1, 3))


def test_a_list_names_objects_too(tmp_path, ct_series, upload, objects):
    url = upload(ct_series(tmp_path / "ct", n=3))
    (tmp_path / "list.txt").write_text(f"{url}/000001.dcm\n{url}/none\nct\n")

    listing = listed(tmp_path / "list.txt", objects.access)

    assert (len(listing.files), listing.missing_lines) == (4, (2,))


def test_a_list_that_is_no_text_is_one_sentence(ct_series, tmp_path):
    ct_series(tmp_path, n=1)

    with pytest.raises(SourceError, match="a list must be a text file"):
        check_source(str(tmp_path / "000001.dcm"))


@pytest.mark.parametrize("source", ["s3://", "nowhere"])
def test_what_names_no_place_is_one_sentence(source):
    with pytest.raises(SourceError, match=f"^source {source}: "):
        check_source(source)
