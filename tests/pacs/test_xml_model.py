"""The XML that some services answer with."""

import pytest

from lidcflow.errors import PacsError
from lidcflow.pacs.send import store
from tests.dicomweb_server import Answer
from tests.pacs.contents import contents_of


def test_xml_with_entities_is_no_answer(ct_series, tmp_path, tiny):
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><NativeDicomModel>&b;</NativeDicomModel>'

    with (
        tiny.faulty(lambda *_: Answer(body=bomb, content_type="application/dicom+xml")),
        tiny.connect() as connection,
        pytest.raises(PacsError, match="got XML that is cut short or damaged"),
    ):
        store(connection, contents_of(ct_series(tmp_path / "ct", n=1)))
