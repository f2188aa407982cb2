"""The page of an evaluation: what it says, and that it opens without a request."""

import numpy as np
import pytest

from lidcflow.evaluate.measure import measure
from lidcflow.evaluate.page import render_evaluation, write_evaluation
from lidcflow.evaluate.record import ReleaseEvaluation
from lidcflow.evaluate.truth import HeldOutStudies
from tests.browser import chromium, needs_chromium, open_file, requests_of  # noqa: F401
from tests.evaluations import HOSTILE
from tests.nodules.pins import FOUND


@pytest.fixture(scope="module")
def file(evaluation, tmp_path_factory):
    """Return the file of the page, for all tests that read it."""
    return write_evaluation(evaluation, tmp_path_factory.mktemp("evaluation"))


@pytest.fixture(scope="module")
def page(file):
    return file.read_text("utf-8")


def test_the_page_says_what_it_is_and_whose_figures_it_shows(page):
    assert "Research use only" in page
    assert "SYNTHETIC" in page
    assert "lidcflow version 3 on 5 test patients" in page
    assert "5 patients are few" in page
    assert "size-only oracle" in page


def test_a_release_of_patients_is_not_called_synthetic(evaluation):
    assert "SYNTHETIC" not in render_evaluation(evaluation.model_copy(update={"synthetic": False}))


def test_the_same_evaluation_makes_the_same_page(evaluation, page):
    assert render_evaluation(evaluation) == page


def test_patients_without_a_nodule_leave_a_page_of_dashes(release_record, answers):
    truth = HeldOutStudies(np.arange(6), np.zeros((6, 8), dtype=np.int8), [[]] * 6, [{}] * 6)

    found = measure(release_record, "test", truth, answers, resamples=10)

    assert (found.own.nodules["froc_at_1"].value, found.own.curve) == (None, ())
    assert found.own.slices.natural["brier_nodule"].value > 0
    assert "0 nodules" in render_evaluation(ReleaseEvaluation.model_validate_json(found.model_dump_json()))


@needs_chromium
@pytest.mark.parametrize("width", [390, 1400])
def test_the_page_loads_nothing_but_itself_and_fits_the_screen(file, chromium, width):  # noqa: F811
    open_file(chromium, file, width=width)

    urls = requests_of(chromium)
    assert [url for url in urls if not url.startswith("data:")] == [chromium.current_url]
    assert chromium.get_log("browser") == []
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
    decoded = "return Promise.all([...document.images].map((one) => one.decode().then(() => one.naturalWidth > 0)))"
    assert chromium.execute_script(decoded) == [True] * 7


@needs_chromium
def test_text_from_headers_does_not_run(file, chromium):  # noqa: F811
    open_file(chromium, file, width=1400)

    assert chromium.title == "Synthetic · lidcflow version 3 on test patients"
    assert HOSTILE in chromium.find_element("css selector", "body").text


def test_the_page_shows_what_findings_reach(evaluation, page):
    with_findings = render_evaluation(evaluation.model_copy(update={"findings": FOUND}))

    assert "Candidates of 2 series of 2 patients, which hold 3 nodules that count" in with_findings
    assert "CPM, the mean of these" in with_findings
    assert "0.625 (0.50 to 0.75)" in with_findings
    assert "<h2>Findings</h2>" not in page
