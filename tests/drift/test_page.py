"""The page of a check for drift."""

import json
import shutil

import pytest

from lidcflow.drift.page import PAGE, write_drift
from lidcflow.drift.record import DATA, DriftCheck, last_drift_check
from tests.browser import chromium, needs_chromium, open_file, requests_of  # noqa: F401
from tests.drift.checks import HOSTILE, NOTHING


@pytest.fixture(scope="module")
def file(drifted, tmp_path_factory):
    """Return the file of the page, for all tests that read it."""
    return write_drift(drifted, tmp_path_factory.mktemp("drift") / "2026-01-01")


def test_page_and_json_are_written_together_and_the_newest_is_found(file, drifted, check, tmp_path):
    shutil.copytree(file.parent, tmp_path / "2026-01-01")
    page = write_drift(check(NOTHING), tmp_path / "2026-01-02")
    (tmp_path / "2026-01-03").mkdir()
    (tmp_path / "2026-01-03" / DATA).write_text("cut")

    assert sorted(file.name for file in page.parent.iterdir()) == [DATA, PAGE]
    assert last_drift_check(tmp_path) == check(NOTHING)
    assert json.loads((tmp_path / "2026-01-01" / DATA).read_text())["statement"].startswith("Research use only")
    assert DriftCheck.model_validate_json(drifted.model_dump_json()) == drifted
    assert last_drift_check(tmp_path / "none") is None


def test_the_page_says_what_drifted_and_that_phantoms_are_no_patients(file):
    page = file.read_text("utf-8")

    assert "Something drifted" in page
    assert "SYNTHETIC" in page
    assert "Research use only" in page


@needs_chromium
@pytest.mark.parametrize("width", [390, 1400])
def test_the_page_loads_nothing_runs_nothing_and_fits_the_screen(file, chromium, width):  # noqa: F811
    open_file(chromium, file, width=width)

    urls = requests_of(chromium)
    assert [url for url in urls if not url.startswith("data:")] == [chromium.current_url]
    assert chromium.get_log("browser") == []
    assert chromium.title == "Synthetic · drift · lidcflow version 3"
    assert HOSTILE in chromium.find_element("css selector", "body").text
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
    decoded = "return Promise.all([...document.images].map((one) => one.decode().then(() => one.naturalWidth > 0)))"
    assert chromium.execute_script(decoded) == [True] * 16
