"""Checks of settings that would otherwise fail later, in another place and with a traceback."""

from __future__ import annotations

import errno
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import URL, Dialect

MOST_BYTES = 2**20
"""Size of a configuration file or of the file of one value; larger files are something else."""

MOST_BITS = 1024
"""Longest integer in bits: a longer one fits no float, and Python prints none of over 4300 digits."""

MOST_LEVELS = 100
"""Deepest nesting of tables and arrays; pydantic writes JSON of at most 255 levels."""

MOST_LETTERS = 200
"""Most letters of a key, a path or a value in a sentence."""

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


def faults_of_values(settings: Any, key: str = "", level: int = 0) -> Iterator[str]:
    """Yield a sentence for each key or value that no setting may have, whatever its type.

    Text must be UTF-8 without NUL, as paths, URLs and names are; integers must have at most `MOST_BITS`; tables and
    arrays must be at most `MOST_LEVELS` deep.
    """
    if level > MOST_LEVELS:
        yield f"{in_a_line(key)}: {TOO_DEEP}"
        return
    if isinstance(settings, str | Path) and not _is_usable(str(settings)):
        yield f"{in_a_line(key)}: must be UTF-8 text without NUL, got something else; write the value again"
    if isinstance(settings, int) and settings.bit_length() > MOST_BITS:
        yield f"{in_a_line(key)}: must be a number of at most {MOST_BITS} bits, got {settings.bit_length()}; correct it"
    for name, value in _inside(settings):
        inner = f"{key}.{name}".lstrip(".")
        if not _is_usable(str(name)):
            yield f"{in_a_line(inner)}: a key must be UTF-8 text without NUL, got something else; write it again"
        yield from faults_of_values(value, inner, level + 1)


TOO_DEEP = (
    f"arrays and tables must be nested at most {MOST_LEVELS} levels deep, got more; correct the file or the variables"
)


def _inside(settings: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(settings, Mapping):
        return settings.items()
    return enumerate(settings) if isinstance(settings, list | tuple) else ()


def _is_usable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def in_a_line(text: object) -> str:
    r"""Return a key or a path as a sentence can hold it: nothing unprintable, both ends of a long one, no password.

    Examples
    --------
    >>> in_a_line("two\nlines")
    'two\\nlines'
    """
    shown = without_passwords(printable(str(text)))
    return shown if len(shown) <= MOST_LETTERS else f"{shown[: MOST_LETTERS // 2]}...{shown[-MOST_LETTERS // 2 :]}"


def printable(text: str) -> str:
    """Return a text with line ends, escape sequences and bytes that are not UTF-8 written as Python writes them."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def why_no_folder(path: Path) -> str:
    """Return why a path can't be a folder, or become one; empty if it can."""
    for place in (path, *path.parents):
        try:
            mode = place.stat().st_mode
        except FileNotFoundError:
            if place.is_symlink():
                return f"a link that leads nowhere at {in_a_line(place)}"
        except OSError as error:
            return repr(error.strerror)
        else:
            return "" if stat.S_ISDIR(mode) else f"{_KINDS.get(stat.S_IFMT(mode), 'a file')} at {in_a_line(place)}"
    return ""


def why_never_there(path: Path) -> str:
    """Return why there can be nothing at a path, whoever makes it; empty if there can, or while its disk is away."""
    try:
        path.lstat()
    except OSError as error:
        return repr(error.strerror) if error.errno in (errno.ENAMETOOLONG, errno.ELOOP) else ""
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
    # Not one pattern as (://|:)\S*@: over a value of 100,000 colons without an @ it takes 81 s, this takes 10 ms.
    text = re.sub(r"\S+", _without_user, text)
    return re.sub(r"(?i)\b((?:pass|password|passwd|pwd|secret|token)=)[^&\s'\"]*", r"\1...", text)


def _without_user(word: re.Match[str]) -> str:
    before, at, host = word[0].rpartition("@")
    scheme, colon, _ = before.partition(":")
    slashes = "//" if before.startswith("://", len(scheme)) else ""
    return f"{scheme}:{slashes}...@{host}" if at and colon else word[0]


def without_credentials(address: str) -> str:
    """Return an address without user and password, as a program can use it.

    Examples
    --------
    >>> without_credentials("https://user:se@cret@mlflow:5000/path")
    'https://mlflow:5000/path'
    """
    return re.sub(r"://[^/]*@", "://", address)
