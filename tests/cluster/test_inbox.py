"""From a PACS to documents in it, with real servers: what has come is answered once, however a round ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest
from prefect.settings import PREFECT_API_URL

from flows.inbox import inbox
from lidcflow.config import DeliveryConfig
from lidcflow.inbox.delivery import Step
from lidcflow.inbox.ledger import Ledger

ROOT = Path(__file__).parents[2]
ROUND_LIMIT_S = 180
STEPS_OF_TWO = 9
"""Seen, settled, preprocessed, scored twice, and for each of two series a delivery and what the ledger says of it."""


@pytest.fixture
def config(released, pacs, tmp_path):
    """The configuration of a workspace whose inbox and target are one PACS."""
    return released.model_copy(
        update={
            "workspace": tmp_path / "workspace",
            "inbox": "pacs:main",
            "access": pacs.access,
            "delivery": DeliveryConfig(to=("pacs:main",), settle_s=0, first_delay_s=0.001),
        }
    )


def killed_round(config, step):
    """Go through the inbox in a process of its own, killed before one of its steps; return its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.inbox_round", str(step)],
        input=config.model_dump_json(),
        text=True,
        cwd=ROOT,
        env={**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value()},
        timeout=ROUND_LIMIT_S,
        check=False,
    )
    return done.returncode


def documents_in(pacs):
    """Return the KO and SR documents that a PACS holds, sorted by modality."""
    found = []
    for instance in pacs.ask("GET", "/instances"):
        content = pacs.client.get(f"{pacs.root}/instances/{instance}/file").content
        dataset = pydicom.dcmread(pydicom.filebase.DicomBytesIO(content))
        if dataset.Modality in ("KO", "SR"):
            found.append(dataset)
    return sorted(found, key=lambda one: (one.Modality, one.StudyInstanceUID))


def steps_in(config):
    with Ledger(config.catalog) as ledger:
        return [(row.step, row.attempts) for row in ledger.rows()]


def test_a_round_that_is_killed_before_any_of_its_steps_neither_loses_nor_doubles_an_answer(
    config, pacs, ct_series, tmp_path
):
    studies = {pacs.send(ct_series(tmp_path / "in" / name, n=n)) for name, n in (("whole", 10), ("short", 3))}
    pacs.wait_until_stable(2)

    codes = [killed_round(config, step) for step in range(1, STEPS_OF_TWO)]
    report = inbox(config.inboxes, config)
    again = inbox(config.inboxes, config)

    assert codes == [-signal.SIGKILL] * len(codes)
    assert sorted(steps_in(config)) == [(Step.DELIVERED, 0), (Step.REFUSED, 0)]
    assert (report.failed, report.waiting, again.delivered, again.refused) == (0, 0, 0, 0)
    documents = documents_in(pacs)
    assert [one.Modality for one in documents] == ["KO", "KO", "SR", "SR"]
    assert {one.StudyInstanceUID for one in documents} == studies
