"""The password of a workspace's Prefect server: whoever holds it runs flows, and so code, on this machine.

Prefect's pages, worker, flows and commands share it. It stands in a file that its owner alone can read, and in the
environment of processes, never in an argument or a log. A ``PREFECT_API_AUTH_STRING`` of the user's own goes before it.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from pathlib import Path

from lidcflow.errors import ResourceError
from lidcflow.files import write_whole

CLIENT_VARIABLE = "PREFECT_API_AUTH_STRING"
SERVER_VARIABLE = "PREFECT_SERVER_API_AUTH_STRING"
PASSWORD_FILE = "password"
USER = "lidcflow"
_WELL_FORMED = re.compile(rf"{USER}:[0-9a-f]{{48}}")


def password_file(prefect_home: Path) -> Path:
    """Return the file of the workspace's password."""
    return prefect_home.absolute() / PASSWORD_FILE


def new_password() -> str:
    """Return a password nobody has; it has the form of a user and a password, which ``curl --user`` takes."""
    return f"{USER}:{secrets.token_hex(24)}"


def user_password() -> str | None:
    """Return the password that the user's environment names, or None."""
    return os.environ.get(SERVER_VARIABLE) or os.environ.get(CLIENT_VARIABLE) or None


def ensure_password(prefect_home: Path) -> str:
    """Return the password of the server that is about to start; generate one unless a secret one exists.

    Raises
    ------
    ResourceError
        If the workspace can't be written.
    """
    if own := user_password():
        return own
    file = password_file(prefect_home)
    if not _is_private(file) or (kept := _read(file)) is None:
        kept = new_password()
        _write(file, kept)
    return kept


def known_password(prefect_home: Path) -> str | None:
    """Return the password of a server that runs, or None where nothing is known of one."""
    return os.environ.get(CLIENT_VARIABLE) or os.environ.get(SERVER_VARIABLE) or _read(password_file(prefect_home))


def choose_temporary_password() -> None:
    """Set a password for the Prefect server of this process and its children; the password is written nowhere.

    Call it before `temporary_server`, which has Prefect read it. The user's own goes before it.
    """
    os.environ[SERVER_VARIABLE] = os.environ[CLIENT_VARIABLE] = user_password() or new_password()


def use_password(prefect_home: Path) -> None:
    """Set the password of the `lidcflow up` that serves the workspace, unless the user has set one."""
    if password := known_password(prefect_home):
        os.environ.setdefault(CLIENT_VARIABLE, password)


def _read(file: Path) -> str | None:
    """Return a password that has the form of ours, or None."""
    try:
        text = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return text if _WELL_FORMED.fullmatch(text) else None


def _is_private(file: Path) -> bool:
    """Return whether a file is there and for its owner alone; that of a copied workspace may be readable by all."""
    try:
        return not stat.S_IMODE(file.stat().st_mode) & 0o077
    except OSError:
        return False


def _write(file: Path, password: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, f"{password}\n", private=True)
    except OSError as error:
        raise ResourceError(
            f"workspace {file.parent.parent}: must be writable, got {error.strerror}; "
            "choose another one with --workspace"
        ) from None
