"""Log lines of lidcflow and Prefect on standard error, as text or as JSON."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime
from typing import TextIO

from rich.console import Console
from rich.markup import escape

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

RUNS = {"flow_run": "flow_run_name", "flow_run_id": "flow_run_id", "task_run": "task_run_name"}
"""Fields of a line by the attribute that Prefect gives a record."""

PREFECT_AS_JSON = {
    "HANDLERS_CONSOLE_CLASS": f"{__name__}.JsonHandler",
    "HANDLERS_CONSOLE_FORMATTER": "json",
    "FORMATTERS_JSON_CLASS": f"{__name__}.JsonLines",
    "FORMATTERS_JSON_FORMAT": "%(message)s",
}
"""Variables that make Prefect's console write JSON, in this process and in those that it starts."""


class JsonLines(logging.Formatter):
    """One JSON object for each line: time in UTC, level, logger and message, and the names of Prefect's runs."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as JSON; an exception becomes one string."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {field: str(name) for field, key in RUNS.items() if (name := getattr(record, key, None))}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class JsonHandler(logging.StreamHandler[TextIO]):
    """Prefect's console without the colours, for which its configuration has styles."""

    def __init__(self, stream: TextIO | None = None, **_: object) -> None:
        super().__init__(stream)


def show_logs(level: str, *, as_json: bool) -> None:
    """Show the log lines of lidcflow and of Prefect's runs from a level on.

    Parameters
    ----------
    level : str
        ``debug``, ``info``, ``warning`` or ``error``.
    as_json : bool
        Whether a line is a JSON object, for a collector of logs; `show_sentence` writes such lines then, too.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if as_json else logging.Formatter(TEXT))
    logger = logging.getLogger("lidcflow")
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False
    for name, value in {"HANDLERS_CONSOLE_LEVEL": level.upper(), **(PREFECT_AS_JSON if as_json else {})}.items():
        os.environ.setdefault(f"PREFECT_LOGGING_{name}", value)


def show_sentence(sentence: str, level: int = logging.INFO, before: str = "") -> None:
    """Show a sentence on standard error, as a log line where these are JSON.

    Parameters
    ----------
    sentence : str
        What a person reads.
    level : int
        Level of the log line, such as `logging.ERROR`.
    before : str
        Rich markup that stands before the sentence where it is text.
    """
    if shown_as_json():
        logging.getLogger("lidcflow.command").log(level, sentence)
    else:
        Console(stderr=True).print(f"{before}{escape(sentence)}", highlight=False, emoji=False, soft_wrap=True)


def shown_as_json() -> bool:
    """Return whether standard error is for JSON, one object a line."""
    return any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger("lidcflow").handlers)
