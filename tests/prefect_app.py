"""Prefect's server as tests start it: what it checks anew with every deployment is checked once.

Prefect's server needs 0.3 s of CPU for a deployment. More than half of that goes into the check that the schema of
the flow's parameters is a valid schema, and into the list of all time zones, which is read from the disk.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def start(server: Any) -> subprocess.Popen[Any]:
    """Start the server's process, as `SubprocessASGIServer` of Prefect does, with the application of this module."""
    from prefect.settings import get_current_settings

    own = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
    settings = get_current_settings().to_environment_variables(exclude_unset=True)
    application = ("--app-dir", str(ROOT), "--factory", f"{__name__}:create")
    listening = ("--host", "127.0.0.1", "--port", str(server.port), "--log-level", "error", "--lifespan", "on")
    return subprocess.Popen(
        [sys.executable, "-m", "uvicorn", *application, *listening], env={**os.environ, **own, **settings}
    )


def create() -> Any:
    """Return Prefect's application, which remembers the schemas that are valid and the time zones that there are."""
    from jsonschema import Draft202012Validator
    from prefect._internal.schemas import validators
    from prefect.server.api.server import create_app
    from prefect.utilities.schema_tools import validation

    from flows.service.prefect_transactions import lock_at_begin

    lock_at_begin()
    validators.get_timezones = cache(validators.get_timezones)
    for validator in (Draft202012Validator, validation._VALIDATOR):
        validator.check_schema = remembered(validator.check_schema)
    return create_app()


def remembered(check: Callable[..., None]) -> Callable[..., None]:
    """Return a check that looks once at each schema that passes it."""
    valid = set()

    def look_once(schema: Any, **options: Any) -> None:
        if (text := json.dumps(schema, sort_keys=True)) not in valid:
            check(schema, **options)
            valid.add(text)

    return look_once
