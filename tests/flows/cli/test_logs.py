"""Log lines on standard error, as text or as JSON."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli.bars import shown_progress
from flows.cli.logs import PREFECT_AS_JSON, JsonLines, show_logs, show_sentence
from tasks.progress import stage

ROOT = Path(__file__).parents[3]


@pytest.fixture
def logger(monkeypatch):
    """Return the logger of lidcflow; its handlers and level are put back."""
    for name in ("HANDLERS_CONSOLE_LEVEL", *PREFECT_AS_JSON):
        monkeypatch.setenv(f"PREFECT_LOGGING_{name}", "")  # monkeypatch puts back whatever the test leaves
        monkeypatch.delenv(f"PREFECT_LOGGING_{name}")
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


def test_progress_and_errors_are_lines_as_json_too(logger, capsys):
    show_logs("info", as_json=True)

    with shown_progress("starting"), stage("index", total=2) as indexing:
        indexing.advance(2)
    show_sentence("series 1.2: [must] be whole", logging.ERROR, before="[red]error:[/] ")

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["level"], line["message"]) for line in lines] == [
        ("info", "starting"),
        ("info", "index: 2 of 2"),
        ("error", "series 1.2: [must] be whole"),
    ]


def test_a_sentence_as_text_keeps_its_brackets_and_colons(logger, capsys):
    show_sentence("file [a]: at 1:02 got :smile:", logging.ERROR, before="[red]error:[/] ")

    assert capsys.readouterr().err == "error: file [a]: at 1:02 got :smile:\n"


LOGGING = """
from flows.cli.logs import show_logs
show_logs("info", as_json=True)
import logging
from prefect import flow  # sets up logging
run = {"flow_run_name": "index 2 series", "send_to_api": False}
logging.getLogger("prefect.flow_runs").info("index: 2 of 2", extra=run)
logging.getLogger("prefect.task_runs").debug("a detail")
"""


def test_lines_of_prefects_runs_are_json_with_the_names_of_the_runs():
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_LOGGING_")}
    done = subprocess.run(
        [sys.executable, "-c", LOGGING], capture_output=True, text=True, check=True, cwd=ROOT, env=environment
    )

    (line,) = map(json.loads, done.stderr.splitlines())
    assert line.items() >= {"level": "info", "message": "index: 2 of 2", "flow_run": "index 2 series"}.items()
