"""A Prefect server that is named by ``PREFECT_API_URL`` or a profile: one sentence when it can't be used."""

from __future__ import annotations

import os
import ssl
import sys
import tomllib
from pathlib import Path

import httpx
from pydantic import ValidationError

from lidcflow.config.validators import without_credentials
from lidcflow.errors import ResourceError

ANSWER_WITHIN_S = 10.0
VARIABLES = ("PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH")
ENVIRONMENT, SETTINGS, PROJECT = ".env", "prefect.toml", "pyproject.toml"
"""Files of the working folder that Prefect reads settings from; of a project's, its table ``tool.prefect``."""

WAY_OUT = "start it, or check PREFECT_API_URL, which ends in /api; unset, a temporary server is started"
_REASONS = {
    401: "status 401: it asks for credentials; set PREFECT_API_AUTH_STRING or PREFECT_API_KEY to those that it takes",
    403: "status 403: it refuses access; set PREFECT_API_AUTH_STRING or PREFECT_API_KEY to those that it takes",
    404: f"status 404: there is no Prefect API at this address; {WAY_OUT}",
}


def may_name_a_server(home: Path) -> bool:
    """Return whether something may name a Prefect server, found out without importing Prefect where that is not yet.

    Parameters
    ----------
    home : Path
        Prefect's home, which may hold profiles.
    """
    if "prefect" in sys.modules:
        return named_server() is not None
    named = any(name in os.environ for name in VARIABLES)
    held = any(file.exists() for file in (home / "profiles.toml", Path(SETTINGS)))
    return named or held or _mentions_prefect(Path(ENVIRONMENT)) or _sets_up_prefect(Path(PROJECT))


def _sets_up_prefect(project: Path) -> bool:
    """Return whether the file of a project has settings for Prefect; Prefect among its packages is none."""
    try:
        tool = tomllib.loads(project.read_text()).get("tool")
    except OSError:
        return False
    except ValueError:
        return _mentions_prefect(project)
    return isinstance(tool, dict) and "prefect" in tool


def _mentions_prefect(file: Path) -> bool:
    try:
        return "prefect" in file.read_text(errors="replace").lower()
    except OSError:
        return False


def named_server() -> str | None:
    """Return the address of the Prefect server that the settings name, from the environment or a profile.

    Raises
    ------
    ResourceError
        If Prefect can't read its settings.
    """
    try:
        from prefect.settings import get_current_settings  # raises where Prefect can't read its settings

        return get_current_settings().api.url
    except ValidationError as error:
        first = error.errors()[0]
        setting = ".".join(str(part) for part in first["loc"]) or "one of them"
        raise ResourceError(
            f"Prefect's settings: must be valid, got for {setting}: {first['msg']}; check the variables PREFECT_..., "
            "and profiles.toml of PREFECT_HOME"
        ) from None


def check_named_server(url: str) -> None:
    """Make sure that a Prefect server answers, before a flow starts: Prefect itself ends in a traceback.

    Raises
    ------
    ResourceError
        If it is down, is something else, refuses the credentials, or is of another generation of Prefect.
    """
    from flows.service.prefect_client import ask_server  # Prefect reads the environment when it is imported

    try:
        ask_server(ANSWER_WITHIN_S)
    except httpx.HTTPStatusError as error:
        raise _unusable(url, explain_status(error.response.status_code)) from None
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
        raise _unusable(url, f"{_reason(error)}; {WAY_OUT}") from None
    except ValueError:
        raise _unusable(url, f"an answer that is not of a Prefect API; {WAY_OUT}") from None


def explain_status(status: int) -> str:
    """Return what a status means for a Prefect API, with the way out."""
    return _REASONS.get(status, f"status {status}; look at its log, or check PREFECT_API_URL")


def _unusable(url: str, why: str) -> ResourceError:
    return ResourceError(f"Prefect server {without_credentials(url)}: must answer, got {why}")


def _reason(error: Exception) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__} ({lines[0][:150]})" if lines else type(error).__name__
