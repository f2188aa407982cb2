"""Log lines of lidcflow and Prefect on standard error, as text or as JSON."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class JsonLines(logging.Formatter):
    """One JSON object for each line: time in UTC, level, logger and message."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as JSON; an exception becomes one string."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def show_logs(level: str, *, as_json: bool) -> None:
    """Show the log lines of lidcflow from a level on; as text, those of Prefect's runs too.

    Parameters
    ----------
    level : str
        ``debug``, ``info``, ``warning`` or ``error``.
    as_json : bool
        Whether a line is a JSON object, for a collector of logs.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if as_json else logging.Formatter(TEXT))
    logger = logging.getLogger("lidcflow")
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False
    if not as_json:
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", level.upper())
