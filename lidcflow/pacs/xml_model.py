"""The Native DICOM Model, in which some services answer a delivery, as the DICOM JSON model."""

from __future__ import annotations

from typing import Any
from xml.parsers import expat

from lidcflow.pacs.retry import Passing

DEEPEST = 32
"""Elements within elements; the answer to a delivery has six."""


def json_of_xml(body: bytes) -> dict[str, Any]:
    """Turn a dataset in XML into the DICOM JSON model: sequences, and texts.

    Parameters
    ----------
    body : bytes
        The document; a document type, and with it every entity, is refused.

    Raises
    ------
    Passing
        If it is not well-formed, or nested too deep.

    References
    ----------
    DICOM PS3.19 annex A.

    Examples
    --------
    >>> json_of_xml(b'<NativeDicomModel><DicomAttribute tag="00081155" vr="UI"><Value number="1">1.2</Value>'
    ...             b'</DicomAttribute></NativeDicomModel>')
    {'00081155': {'vr': 'UI', 'Value': ['1.2']}}
    """
    model = _Model()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = model.start, model.end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = model.text, model.doctype
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError):
        raise Passing("XML that is cut short or damaged") from None
    return model.root


class _Model:
    """Builds the dataset while its elements open and close."""

    def __init__(self) -> None:
        self.root: dict[str, Any] = {}
        self._path: list[Any] = [self.root]
        self._text = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._path) > DEEPEST:
            raise ValueError
        above = self._path[-1]
        local = name.rpartition(" ")[2]
        if local == "DicomAttribute" and isinstance(above, dict):
            values: list[Any] = []
            above[attributes.get("tag", "").upper()] = {"vr": attributes.get("vr", ""), "Value": values}
            above = values
        elif local == "Item" and isinstance(above, list):
            item: dict[str, Any] = {}
            above.append(item)
            above = item
        self._path.append(above)
        self._text = ""

    def end(self, name: str) -> None:
        above = self._path.pop()
        if name.rpartition(" ")[2] == "Value" and isinstance(above, list):
            above.append(self._text.strip())
        self._text = ""

    def text(self, data: str) -> None:
        self._text += data

    def doctype(self, *_: object) -> None:
        raise ValueError
