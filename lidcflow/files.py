"""Write files whole or not at all, and return the SHA-256 of a file or a folder, as releases pin them.

A reader sees the old file or the new one, never a part.

A draft is written beside its target as ``.<name>.<8 hexadecimal digits>`` and renamed when it is complete. A killed
writer leaves its draft, which `lidcflow repair` removes. The store uses `lidcflow.store.commit` instead: its drafts are
locked, which distinguishes drafts of dead writers from those of living ones.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """Yield the path of a draft, and rename the draft to `file` when the block ends without an error.

    Parameters
    ----------
    file : Path
        Replaced if it exists, in a folder that exists.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole_file(Path(folder) / "table.csv") as draft:
    ...         _ = draft.write_text("a,b")
    ...     [entry.name for entry in Path(folder).iterdir()]
    ['table.csv']
    """
    draft = _draft_of(file)
    try:
        with _named_in_errors(file, draft):
            yield draft
            draft.replace(file)
    finally:
        _remove(draft)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield a new, empty folder, and rename it to `folder` when the block ends without an error.

    Parameters
    ----------
    folder : Path
        Replaced with all that it holds if it exists; the folders above it are made.
    """
    draft = _draft_of(folder)
    draft.mkdir(parents=True)
    try:
        yield draft
        _exchange(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_whole(file: Path, content: str | bytes, *, private: bool = False) -> None:
    """Write one file; `write_together` describes the parameters.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder) / "answer.txt", "42")
    ...     (Path(folder) / "answer.txt").read_text()
    '42'
    """
    write_together({file.name: content}, file.parent, private=private)


def write_together(
    contents: Mapping[str, str | bytes], folder: Path, *, private: bool = False, mtime_ns: int | None = None
) -> None:
    """Write every draft before the first rename, so that a full disk leaves the earlier files as they were.

    Parameters
    ----------
    contents : mapping of str to str or bytes
        Content by name; texts are written as UTF-8.
    folder : Path
        Folder that exists; files of these names are replaced, in this order.
    private : bool
        Whether only the owner may read the files.
    mtime_ns : int, optional
        Time of modification that the files get, in ns since 1970.
    """
    drafts = {name: _draft_of(folder / name) for name in contents}
    try:
        for name, draft in drafts.items():
            with _named_in_errors(folder / name, draft):
                _write(draft, contents[name], private=private)
            if mtime_ns is not None:
                os.utime(draft, ns=(mtime_ns, mtime_ns))
        for name, draft in drafts.items():
            draft.replace(folder / name)
    finally:
        for draft in drafts.values():
            _remove(draft)


def write_new(file: Path, content: bytes, *, private: bool = False) -> None:
    """Write a file unless it exists: of several writers at once, one wins.

    Parameters
    ----------
    file : Path
        In a folder that exists.
    content : bytes
        Flushed to the disk before the file appears: nobody writes the file again, so an empty one would stay.
    private : bool
        Whether only the owner may read the file.
    """
    draft = _draft_of(file)
    try:
        with _named_in_errors(file, draft):
            _write(draft, content, private=private, flush=True)
        with suppress(FileExistsError):  # a link, unlike a rename, never replaces: the first writer wins
            os.link(draft, file)
    finally:
        _remove(draft)


def _draft_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


@contextmanager
def _named_in_errors(file: Path, draft: Path) -> Iterator[None]:
    """Name the file that was asked for in an error of the system, not the draft, of which nobody knows."""
    try:
        yield
    except OSError as error:
        if error.filename == os.fspath(draft):
            error.filename = os.fspath(file)
        raise


def _write(draft: Path, content: str | bytes, *, private: bool, flush: bool = False) -> None:
    """Write a draft; a private one is never open to others, not even for a moment."""
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content.encode() if isinstance(content, str) else content)
        if flush:
            stream.flush()
            os.fsync(stream.fileno())


def _exchange(draft: Path, folder: Path) -> None:
    old = draft.with_name(f"{draft.name}.old")
    with suppress(FileNotFoundError):
        folder.rename(old)
    draft.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _remove(draft: Path) -> None:
    """Remove what is left of a draft; the error that kept it from its place counts more than one of this."""
    with suppress(OSError):
        draft.unlink()


def digest_of_file(file: Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of_folder(folder: Path, *, without: Collection[str] = ()) -> str:
    """Return one SHA-256 over the names and contents of all files of a folder.

    Parameters
    ----------
    folder : Path
        Of regular files, in folders of any depth.
    without : collection of str
        Names, relative to the folder, that do not count.

    Returns
    -------
    str
        SHA-256 of what ``sha256sum`` prints of the files, sorted by their names: people can check it without lidcflow.
    """
    files = {str(file.relative_to(folder).as_posix()): file for file in folder.rglob("*") if file.is_file()}
    lines = [f"{digest_of_file(files[name])}  {name}\n" for name in sorted(files) if name not in without]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
