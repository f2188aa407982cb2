import pickle
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidcflow.config import Access
from lidcflow.config.service import PacsConfig
from lidcflow.errors import EmptySource, SourceError
from lidcflow.source.places import (
    ArchiveSource,
    BucketSource,
    FolderSource,
    ListSource,
    PacsSource,
    checked_source,
    parse_source,
)

NAMES = st.text(string.ascii_letters + string.digits + "-_.", min_size=1, max_size=12)
UIDS = st.from_regex(r"[1-9][0-9]{0,4}(\.[1-9][0-9]{0,4}){1,4}", fullmatch=True)
PARTS = st.lists(UIDS, max_size=2).map(lambda uids: "".join(f"/{uid}" for uid in uids))
TEXTS = {
    ArchiveSource: st.builds("idc:{}".format, NAMES),
    BucketSource: st.builds("s3://{}/{}".format, NAMES, NAMES),
    FolderSource: st.builds("/no-such-folder/{}".format, NAMES),
    PacsSource: st.builds("pacs:{}{}".format, NAMES, PARTS) | st.builds("https://{}/dicom-web".format, NAMES),
}


def listed(source, access=None):
    return parse_source(str(source), access or Access()).listing()


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
    (tmp_path / "list.txt").write_text(f"gone.dcm\n1.dcm\ngone\n{'a sentence ' * 30}\n")

    listing = listed(tmp_path / "list.txt")

    assert (len(listing.files), listing.missing_lines) == (1, (1, 3, 4))


def test_a_list_names_objects_too(tmp_path, ct_series, upload, objects):
    url = upload(ct_series(tmp_path / "ct", n=3))
    (tmp_path / "list.txt").write_text(f"{url}/000001.dcm\n{url}/none\nct\n")

    listing = listed(tmp_path / "list.txt", objects.access)

    assert (len(listing.files), listing.missing_lines) == (4, (2,))


@pytest.mark.parametrize("text", ["Dear colleague,\n\nthe nodule has grown.\n", "# nothing yet\n", "gone.dcm"])
def test_a_text_that_names_nothing_is_refused_before_anything_starts_and_not_quoted(tmp_path, text):
    (tmp_path / "letter.txt").write_text(text)

    with pytest.raises(EmptySource, match="got no line that names anything; name the folder") as error:
        parse_source(str(tmp_path / "letter.txt")).check()

    assert "colleague" not in str(error.value)


@pytest.mark.parametrize("line", ["here", "here/1.dcm", "s3://bucket/prefix", "idc:lidc_idri"])
def test_one_line_that_may_name_something_makes_a_list(tmp_path, line):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "1.dcm").touch()
    (tmp_path / "list.txt").write_text(f"gone\n{line}\n")

    parse_source(str(tmp_path / "list.txt")).check()


def test_a_list_that_is_no_text_is_one_sentence(ct_series, tmp_path):
    ct_series(tmp_path, n=1)

    with pytest.raises(SourceError, match="a list must be a text file"):
        checked_source(str(tmp_path / "000001.dcm"))


@pytest.mark.parametrize("source", ["s3://", "nowhere"])
def test_what_names_no_place_is_one_sentence(source):
    with pytest.raises(SourceError, match=f"^source {source}: "):
        checked_source(source)


@pytest.mark.parametrize("kind", TEXTS)
@given(data=st.data())
def test_a_source_is_of_the_kind_that_its_text_says_and_gives_the_text_back(kind, data):
    text = data.draw(TEXTS[kind])

    source = parse_source(text)

    assert type(source) is kind
    assert str(source) == source.text == text
    assert pickle.loads(pickle.dumps(source)) == source == parse_source(str(source))


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
def test_any_text_is_parsed_and_given_back(text):
    assert str(parse_source(text)) == text


def test_a_file_is_a_list_and_a_place_where_nothing_is_may_become_a_folder(tmp_path):
    (tmp_path / "list.txt").write_text("gone")

    assert isinstance(parse_source(str(tmp_path / "list.txt")), ListSource)
    assert isinstance(parse_source(str(tmp_path / "gone")), FolderSource)


def test_only_a_pacs_has_a_service(tmp_path):
    access = Access(pacs={"main": PacsConfig(url="https://pacs.example.org/dicom-web")})

    assert parse_source("pacs:main/1.2", access).service.url == "https://pacs.example.org/dicom-web"
    assert [parse_source(text, access).service for text in (str(tmp_path), "s3://bucket", "idc:lidc_idri")] == [
        None
    ] * 3


def test_a_folder_encloses_what_lies_in_it_by_its_links(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "in")
    inside, outside = tmp_path / "in" / "deep", tmp_path / "out"

    assert parse_source(str(tmp_path / "link")).encloses(inside)
    assert not parse_source(str(tmp_path / "in")).encloses(outside)
    assert not parse_source("s3://bucket").encloses(inside)


def test_a_list_that_is_gone_when_it_is_read_is_one_sentence(tmp_path):
    (tmp_path / "list.txt").write_text("gone")
    source = parse_source(str(tmp_path / "list.txt"))
    (tmp_path / "list.txt").unlink()

    with pytest.raises(SourceError, match="got nothing; check the path"):
        source.listing()
