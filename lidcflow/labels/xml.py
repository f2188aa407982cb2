"""Readings of the XML messages that LIDC-IDRI was published with, parsed with line numbers and without entities."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from lidcflow.dicom.values import is_uid
from lidcflow.labels.readings import Book, MarkedSlice, Origin, Problem, Reading, UnusedReason, is_rating

DEEPEST = 32
"""Elements within elements; the files of LIDC-IDRI have 6."""


MESSAGE, OTHER_MESSAGE = "lidcreadmessage", "idrireadmessage"


class XmlError(ValueError):
    """The text is not XML that is read here; `line` is the number of its faulty line."""

    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(line, sentence)
        self.line = line
        self.sentence = sentence


@dataclass(eq=False)
class Element:
    """An element, its name in lower case and without a namespace."""

    name: str
    line: int
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, name: str) -> Iterator[Element]:
        """Yield the children of a name."""
        return (child for child in self.children if child.name == name)

    def first(self, name: str) -> Element | None:
        """Return the first child of a name."""
        return next(self.all(name), None)

    def value(self, name: str) -> str:
        """Return the text of the first child of a name, without blanks around it; empty where there is none."""
        child = self.first(name)
        return "" if child is None else child.text.strip()


def parse(data: bytes) -> Element:
    """Parse a file.

    A document type declaration is refused, and with it every entity beside the five of XML itself: that is what
    `defusedxml` would do, in five lines.

    Parameters
    ----------
    data : bytes
        The file.

    Raises
    ------
    XmlError
        If it is not well-formed, nested deeper than `DEEPEST`, or declares a document type.
    """
    root = Element("", 0)
    path = [root]
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True

    def start(name: str, _attributes: dict[str, str]) -> None:
        if len(path) > DEEPEST:
            raise XmlError(parser.CurrentLineNumber, f"elements must be nested at most {DEEPEST} deep")
        element = Element(name.rpartition(" ")[2].lower(), parser.CurrentLineNumber)
        path[-1].children.append(element)
        path.append(element)

    def end(_name: str) -> None:
        path.pop()

    def text(data: str) -> None:
        path[-1].text += data

    def doctype(*_: object) -> None:
        raise XmlError(parser.CurrentLineNumber, "a document type must not be declared, nor entities")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text, doctype
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise XmlError(error.lineno, f"must be well-formed XML, got {expat.ErrorString(error.code)}") from None
    except (ValueError, LookupError) as error:
        if isinstance(error, XmlError):
            raise
        raise XmlError(parser.CurrentLineNumber, "must be in an encoding that is known here, such as UTF-8") from None
    return root.children[0]


class _Wrong(Exception):
    """A nodule or a message that can't be used; of the line where it stands."""

    def __init__(self, element: Element, reason: UnusedReason, sentence: str) -> None:
        super().__init__(element.line, reason, sentence)
        self.line = element.line
        self.reason = reason
        self.sentence = sentence


@dataclass(frozen=True, eq=False)
class Message:
    """The annotations of one series in one file."""

    file: str
    series_instance_uid: str
    sessions: int
    book: Book


def read_message(data: bytes, file: str) -> Message | Book:
    """Read one file.

    Parameters
    ----------
    data : bytes
        The file.
    file : str
        What it is called in problems.

    Returns
    -------
    Message, or Book
        A book with the problem where the file is no message on a CT series.
    """
    try:
        root = parse(data)
        return _message(root, file)
    except XmlError as error:
        problem = _told(
            file, error.line, UnusedReason.MALFORMED, f"{error.sentence}; correct the file, until then it is not used"
        )
    except _Wrong as wrong:
        problem = _told(file, wrong.line, wrong.reason, wrong.sentence)
    return Book(problems=[problem])


def join_messages(messages: Iterable[Message]) -> Book:
    """Put messages together, of each series one: the one with most sessions, then most readings, then the first."""
    by_series: dict[str, list[Message]] = {}
    for message in messages:
        by_series.setdefault(message.series_instance_uid, []).append(message)
    book = Book()
    for uid, of_series in by_series.items():
        kept = max(of_series, key=lambda message: (message.sessions, len(message.book.readings)))
        book.add(kept.book)
        for message in of_series:
            if message is not kept:
                book.problems.append(_duplicate(message, kept, uid))
    return book


def _duplicate(message: Message, kept: Message, uid: str) -> Problem:
    same = _content(message) == _content(kept)
    sentence = (
        f"a series must have one message, got {'the same' if same else 'another one'} in {kept.file}, which is kept; "
        f"{'remove either' if same else 'remove the one that is wrong'}"
    )
    return Problem(Origin("xml", message.file), UnusedReason.DUPLICATE, sentence, uid)


def _content(message: Message) -> list[tuple[object, ...]]:
    return [
        (reading.reader, reading.malignancy, *(_mark_content(mark) for mark in reading.marks))
        for reading in message.book.readings
    ]


def _mark_content(mark: MarkedSlice) -> tuple[object, ...]:
    return mark.sop_instance_uid, mark.z_mm, mark.inclusion, None if mark.points is None else mark.points.tobytes()


def _message(root: Element, file: str) -> Message:
    if root.name == OTHER_MESSAGE:
        raise _Wrong(
            root, UnusedReason.OTHER_MESSAGE, "a message must be on CT, got one on a radiograph; it is skipped"
        )
    if root.name != MESSAGE:
        raise _Wrong(
            root, UnusedReason.MALFORMED, "must be a LidcReadMessage, got other XML; take it out of the folder"
        )
    header = root.first("responseheader")
    uid = header.value("seriesinstanceuid") if header else ""
    if not is_uid(uid):
        raise _Wrong(
            header or root, UnusedReason.MALFORMED, "the message must name its SeriesInstanceUid; find its series"
        )
    sessions = list(root.all("readingsession"))
    book = Book(read={uid: Origin("xml", file)} if sessions else {})
    for number, session in enumerate(sessions, start=1):
        _read_session(session, f"session {number}", uid, file, book)
    return Message(file, uid, len(sessions), book)


def _read_session(session: Element, reader: str, uid: str, file: str, book: Book) -> None:
    for nodule in session.all("unblindedreadnodule"):
        try:
            reading = _reading(nodule, reader, uid, file)
        except _Wrong as wrong:
            book.problems.append(_told(file, wrong.line, wrong.reason, wrong.sentence, uid))
            continue
        if reading:
            book.readings.append(reading)
        else:
            book.small += 1


def _reading(nodule: Element, reader: str, uid: str, file: str) -> Reading | None:
    """Return the reading of a nodule; None where it is below 3 mm: a point without a rating."""
    marks = sorted(_marks(nodule), key=lambda mark: mark.z_mm or 0.0)
    characteristics = nodule.first("characteristics")
    rated = characteristics.value("malignancy") if characteristics else ""
    if not rated and sum(len(mark.points) for mark in marks if mark.points is not None) == 1:
        return None
    if not rated:
        sentence = "a nodule with an outline must have a malignancy, got none; rate it, or take it out of the message"
        raise _Wrong(nodule, UnusedReason.NO_RATING, sentence)
    return Reading(
        series_instance_uid=uid,
        malignancy=_rating(characteristics or nodule, rated),
        origin=Origin("xml", file, f"line {nodule.line}"),
        marks=tuple(marks),
        reader=reader,
    )


def _rating(element: Element, text: str) -> float:
    rating = _number(element, text, "malignancy")
    if not is_rating(rating):
        raise _Wrong(
            element, UnusedReason.RATING_OUT_OF_RANGE, f"malignancy must be 1 to 5, got {rating:g}; correct it"
        )
    return rating


def _marks(nodule: Element) -> Iterator[MarkedSlice]:
    if nodule.first("roi") is None:
        raise _Wrong(nodule, UnusedReason.MALFORMED, "a nodule must have at least one roi, got none; correct it")
    for roi in nodule.all("roi"):
        image = roi.value("imagesop_uid")
        if image and not is_uid(image):
            raise _Wrong(roi, UnusedReason.MALFORMED, "imageSOP_UID must be a UID of digits and dots; correct it")
        z_mm = _number(roi, roi.value("imagezposition"), "imageZposition")
        yield MarkedSlice(z_mm, image or None, roi.value("inclusion").upper() != "FALSE", _points(roi))


def _points(roi: Element) -> NDArray[np.int64]:
    """Return the outline of a roi as (row, column)."""
    edges = [(edge.value("ycoord"), edge.value("xcoord")) for edge in roi.all("edgemap")]
    if not edges or not all(_is_integer(value) for edge in edges for value in edge):
        raise _Wrong(roi, UnusedReason.MALFORMED, "an edgeMap must have whole numbers as xCoord and yCoord; correct it")
    points = np.array(edges, dtype=np.int64)
    points.flags.writeable = False
    return points


def _is_integer(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").isdigit() and len(text) < 7


def _number(element: Element, text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _Wrong(element, UnusedReason.MALFORMED, f"{name} must be a number, got something else; correct it")
    return value


def _told(file: str, line: int, reason: UnusedReason, sentence: str, uid: str | None = None) -> Problem:
    return Problem(Origin("xml", file, f"line {line}"), reason, sentence, uid)
