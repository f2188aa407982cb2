"""Rounds through the inbox with targets that are away, refuse, or lose the images that an answer is about."""

import time
from itertools import count

import pydicom
import pytest
from pydicom.uid import generate_uid
from typer.testing import CliRunner

from flows.cli import app
from lidcflow.config import DeliveryConfig
from lidcflow.inbox.delivery import Step
from tests.dicomweb_server import Answer, raw_server
from tests.flows.test_inbox import config_file, documents_in, go_round, rows_in, with_delivery
from tests.inbox_round import watch

TIMEOUT_S = 0.5
SCORED, SENDING = 4, 6
"""Numbers of the steps seen, settled, preprocessed, scored, owed, delivery, receipt, delivered."""

pytestmark = pytest.mark.usefixtures("short_delays")


@pytest.fixture
def config(released, tmp_path):
    """The configuration of a workspace that reads one folder and delivers to another one."""
    (tmp_path / "out").mkdir()
    delivery = DeliveryConfig(to=(str(tmp_path / "out"),), settle_s=0, first_delay_s=0.001)
    own = {"workspace": tmp_path / "workspace", "inbox": str(tmp_path / "in"), "delivery": delivery}
    return released.model_copy(update=own)


def reaching(config, **services):
    """Return a configuration that knows these PACS."""
    return config.model_copy(update={"access": config.access.model_copy(update={"pacs": services})})


def in_pacs(tiny):
    """Return the modalities of the documents that a PACS holds."""
    found = [pydicom.dcmread(pydicom.filebase.DicomBytesIO(one)).Modality for one in tiny.instances.values()]
    return sorted(modality for modality in found if modality in ("KO", "SR"))


def posts(tiny):
    return [asked for asked in tiny.requests if asked.startswith("POST")]


def at_step(number, work, patch):
    """Do something right before a step of the next round."""
    steps = count(1)
    watch(lambda: work() if next(steps) == number else None, patch.setattr)


def written_in(folder):
    return {path: path.stat().st_ino for path in folder.rglob("*.dcm")}


def test_a_target_that_never_answers_costs_a_round_one_probe_and_holds_back_nobody(
    config, tiny, ct_series, tmp_path, monkeypatch
):
    for number in range(3):
        ct_series(tmp_path / "in" / str(number), patient_id=f"P{number}")
    connections = []

    def hang(connection):
        connections.append(connection)
        time.sleep(20)

    both = with_delivery(config, to=("pacs:hung", str(tmp_path / "out")))
    with raw_server(hang) as url:
        hung = tiny.config.model_copy(update={"url": url, "timeout_s": TIMEOUT_S})
        first = go_round(reaching(both, hung=hung))
        probes, rows, written = len(connections), rows_in(config), written_in(tmp_path / "out")
        with monkeypatch.context() as patch:
            read = "flows.inbox_batches.infer_all"
            patch.setattr(read, lambda *_: pytest.fail("nothing is read for a target that is away"))
            second = go_round(reaching(both, hung=hung))
    listed = CliRunner().invoke(app, ["inbox", "--config", config_file(config, tmp_path)])
    back = go_round(reaching(both, hung=tiny.config))
    again = go_round(reaching(both, hung=tiny.config))

    assert (first, second, back, again) == ((0, 0, 3, 3), (0, 0, 3, 3), (3, 0, 0, 0), (0, 0, 0, 0))
    assert probes <= 2
    assert {(row.step, row.reason, row.attempts) for row in rows} == {(Step.FAILED, "pacs", 0)}
    assert "Owed to pacs:hung: 3 answers." in listed.stdout
    assert written_in(tmp_path / "out") == written
    assert (len(written), len(posts(tiny)), in_pacs(tiny)) == (6, 3, ["KO"] * 3 + ["SR"] * 3)


def test_a_target_that_takes_no_deliveries_is_tried_with_one_series_a_round(config, tiny, ct_series, tmp_path):
    for number in range(3):
        ct_series(tmp_path / "in" / str(number), patient_id=f"P{number}")
    sending = reaching(with_delivery(config, to=("pacs:tiny", str(tmp_path / "out"))), tiny=tiny.config)

    with tiny.faulty(lambda asked, answer: Answer(503) if asked.startswith("POST") else answer):
        outcome, tries = go_round(sending), len(posts(tiny))
    attempts = sorted(row.attempts for row in rows_in(config))

    assert (outcome, tries, attempts) == ((0, 0, 3, 3), 1 + tiny.config.retries, [0, 0, 1])
    assert len(written_in(tmp_path / "out")) == 6
    assert go_round(sending) == (3, 0, 0, 0)
    assert in_pacs(tiny) == ["KO"] * 3 + ["SR"] * 3


def test_a_target_that_refuses_one_answer_gets_the_others(config, tiny, ct_series, tmp_path):
    for number in range(2):
        ct_series(tmp_path / "in" / str(number), patient_id=f"P{number}")
    sending = reaching(with_delivery(config, to=("pacs:tiny", str(tmp_path / "out"))), tiny=tiny.config)
    refused = iter([Answer(400)])

    with tiny.faulty(lambda asked, answer: next(refused, answer) if asked.startswith("POST") else answer):
        first = go_round(sending)

    assert (first, go_round(sending)) == ((1, 0, 1, 1), (1, 0, 0, 0))
    assert len(written_in(tmp_path / "out")) == 4


@pytest.fixture
def held(config, tiny, ct_series, tmp_path):
    """A workspace that reads one study in a PACS, and answers there and in a folder."""
    tiny.hold(ct_series(tmp_path / "study", StudyDate="20990101"))
    both = with_delivery(config, to=("pacs:tiny", str(tmp_path / "out")))
    return reaching(both.model_copy(update={"inbox": "pacs:tiny"}), tiny=tiny.config)


def test_a_study_that_is_deleted_before_its_delivery_gets_no_documents_anywhere(
    held, tiny, tmp_path, monkeypatch, ct_series
):
    with monkeypatch.context() as patch:
        at_step(SCORED, tiny.instances.clear, patch)
        deleted = go_round(held)
    (row,) = rows_in(held)
    tiny.hold(tmp_path / "study")
    back = go_round(held)

    assert (deleted, back) == ((0, 1, 0, 0), (1, 0, 0, 0))
    assert (row.step, row.reason) == (Step.REFUSED, "gone")
    assert "no documents were sent" in row.sentence
    assert in_pacs(tiny) == documents_in(tmp_path / "out") == ["KO", "SR"]


def test_a_study_that_is_deleted_while_documents_are_sent_is_told_with_what_stands_alone(
    held, tiny, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        at_step(SENDING, tiny.instances.clear, patch)
        raced = go_round(held)
    (row,) = rows_in(held)
    alone = set(tiny.instances)
    tiny.instances.clear()
    tiny.hold(tmp_path / "study")
    back = go_round(held)

    assert (raced, back) == ((0, 1, 0, 0), (1, 0, 0, 0))
    assert (row.step, row.reason, len(alone)) == (Step.REFUSED, "gone", 2)
    assert "were deleted meanwhile" in row.sentence
    assert all(uid in row.sentence for uid in alone)
    assert in_pacs(tiny) == documents_in(tmp_path / "out") == ["KO", "SR"]


def test_a_study_that_grows_after_it_was_read_gets_the_answer_on_all_its_images(
    held, tiny, ct_series, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        at_step(SCORED, lambda: tiny.hold(ct_series(tmp_path / "study", n=12, StudyDate="20990101")), patch)
        grown = go_round(held)
    documents = in_pacs(tiny)

    assert (grown, documents, go_round(held)) == ((0, 0, 0, 1), [], (1, 0, 0, 0))
    assert {(row.n_instances, row.step) for row in rows_in(held)} == {(10, Step.SUPERSEDED), (12, Step.DELIVERED)}
    assert in_pacs(tiny) == documents_in(tmp_path / "out") == ["KO", "SR"]


def test_a_series_that_grows_in_a_folder_after_it_was_read_is_read_again(config, ct_series, tmp_path, monkeypatch):
    ct_series(tmp_path / "in" / "a")
    with monkeypatch.context() as patch:
        at_step(SCORED, lambda: ct_series(tmp_path / "in" / "a", n=12), patch)
        grown = go_round(config)
    documents = documents_in(tmp_path / "out")

    assert (grown, documents, go_round(config)) == ((0, 0, 0, 1), [], (1, 0, 0, 0))
    assert documents_in(tmp_path / "out") == ["KO", "SR"]


def test_a_target_without_images_of_its_own_gets_documents_and_one_that_lost_the_series_does_not(
    config, tiny, ct_series, tmp_path
):
    from_folder = reaching(with_delivery(config, to=("pacs:tiny",)), tiny=tiny.config)
    other = pydicom.dcmread(ct_series(tmp_path / "in" / "a") / "000001.dcm")
    other.SeriesInstanceUID, other.SOPInstanceUID = generate_uid(), generate_uid()
    other.file_meta.MediaStorageSOPInstanceUID = other.SOPInstanceUID
    other.save_as(tmp_path / "other.dcm")
    tiny.instances[other.SOPInstanceUID] = (tmp_path / "other.dcm").read_bytes()

    lost = go_round(from_folder)
    (row,) = rows_in(config)
    tiny.instances.clear()

    assert (lost, in_pacs(tiny), row.step) == ((0, 0, 1, 1), [], Step.FAILED)
    assert "must hold its images, as others of the study" in row.sentence
    assert (go_round(from_folder), in_pacs(tiny)) == ((1, 0, 0, 0), ["KO", "SR"])


def test_a_source_that_stops_answering_holds_back_no_other_source(config, tiny, ct_series, tmp_path, monkeypatch):
    ct_series(tmp_path / "in" / "a", patient_id="P1")
    tiny.hold(ct_series(tmp_path / "study", StudyDate="20990101"))
    both = reaching(config.model_copy(update={"inbox": ("pacs:tiny", config.inbox)}), tiny=tiny.config)

    with tiny.faulty(
        lambda asked, answer: Answer(503) if "/metadata" in asked or asked.endswith("/studies") else answer
    ):
        away = go_round(both)

    assert away[0] == 1
    assert go_round(both)[0] == 1
