"""Rounds through the inbox: each series gets one answer; what goes wrong is told, tried again, and costs no other."""

import json
import shutil
from collections import namedtuple
from itertools import count

import pydicom
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.inbox import inbox, inbox_report
from flows.service.inbox_status import inbox_status, round_faults
from lidcflow.catalog.locks import at_work
from lidcflow.config import DeliveryConfig, InferConfig
from lidcflow.config.service import PacsConfig
from lidcflow.errors import ConfigError, ReleaseError, ResourceError, SourceError, WorkspaceBusy
from lidcflow.inbox.cursors import left_out
from lidcflow.inbox.delivery import Sighting, Step
from lidcflow.inbox.ledger import Ledger
from lidcflow.inbox.rounds import Rounds
from lidcflow.pacs import retry as patience
from tasks.cluster.connect import unfit_setting
from tests.dicomweb_server import dicomweb_server, every
from tests.inbox_round import watch

NOWHERE = PacsConfig(url="http://127.0.0.1:9/dicom-web", retries=0)


class Killed(BaseException):
    """What ends a round at once."""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "in"


@pytest.fixture
def config(released, folder, tmp_path):
    """The configuration of a workspace that reads one folder and delivers to another one."""
    delivery = DeliveryConfig(to=(str(tmp_path / "out"),), settle_s=0, first_delay_s=0.001)
    own = {"workspace": tmp_path / "workspace", "inbox": str(folder), "delivery": delivery}
    return released.model_copy(update=own)


def with_delivery(config, **settings):
    return config.model_copy(update={"delivery": config.delivery.model_copy(update=settings)})


def go_round(config):
    """Go through the inbox; return how many were delivered, refused, failed, and what still waits."""
    report = inbox_report(config)
    return report.delivered, report.refused, report.failed, report.waiting


def rows_in(config):
    with Ledger(config.catalog) as ledger:
        return ledger.rows()


def documents_in(folder):
    """Return the modalities of the documents in a folder."""
    return sorted(pydicom.dcmread(path).Modality for path in folder.rglob("*.dcm"))


def config_file(config, folder):
    """Write what a command needs to work on the same workspace, cluster and releases."""
    file, delivery = folder / "lidcflow.toml", config.delivery
    file.write_text(
        f'workspace = "{config.workspace}"\ninbox = "{config.inbox}"\n[preprocess]\nslices = 8\nsize = 32\n'
        f'[cluster]\nplace = "{config.cluster.place}"\n[tracking]\nuri = "{config.tracking_uri}"\n'
        f"[delivery]\nto = {list(delivery.to)}\nsettle_s = 0\nattempts = {delivery.attempts}\n"
    )
    return str(file)


def test_what_has_come_is_answered_once_and_what_grows_once_more(config, folder, ct_series, tmp_path):
    for name, n in (("a", 10), ("short", 3)):
        ct_series(folder / name, n=n)
    ct_series(folder / "scout", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])

    first = go_round(config)
    documents = documents_in(tmp_path / "out")
    shutil.copytree(tmp_path / "out", folder / "answers")
    again = go_round(config)
    ct_series(folder / "a", n=12)
    grown = go_round(config)

    assert (first, again, grown) == ((1, 1, 0, 0), (0, 0, 0, 0), (1, 0, 0, 0))
    assert documents == documents_in(tmp_path / "out") == ["KO", "KO", "SR", "SR"]
    assert [(row.n_instances, row.step) for row in sorted(rows_in(config), key=lambda row: (row.step, row.seen))] == [
        (10, Step.DELIVERED),
        (12, Step.DELIVERED),
        (10, Step.PASSED_OVER),
        (3, Step.REFUSED),
    ]


def test_what_lies_beside_the_ct_of_a_study_is_passed_over_in_silence(config, folder, ct_series):
    ct_series(folder / "a")
    for modality, sop_class in (("SR", "88.33"), ("KO", "88.59"), ("SEG", "66.4"), ("RTSTRUCT", "481.3")):
        uids = {"Modality": modality, "SOPClassUID": f"1.2.840.10008.5.1.4.1.1.{sop_class}"}
        ct_series(folder / modality, n=1, PixelData=None, ImagePositionPatient=None, **uids)

    assert go_round(config) == (1, 0, 0, 0)
    assert [row.step for row in rows_in(config)] == [Step.DELIVERED]
    assert len(list(config.reports_path.glob("*/*/report.html"))) == 1


def test_a_round_that_ends_before_a_delivery_or_before_it_is_written_down_is_made_up_for(
    config, folder, ct_series, tmp_path, monkeypatch
):
    ct_series(folder / "a")

    for last in (3, 5, 6, 7, 8):  # seen, settled, preprocessed, scored, owed, delivery, receipt, delivered
        with monkeypatch.context() as patch:
            steps = count(1)
            watch(lambda steps=steps, last=last: killed_at(last, steps), patch.setattr)
            with pytest.raises(Killed):
                go_round(config)

    assert go_round(config) == (1, 0, 0, 0)
    assert [(row.step, row.attempts) for row in rows_in(config)] == [(Step.DELIVERED, 0)]
    assert documents_in(tmp_path / "out") == ["KO", "SR"]


def killed_at(last, steps):
    if next(steps) == last:
        raise Killed


def test_a_round_finds_nothing_to_warn_of_in_the_cluster_that_it_started_itself(config, folder, ct_series, monkeypatch):
    said = []

    def spied(client, place, purpose):
        said.append(unfit_setting(client, place, purpose))

    ct_series(folder / "a")
    monkeypatch.setattr("tasks.cluster.open.unfit_setting", spied)

    assert go_round(config)[0] == 1
    assert said
    assert set(said) == {None}


def test_a_study_that_still_arrives_waits(config, folder, ct_series):
    ct_series(folder / "a")

    patient = with_delivery(config, settle_s=3600)

    assert go_round(patient) == (0, 0, 0, 1)
    assert inbox(config.inboxes, patient, complete=True).delivered == 1


def test_a_source_that_is_away_is_told_and_costs_the_others_nothing(config, folder, ct_series, tmp_path):
    ct_series(folder / "a")
    access = config.access.model_copy(update={"pacs": {"away": NOWHERE}})
    both = config.model_copy(update={"access": access, "inbox": ("pacs:away", str(folder))})

    report = inbox(both.inboxes, both)

    assert (report.delivered, len(report.unreachable)) == (1, 1)
    assert report.unreachable[0].startswith("pacs away: the PACS must answer")


def test_a_target_that_takes_nothing_gets_the_answer_later_and_once(config, folder, ct_series, monkeypatch):
    monkeypatch.setattr(patience, "FIRST_DELAY_S", 0.01)
    ct_series(folder / "a")
    with dicomweb_server() as tiny:
        sending = with_delivery(config, to=("pacs:tiny",)).model_copy(update={"access": tiny.access})

        with tiny.faulty(every(1, 503, "POST")):
            outcomes = [go_round(sending)]
            (failed,) = rows_in(config)
        outcomes += [go_round(sending), go_round(sending)]

        assert outcomes == [(0, 0, 1, 1), (1, 0, 0, 0), (0, 0, 0, 0)]
        assert (failed.reason, failed.attempts) == ("pacs", 1)
        assert "got status 503" in failed.sentence
        assert sorted(pydicom.dcmread(pydicom.filebase.DicomBytesIO(one)).Modality for one in tiny.instances.values())


def test_a_study_that_is_deleted_under_way_is_refused_and_answered_when_it_is_back(
    config, ct_series, tmp_path, monkeypatch
):
    ct_series(tmp_path / "study", StudyDate=f"{pydicom.valuerep.DA('20990101'):%Y%m%d}")
    with dicomweb_server() as tiny:
        tiny.hold(tmp_path / "study")
        reading = config.model_copy(update={"access": tiny.access, "inbox": "pacs:tiny"})
        with monkeypatch.context() as patch:
            steps = count(1)
            watch(lambda: tiny.instances.clear() if next(steps) == 2 else None, patch.setattr)
            deleted = go_round(reading)
        away = go_round(reading)
        tiny.hold(tmp_path / "study")
        back = go_round(reading)

    assert (deleted, away, back) == ((0, 1, 0, 0), (0, 0, 0, 0), (1, 0, 0, 0))
    assert documents_in(tmp_path / "out") == ["KO", "SR"]


def test_what_a_pacs_held_before_the_first_round_is_left_out_and_told_until_it_is_asked_for(
    config, ct_series, tmp_path
):
    with dicomweb_server() as tiny:
        tiny.hold(ct_series(tmp_path / "study"))

        def reading_since(since):
            access = tiny.access.model_copy(update={"pacs": {"tiny": tiny.config.model_copy(update={"since": since})}})
            return config.model_copy(update={"access": access, "inbox": "pacs:tiny"})

        rounds = [go_round(reading_since("now")), go_round(reading_since("now"))]
        with Ledger(config.catalog) as ledger:
            told = left_out(ledger, ("pacs:tiny", "/a/folder"))
        rounds += [go_round(reading_since("everything")), go_round(reading_since("everything"))]
        with Ledger(config.catalog) as ledger:
            told_later = left_out(ledger, ("pacs:tiny",))

    assert rounds == [(0, 0, 0, 0), (0, 0, 0, 0), (1, 0, 0, 0), (0, 0, 0, 0)]
    assert len(told) == 1
    assert "UTC are left out, 1 of them" in told[0]
    assert told_later == []


def test_what_grew_since_it_was_seen_waits_for_its_next_look(config, ct_series, tmp_path, monkeypatch):
    study = ct_series(tmp_path / "study")
    with dicomweb_server() as tiny:
        tiny.hold(study)
        reading = config.model_copy(update={"access": tiny.access, "inbox": "pacs:tiny"})
        ct_series(study, n=12)
        with monkeypatch.context() as patch:
            steps = count(1)
            watch(lambda: tiny.hold(study) if next(steps) == 2 else None, patch.setattr)
            grown = go_round(reading)
        settled = go_round(reading)

    assert (grown, settled) == ((0, 0, 0, 1), (1, 0, 0, 0))
    assert [(row.n_instances, row.step) for row in rows_in(config)] == [(10, Step.SUPERSEDED), (12, Step.DELIVERED)]


def test_a_disk_without_room_fails_what_waits_with_the_reason_and_the_next_round_goes_on(
    config, folder, ct_series, tmp_path, monkeypatch
):
    ct_series(folder / "a")
    with monkeypatch.context() as patch:
        patch.setattr("flows.room.shutil.disk_usage", lambda _: namedtuple("Usage", "free")(0))
        full = go_round(config)
    (failed,) = rows_in(config)
    (tmp_path / "out" / failed.study_instance_uid).touch()
    blocked = go_round(config)
    (tmp_path / "out" / failed.study_instance_uid).unlink()

    assert (full, blocked, go_round(config)) == ((0, 0, 1, 1), (0, 0, 1, 1), (1, 0, 0, 0))
    assert failed.reason == "resource"
    assert "must fit on the disk" in failed.sentence


def test_an_error_that_nobody_foresaw_is_told_without_what_it_says_and_tried_again(
    config, folder, ct_series, monkeypatch
):
    ct_series(folder / "a")
    with monkeypatch.context() as patch:
        patch.setattr("flows.inbox_batches.infer_all", lambda *_: int("Lovelace"))
        odd = go_round(config)
    (failed,) = rows_in(config)

    assert (odd, go_round(config)) == ((0, 0, 1, 1), (1, 0, 0, 0))
    assert "got ValueError in test_inbox.py" in failed.sentence
    assert "Lovelace" not in failed.sentence


def test_a_release_that_can_not_be_loaded_stops_the_round_before_anything_is_seen(config, folder, ct_series):
    ct_series(folder / "a")

    with pytest.raises(ReleaseError):
        go_round(config.model_copy(update={"infer": InferConfig(release="99")}))

    assert rows_in(config) == []


def test_two_rounds_at_once_are_refused(config):
    with at_work(config.workspace, "inbox"), pytest.raises(ResourceError, match="only one inbox may run at a time"):
        go_round(config)


def test_a_target_in_a_source_or_none_at_all_is_told_before_anything_starts(config, folder):
    folder.mkdir()

    with pytest.raises(ConfigError, match=r"delivery\.to: the folder must lie outside the source"):
        go_round(with_delivery(config, to=(str(folder),)))
    with pytest.raises(SourceError, match="must be a name under"):
        go_round(with_delivery(config, to=("pacs:nobody",)))


def test_a_target_that_is_gone_puts_off_its_answers_is_not_made_anew_and_gets_them_when_it_is_back(
    config, folder, ct_series, tmp_path
):
    ct_series(folder / "a")
    (tmp_path / "out").rmdir()

    away = go_round(config)
    made_anew = (tmp_path / "out").exists()
    (row,) = rows_in(config)
    (tmp_path / "out").mkdir()
    back = go_round(config)

    assert (away, made_anew) == ((0, 0, 1, 1), False)
    assert "must be there to be delivered to" in row.sentence
    assert back == (1, 0, 0, 0)
    with Rounds(config.catalog) as rounds:
        assert [(one.delivered, one.failed) for one in rounds.newest()] == [(1, 0), (0, 1)]


def test_what_rounds_came_to_is_told_while_they_fail(config, folder, ct_series):
    ct_series(folder / "a")
    lost = config.model_copy(update={"infer": InferConfig(release="99")})

    with pytest.raises(ReleaseError):
        go_round(lost)
    with at_work(config.workspace, "inbox", alone=True), pytest.raises(WorkspaceBusy):
        go_round(config)  # not a failure of the inbox

    (fault,) = round_faults(inbox_status(lost.catalog))
    assert "inbox: the last round failed" in fault
    assert "release 99" in fault


def test_a_missing_source_is_named_before_a_missing_release(config, folder):
    lost = config.model_copy(update={"infer": InferConfig(release="99")})

    with pytest.raises(ReleaseError, match=r"^inbox: source .*/in: must be a folder .*; also release 99"):
        go_round(lost)


def test_a_round_that_failed_for_all_its_series_is_no_completed_run(config, folder, ct_series, tmp_path):
    ct_series(folder / "a")
    (tmp_path / "out").rmdir()

    failed = inbox(config.inboxes, config, return_state=True)
    (tmp_path / "out").mkdir()
    mended = inbox(config.inboxes, config, return_state=True)

    assert failed.is_failed()
    assert failed.message.startswith("inbox: a round must answer what waits, got 1 failed series and no answer; ")
    assert "must be there to be delivered to" in failed.message
    assert (mended.is_completed(), mended.message.partition(", with ")[0]) == (True, "1 delivered, 0 waiting")


def test_the_commands_list_what_is_dead_wake_it_and_exit_3_where_something_was_not_delivered(
    config, folder, ct_series, tmp_path, monkeypatch
):
    ct_series(folder / "a")
    file = config_file(with_delivery(config, attempts=1), tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("flows.inbox_batches.infer_all", lambda *_: int(""))
        dead = invoke("run", "--config", file)
    listed = CliRunner().invoke(app, ["inbox", "--json", "--step", "dead", "--config", file])

    woken = invoke("retry", "--config", file)
    done = invoke("run", "--config", file)

    assert (dead.exit_code, "0 delivered, 0 refused, 1 failed" in dead.stdout) == (3, True)
    assert '"dead": 1' in listed.stdout
    assert "1 series go round again" in woken.stdout
    assert (done.exit_code, "1 delivered" in done.stdout) == (0, True)
    assert "1 delivered." in invoke("--config", file).stdout


def test_the_status_tells_of_the_queue_and_of_a_service_that_is_not_there_to_be_notified(config):
    with Ledger(config.catalog) as ledger:
        ledger.see("pacs:main", [Sighting("1.1", "1", "a", 10)], release=1)

    told = CliRunner().invoke(app, ["status", "--json", "--workspace", str(config.workspace)])
    notified = invoke("notify", "--workspace", str(config.workspace))

    expected = {"steps": {"seen": 1}, "waiting": 1, "last_delivered": None, "rounds": [], "owed": {}}
    assert json.loads(told.stdout)["inbox"] == expected
    assert isinstance(notified.exception, ResourceError)


def invoke(*arguments):
    return CliRunner().invoke(app, ["inbox", *arguments])
