"""Checks of settings that would otherwise fail later, in another place and with a traceback."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import URL, Dialect

MOST_BYTES = 2**20
"""Size of a configuration file or of the file of one value; larger files are something else."""

DATABASES = ("sqlite", "postgresql")
URL_FORMS = "it looks like postgresql+pg8000://user@host/name or sqlite:////folder/catalog.db"

_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


def bounded_text(file: Path) -> str:
    """Read a small text file, without waiting for a pipe and without filling the memory.

    Raises
    ------
    OSError
        If there is no such file, or it can't be read.
    ValueError
        If it is not a regular file of UTF-8 text of at most `MOST_BYTES`; the message says what was found.
    """
    found = file.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(_KINDS.get(stat.S_IFMT(found.st_mode), "a device"))
    with file.open("rb") as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")  # some editors begin a file with a byte order mark, which TOML has not
    except UnicodeDecodeError as error:
        raise ValueError(f"no UTF-8 text: {error.reason} at byte {error.start}") from None


def why_unreadable(error: OSError | ValueError) -> str:
    """Return in a few words why `bounded_text` failed."""
    return repr(error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def unusable_texts(settings: Any, key: str = "") -> Iterator[str]:
    """Yield the keys of values that no path, URL or name may hold: a NUL, or bytes that are not UTF-8."""
    if isinstance(settings, str | Path) and not _is_usable(str(settings)):
        yield key
    inner: Iterator[tuple[Any, Any]] | enumerate[Any] = iter(())
    if isinstance(settings, Mapping):
        inner = iter(settings.items())
    elif isinstance(settings, list | tuple):
        inner = enumerate(settings)
    for name, value in inner:
        yield from unusable_texts(value, f"{key}.{name}".lstrip("."))


def _is_usable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def why_no_folder(path: Path) -> str:
    """Return why a path can't be a folder, or become one; empty if it can."""
    for place in (path, *path.parents):
        try:
            mode = place.stat().st_mode
        except FileNotFoundError:
            if place.is_symlink():
                return f"a link that leads nowhere at {place}"
        except OSError as error:
            return repr(error.strerror)
        else:
            return "" if stat.S_ISDIR(mode) else f"{_KINDS.get(stat.S_IFMT(mode), 'a file')} at {place}"
    return ""


def why_no_file(path: Path) -> str:
    """Return why a path can't be a file, or become one; empty if it can."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return why_no_folder(path.parent)
    except OSError as error:
        return repr(error.strerror)
    return "" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "a device")


def why_no_catalog(text: str) -> str:
    """Return why the file that a SQLAlchemy URL names can't be a catalog; empty if it can, or if it names none."""
    url, _ = _url_and_dialect(text)
    return why_no_file(Path(url.database)) if url.get_backend_name() == "sqlite" and url.database else ""


def checked_catalog_url(text: str) -> str:
    """Return a SQLAlchemy URL if it is one that lidcflow can keep its catalog behind.

    Raises
    ------
    ValueError
        If it is not; the message holds no part of the URL, which may have a password in it.
    """
    url, dialect = _url_and_dialect(text)
    if dialect is None:
        return text  # of a driver that only the processes need which open the catalog
    if url.get_backend_name() not in DATABASES:
        raise ValueError(f"must be a URL of SQLite or PostgreSQL, not of {url.get_backend_name()}; {URL_FORMS}")
    if dialect.is_async:
        raise ValueError(f"must name a driver that is not asynchronous, not {url.get_driver_name()}; {URL_FORMS}")
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise ValueError(f"must name a file, for the catalog would end with each process; {URL_FORMS}")
    if "@" in (url.host or ""):
        raise ValueError(f"must have an @ of a password written as %40; {URL_FORMS}")
    if url.port is not None and not 1 <= url.port <= 65535:
        raise ValueError(f"must have a port from 1 to 65535, not {url.port}; {URL_FORMS}")
    return text


def _url_and_dialect(text: str) -> tuple[URL, type[Dialect] | None]:
    """Parse a SQLAlchemy URL; without a dialect where its driver is not installed.

    Raises
    ------
    ValueError
        If it is no such URL, or names no dialect that SQLAlchemy knows.
    """
    from sqlalchemy import exc, make_url  # a fifth of a second, which most configurations do without

    try:
        url = make_url(text)
        return url, url.get_dialect()
    except (exc.SQLAlchemyError, ValueError):
        raise ValueError(f"must be a SQLAlchemy URL with a known dialect and a number as port; {URL_FORMS}") from None
    except ImportError:
        return url, None


def without_passwords(text: str) -> str:
    """Hide what stands before the last ``@`` of an address, and passwords among its options.

    Examples
    --------
    >>> without_passwords("postgresql://me:se@cret@host/db?password=x&a=b")
    'postgresql://...@host/db?password=...&a=b'
    """
    text = re.sub(r"(://|:)\S*@", r"\1...@", text)
    return re.sub(r"(?i)\b((?:pass|password|passwd|pwd|secret|token)=)[^&\s'\"]*", r"\1...", text)


def without_credentials(address: str) -> str:
    """Return an address without user and password, as a program can use it.

    Examples
    --------
    >>> without_credentials("https://user:se@cret@mlflow:5000/path")
    'https://mlflow:5000/path'
    """
    return re.sub(r"://[^/]*@", "://", address)
