"""Find annotations in files and folders of any mixture; the kind of a file is detected by its content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from lidcflow.errors import LabelError, SourceError
from lidcflow.labels.csv import is_table, read_csv
from lidcflow.labels.readings import Book, Origin, Problem, UnusedReason
from lidcflow.labels.xml import Message, join_messages, read_message
from lidcflow.source.folder import list_folder

LARGEST_TEXT_BYTES = 64 * 2**20
"""Largest XML or CSV file; the largest XML file of LIDC-IDRI has some megabytes."""

Progress = Callable[[int, int], None]


@dataclass
class _Texts:
    """Annotations from the XML and CSV files of a source, collected while they are read."""

    messages: list[Message] = field(default_factory=list)
    xml: Book = field(default_factory=Book)
    csv: Book = field(default_factory=Book)


def read_source(source: str, on_progress: Progress | None = None) -> list[Book]:
    """Read every reading under a path.

    Parameters
    ----------
    source : str
        A file, or a folder in any layout; links are followed, and other files in a folder are passed over.
    on_progress : callable, optional
        Called with files read and files in all.

    Returns
    -------
    list of Book
        One for each kind of file there is: XML, CSV, DICOM; and one with what could not be looked into.

    Raises
    ------
    LabelError
        If there is no such path, or nothing there holds readings.
    """
    root = Path(source)
    files, hidden = _files(root)
    done = count(1)

    def advance() -> None:
        if on_progress:
            on_progress(next(done), len(files))

    texts, dicom = _Texts(), list[Path]()
    for number, file in enumerate(files, start=1):
        try:
            if _is_dicom(file):
                dicom.append(file)
                continue
            _read_text(file, number, file.name if file == root else "", texts)
        except OSError as error:
            hidden.problems.append(_unopened(number, error))
        advance()
    texts.xml.add(join_messages(texts.messages))
    books = [texts.xml, texts.csv, _read_dicom(dicom, advance), hidden]
    kept = [book for book in books if book.readings or book.read or book.problems]
    if not kept:
        raise LabelError(
            f"labels: source {_shown(root)} must hold readings as LIDC XML, CSV, DICOM SEG with SR, or SR, "
            f"got none in {len(files)} files; see docs/labels.md"
        )
    return kept


def _files(root: Path) -> tuple[list[Path], Book]:
    """List the files of a source as the index does, and the problem with folders that may not be listed.

    Links to folders are followed, and each folder is entered once.

    Raises
    ------
    LabelError
        If there is no such path, or it can't be listed itself.
    """
    if root.is_file():
        return [root], Book()
    if not root.is_dir():
        raise LabelError(f"labels: source {_shown(root)} must be a file or a folder, got nothing there; check the path")
    try:
        listing = list_folder(root)
    except SourceError as error:
        raise LabelError(f"labels: source {_shown(root)}: {str(error).partition(': ')[2]}") from None
    book = Book(problems=[_unlisted(listing.unlistable)] if listing.unlistable else [])
    return sorted(Path(file.path) for file in listing.files), book


def _unlisted(folders: int) -> Problem:
    sentence = f"folders must be listable, got {folders} that may not be; no reading in them is used, check permissions"
    return Problem(Origin("folder", "folders of the source"), UnusedReason.UNREADABLE, sentence)


def _unopened(number: int, error: OSError) -> Problem:
    sentence = f"a file must be readable, got {type(error).__name__}; it is not used, check its permissions"
    return Problem(Origin("file", f"file {number}"), UnusedReason.UNREADABLE, sentence)


def _shown(root: Path) -> str:
    """Name a source in an error: its last part, as the caller wrote it."""
    return root.name or str(root)


def _is_dicom(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _read_text(file: Path, number: int, name: str, texts: _Texts) -> None:
    if file.stat().st_size > LARGEST_TEXT_BYTES:
        return
    data = file.read_bytes()
    kind = _kind(file, data)
    if kind == "xml":
        message = read_message(data, _numbered("XML", number, data))
        if isinstance(message, Message):
            texts.messages.append(message)
        else:
            texts.xml.add(message)
    elif kind == "csv":
        called = name or _numbered("CSV", number, data)
        texts.csv.add(_read_table(data, called))


def _kind(file: Path, data: bytes) -> str:
    """Recognise a text: XML by its first character, a table by its header or, where that is wrong, by its name."""
    start = data[:4096].lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")
    if start.startswith(b"<") and file.suffix.lower() not in (".html", ".htm", ".svg"):
        return "xml"
    if file.suffix.lower() == ".csv" or is_table(start.decode("utf-8", errors="replace")):
        return "csv"
    return ""


def _read_table(data: bytes, called: str) -> Book:
    try:
        return read_csv(data.decode("utf-8-sig"), called)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        sentence = "the file must be UTF-8, got other bytes; save it as UTF-8, until then none of it is used"
        return Book(problems=[Problem(Origin("csv", called, f"line {line}"), UnusedReason.MALFORMED, sentence)])


def _numbered(kind: str, number: int, data: bytes) -> str:
    """Name a file without its path: its place among the sorted files, and the start of its hash."""
    return f"{kind} file {number} (SHA-256 {hashlib.sha256(data).hexdigest()[:8]})"


def _read_dicom(files: Sequence[Path], on_file: Callable[[], None]) -> Book:
    if not files:
        return Book()
    from lidcflow.labels.from_dicom import read_dicom  # highdicom takes half a second, and most sources hold no DICOM

    return read_dicom(files, on_file)
