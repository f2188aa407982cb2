"""Where documents go is parsed once."""

import pytest

from lidcflow.config import Access
from lidcflow.config.service import PacsConfig
from lidcflow.errors import ConfigError, SourceError
from lidcflow.inbox.targets import FolderTarget, PacsTarget, parse_target

ACCESS = Access(pacs={"main": PacsConfig(url="https://pacs.example.org/dicom-web")})


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("pacs:main", PacsTarget),
        ("https://pacs/dicom-web", PacsTarget),
        ("/out", FolderTarget),
        ("o", FolderTarget),
    ],
)
def test_a_target_is_of_the_kind_that_its_text_says_and_gives_the_text_back(text, kind):
    target = parse_target(text, ACCESS)

    assert type(target) is kind
    assert (str(target), target.text) == (text, text)


def test_only_a_pacs_has_a_service(tmp_path):
    assert parse_target("pacs:main", ACCESS).service.name == "main"
    assert parse_target(str(tmp_path), ACCESS).service is None


def test_a_wrong_target_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="must be named without study and series"):
        parse_target("pacs:main/1.2", ACCESS).check()
    with pytest.raises(SourceError, match=r"must be a name under \[access.pacs\]"):
        parse_target("pacs:other", ACCESS).check()
    with pytest.raises(ConfigError, match="must be a folder that exists, got nothing there"):
        parse_target(str(tmp_path / "gone"), ACCESS).check()


def test_documents_are_written_into_a_folder_that_is_there(tmp_path):
    parse_target(str(tmp_path), ACCESS).bring({"KO.dcm": b"KO"}, tmp_path.relative_to("/"), created_ns=1)

    assert [file.read_bytes() for file in tmp_path.rglob("KO.dcm")] == [b"KO"]
