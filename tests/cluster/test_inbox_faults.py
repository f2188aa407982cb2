"""Rounds through the inbox while something breaks: what ledger, page and exit code say, and one delivery in the end."""

import json
import os
import subprocess
from itertools import count

import pydicom
import pytest
from typer.testing import CliRunner

from flows.cli import app
from lidcflow.config import DeliveryConfig
from lidcflow.inbox.delivery import Step
from lidcflow.inbox.ledger import Ledger
from lidcflow.pacs import retry
from tests.dicomweb_server import Answer, cut, dicomweb_server, every, hanging
from tests.inbox_round import watch

pytestmark = pytest.mark.faults

ALL_WELL, FAILED, SOME_NOT_DELIVERED = 0, 1, 3
SHORT_DELAY_S = 0.001


class Site:
    """A tiny PACS, a workspace that reads it, and a folder for the answers."""

    def __init__(self, tiny, config, folder):
        self.tiny, self.config, self.folder = tiny, config, folder
        self.file = folder / "lidcflow.toml"
        self.file.write_text(self.settings())

    def settings(self):
        config, pacs = self.config, self.tiny.config
        return (
            f'workspace = "{config.workspace}"\ninbox = "pacs:tiny"\n[preprocess]\nslices = 8\nsize = 32\n'
            f'[cluster]\nplace = "{config.cluster.place}"\n[tracking]\nuri = "{config.tracking_uri}"\n'
            f'[delivery]\nto = ["{self.folder / "out"}"]\nsettle_s = 0\nfirst_delay_s = {SHORT_DELAY_S}\n'
            f'[access.pacs.tiny]\nurl = "{pacs.url}"\nsince = "everything"\ntimeout_s = {pacs.timeout_s}\nretries = 1\n'
        )

    def go_round(self, *options):
        """Go round by the command; return its exit code."""
        return self.run("run", *options).exit_code

    def run(self, *arguments):
        """Use a command of the inbox, by default the one that lists what is in it."""
        return CliRunner().invoke(app, ["inbox", *arguments, "--config", str(self.file)])

    @property
    def row(self):
        """The one series in the ledger."""
        with Ledger(self.config.catalog) as ledger:
            (row,) = [one for one in ledger.rows() if one.step != Step.SUPERSEDED]
        return row

    @property
    def documents(self):
        """What has been delivered; drafts count."""
        return sorted(path.name for path in (self.folder / "out").rglob("*") if path.is_file())

    @property
    def said(self):
        """Verdict and reason on the series' page; None where there is no page."""
        found = list(self.config.reports_path.glob("*/*/recommendations.json"))
        if not found:
            return None
        said = json.loads(found[0].read_text())
        return said["verdict"], said["reason"] and said["reason"]["code"]

    def assert_delivered_once(self):
        """Go on twice: the first round delivers, and the second one does nothing."""
        assert self.go_round() == ALL_WELL
        row, documents = self.row, self.documents
        assert (row.step, documents) == (Step.DELIVERED, ["key-objects.dcm", "structured-report.dcm"])
        assert self.said[1] is None
        assert self.go_round() == ALL_WELL
        assert (self.row, self.documents) == (row, documents)


@pytest.fixture
def site(released, tmp_path, ct_series, monkeypatch):
    """One study in a tiny PACS."""
    monkeypatch.setattr(retry, "FIRST_DELAY_S", 0.01)
    (tmp_path / "out").mkdir()
    config = released.model_copy(update={"workspace": tmp_path / "workspace", "delivery": DeliveryConfig()})
    with dicomweb_server() as tiny:
        tiny.hold(ct_series(tmp_path / "study", StudyDate="20990101"))
        yield Site(tiny, config, tmp_path)


def bodies(fault):
    """Confine a fault to images: the PACS answers whatever else it is asked."""
    return lambda asked, answer: fault(asked, answer) if answer.content_type.startswith("multipart") else answer


@pytest.mark.parametrize("told", [True, False])
def test_images_that_are_cut_short_are_asked_for_again_in_later_rounds(site, told):
    with site.tiny.faulty(bodies(cut(3000, told=told))):
        code = site.go_round()

    assert code == SOME_NOT_DELIVERED
    assert (site.row.step, site.row.reason, site.row.attempts) == (Step.FAILED, "pacs", 1)
    assert site.documents == []
    assert site.said[0] == "not-evaluated"
    site.assert_delivered_once()


def test_images_that_stay_cut_short_are_answered_with_that_in_the_end(site):
    site.file.write_text(site.settings().replace("[delivery]\n", "[delivery]\nrefuse_after = 2\n"))

    with site.tiny.faulty(bodies(cut(3000, told=True))):
        codes = [site.go_round(), site.go_round(), site.go_round()]

    assert codes == [SOME_NOT_DELIVERED, SOME_NOT_DELIVERED, ALL_WELL]
    assert (site.row.step, site.row.reason) == (Step.REFUSED, site.said[1])
    assert site.said[0] == "not-evaluated"


@pytest.mark.parametrize("path", ["/studies", "/instances", "/metadata", "/series/"])
def test_a_pacs_that_answers_errors_is_asked_again_in_the_next_round(site, path):
    with site.tiny.faulty(every(1, 503, path)):
        code = site.go_round()

    assert code == SOME_NOT_DELIVERED
    assert site.documents == []
    site.assert_delivered_once()


def test_a_pacs_that_answers_too_slowly_is_asked_again_in_the_next_round(site):
    site.tiny.timeout_s = 0.3
    site.file.write_text(site.settings())
    with site.tiny.faulty(bodies(hanging(1))):
        code = site.go_round()

    assert (code, site.documents) == (SOME_NOT_DELIVERED, [])
    assert site.row.step == Step.FAILED
    site.assert_delivered_once()


@pytest.mark.parametrize("moment", ["before it settles", "when its volume is stored"])
def test_a_study_that_is_deleted_under_way_gets_no_documents_and_is_answered_when_it_is_back(site, monkeypatch, moment):
    kept = dict(site.tiny.instances)
    at = {"before it settles": 2, "when its volume is stored": 3}[moment]
    with monkeypatch.context() as patch:
        steps = count(1)
        watch(lambda: site.tiny.instances.clear() if next(steps) == at else None, patch.setattr)
        codes = [site.go_round()]
    rows = [site.row]
    while len(codes) < 3:
        codes.append(site.go_round())
        rows.append(site.row)

    assert [(row.step, row.reason) for row in rows] == [(Step.REFUSED, "gone")] * 3
    assert (codes, site.documents) == ([SOME_NOT_DELIVERED, ALL_WELL, ALL_WELL], [])
    site.tiny.instances.update(kept)
    site.assert_delivered_once()


def test_a_release_that_can_not_be_loaded_stops_the_round_and_loses_nothing(site):
    with_none = site.settings() + '[infer]\nrelease = "99"\n'
    site.file.write_text(with_none)
    done = site.run("run")
    site.file.write_text(site.settings())

    assert done.exit_code == FAILED
    assert "99" in str(done.exception)
    assert (site.documents, site.said) == ([], None)
    site.assert_delivered_once()


def mount(folder, size):
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if os.geteuid() or done.returncode:
        pytest.skip("a small disk can't be mounted here: that needs root")


@pytest.fixture
def small_disk():
    """Yield a function that puts a small disk at a folder."""
    mounted = []

    def small(folder, size):
        mount(folder, size)
        mounted.append(folder)

    yield small
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def resize(folder, size):
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)


def test_a_target_whose_disk_is_full_gets_nothing_or_all_of_it(site, small_disk):
    small_disk(site.folder / "out", "16k")

    code = site.go_round()

    assert (code, site.documents) == (SOME_NOT_DELIVERED, [])
    assert (site.row.step, site.row.reason, site.row.attempts) == (Step.FAILED, "resource", 1)
    assert "No space left on device" in site.row.sentence
    assert site.said[1] is None
    resize(site.folder / "out", "10m")
    site.assert_delivered_once()


def test_a_workspace_whose_disk_is_too_small_is_told_in_the_ledger(site, small_disk):
    small_disk(site.config.workspace, "64m")

    code = site.go_round()

    assert (code, site.documents, site.said) == (SOME_NOT_DELIVERED, [], None)
    assert (site.row.step, site.row.reason) == (Step.FAILED, "resource")
    assert "must fit on the disk" in site.row.sentence
    resize(site.config.workspace, "600m")
    site.assert_delivered_once()


@pytest.mark.parametrize("step", [2, 3, 4, 5, 6])
def test_a_disk_that_fills_up_under_way_ends_the_round_and_nothing_is_lost(site, small_disk, monkeypatch, step):
    small_disk(site.config.workspace, "600m")
    filler = site.config.workspace / "filler"

    def fill():
        with filler.open("ab", buffering=0) as stream:
            try:
                while True:
                    stream.write(bytes(2**16))
            except OSError:
                return

    with monkeypatch.context() as patch:
        steps = count(1)
        watch(lambda: fill() if next(steps) == step else None, patch.setattr)
        done = site.run("run")

    assert done.exit_code in (FAILED, SOME_NOT_DELIVERED)
    assert len(site.documents) in (0, 2)
    told = f"{done.stdout} {done.exception} {site.run().stdout}".replace("\n", "")
    assert "the disk must have room" in told or "must fit on the disk" in told
    filler.unlink()
    site.assert_delivered_once()


def test_documents_that_were_delivered_name_the_study(site):
    site.assert_delivered_once()

    found = {pydicom.dcmread(path).StudyInstanceUID for path in (site.folder / "out").rglob("*.dcm")}
    assert found == {site.row.study_instance_uid}


def test_an_answer_that_is_no_dicomweb_is_told(site):
    with site.tiny.faulty(lambda *_: Answer(body=b"<html>", content_type="text/html")):
        code = site.go_round()

    assert code == SOME_NOT_DELIVERED
    site.assert_delivered_once()
