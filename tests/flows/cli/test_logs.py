"""Log lines on standard error, as text or as JSON."""

import json
import logging

import pytest

from flows.cli.logs import JsonLines, show_logs


@pytest.fixture
def logger(monkeypatch):
    """Return the logger of lidcflow; its handlers and level are put back."""
    monkeypatch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    logger = logging.getLogger("lidcflow")
    kept = logger.handlers[:], logger.level, logger.propagate
    yield logger
    logger.handlers[:], logger.level, logger.propagate = kept


def test_a_line_as_json_has_level_logger_and_message():
    record = logging.LogRecord("lidcflow.inbox", logging.WARNING, "", 0, "%d series", (3,), None)

    line = json.loads(JsonLines().format(record))

    assert (line["level"], line["logger"], line["message"]) == ("warning", "lidcflow.inbox", "3 series")
    assert line["time"].endswith("+00:00")


def test_lines_below_the_level_are_not_shown(logger, capsys):
    show_logs("warning", as_json=True)

    logging.getLogger("lidcflow.inbox").info("a detail")
    logging.getLogger("lidcflow.inbox").warning("a cause")

    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "a cause"


def test_lines_as_text_name_level_and_logger(logger, capsys):
    show_logs("info", as_json=False)

    logging.getLogger("lidcflow.inbox").info("a detail")

    assert "INFO lidcflow.inbox: a detail" in capsys.readouterr().err
