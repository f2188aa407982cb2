"""From a PACS to documents in it, with real servers: what has come is answered once, however a round ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest
from prefect.settings import PREFECT_API_URL

from flows.inbox import inbox, inbox_report
from lidcflow.config import DeliveryConfig
from lidcflow.inbox.delivery import Step
from lidcflow.inbox.ledger import Ledger

ROOT = Path(__file__).parents[2]
ROUND_LIMIT_S = 180
STEPS_OF_TWO = 11
"""Seen, settled, preprocessed, scored twice; for the first of two series what is owed, a delivery and its receipt,
which rounds that are killed later do not repeat; for each what the ledger says of it, and the same three again."""


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


def uid_of(pacs, instance):
    return pacs.ask("GET", f"/instances/{instance}")["MainDicomTags"]["SOPInstanceUID"]


def references_of(document):
    """Return the images that a document refers to as its evidence."""
    return {
        reference.ReferencedSOPInstanceUID
        for study in document.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    }


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


def test_a_real_study_and_what_lies_beside_it_are_answered_in_the_pacs_as_validators_want_it(
    config, pacs, real_data, ct_series, tmp_path, dciodvfy, dsrdump
):
    study = pacs.send(real_data / "LIDC-IDRI")
    refused = pacs.send(ct_series(tmp_path / "short", n=3))
    pacs.send(ct_series(tmp_path / "scout", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    pacs.send(real_data / "irregular")
    images = {uid_of(pacs, instance) for instance in pacs.ask("GET", "/instances")}
    there = len(pacs.ask("GET", "/studies"))
    pacs.wait_until_stable(there)

    report = inbox(config.inboxes, config)
    documents = documents_in(pacs)
    pacs.wait_until_stable(there + len({one.StudyInstanceUID for one in documents}))
    again = inbox(config.inboxes, config)

    assert (report.delivered, report.failed, report.waiting, report.unreachable) == (1, 0, 0, [])
    assert (again.delivered, again.refused, again.failed) == (0, 0, 0)
    assert len(documents) == len(documents_in(pacs)) == 2 * (report.delivered + report.refused)
    assert {study, refused} <= {one.StudyInstanceUID for one in documents}
    for number, document in enumerate(documents):
        document.save_as(file := tmp_path / f"{number}.dcm")
        assert dciodvfy(file) == []
        assert "research use only" in dsrdump(file).lower()
        assert references_of(document) <= images


def test_a_pacs_that_was_away_gets_every_answer_once_it_is_back(config, pacs, ct_series, tmp_path):
    pacs.send(ct_series(tmp_path / "in" / "a"))
    pacs.wait_until_stable(1)
    nobody = {"main": pacs.config, "archive": pacs.config.model_copy(update={"url": "http://127.0.0.1:9/dicom-web"})}
    both = config.delivery.model_copy(update={"to": ("pacs:main", "pacs:archive")})
    broken = config.model_copy(update={"access": pacs.access.model_copy(update={"pacs": nobody}), "delivery": both})

    failed = inbox_report(broken)
    reached = inbox(config.inboxes, config)

    assert (failed.delivered, failed.failed, reached.delivered) == (0, 1, 1)
    assert [one.Modality for one in documents_in(pacs)] == ["KO", "SR"]
    assert steps_in(config) == [(Step.DELIVERED, 0)]
