"""Every output tells every warning and every verdict: files, pages, DICOM documents, the terminal and its JSON."""

import ast
import html
import importlib
import io
import re
from pathlib import Path

import pydicom
import pytest

from flows.cli.infer import print_results
from flows.infer_report import InferReport
from lidcflow.documents.encode import made_documents
from lidcflow.documents.write import KEY_OBJECTS, STRUCTURED_REPORT
from lidcflow.drift.outlying import KNOWN_WORDS, LIMITED
from lidcflow.report.index import Filter, ReportIndex, page_of, releases_of
from lidcflow.report.page import DATA, PAGE, write_report
from lidcflow.report.recommendation import Recommendation, SeriesWarning
from lidcflow.report.told import CALIBRATION_HOLDS, CALIBRATION_IN_DOUBT, Told, told_of
from lidcflow.report.viewer import render_index, render_study
from tasks.api.result import SeriesResult
from tasks.infer import result_of
from tests.documents.contents import IDENTITY, items
from tests.documents.small_study import CREATED_NS, RELEASE, answer, finding_at, header_of, record_in, series_in

ROOT = Path(__file__).parents[2]
CODES = sorted(CALIBRATION_HOLDS | CALIBRATION_IN_DOUBT)
VERDICTS = ("ranges", "nothing-above-threshold", "not-evaluated")
READ = ("report.html", "study page", "notebook", "key objects", "structured report")
SENTENCE = "Its images are unlike those of training – 5 × 5 mm."
AS_WRITTEN = {"–": "-", "−": "-", "×": "x", "’": "'", "\xa0": " "}


@pytest.fixture
def series(tmp_path, ct_series):
    return series_in(ct_series(tmp_path / "source", SeriesNumber=3, **IDENTITY))


def warned(series, code):
    """Return an answer whose best finding is nearly certain, with one warning."""
    best = finding_at(record_in(series), 1, 3, 10.0, 12.0, probability=0.9996, malignant=0.9996, malignancy="forest")
    return answer(series, "ranges", findings=[best], warnings=[SeriesWarning(code=code, sentence=SENTENCE)])


@pytest.fixture
def outputs(tmp_path, series, capsys):
    """Return each output about an answer as the text that people or programs get."""

    def make(said: Recommendation) -> dict[str, str]:
        folder = tmp_path / "reports" / str(said.study_instance_uid) / said.series_instance_uid
        page = write_report(said, None, folder)
        made = made_documents(said, header_of(series), created_ns=CREATED_NS)
        result = result_of(said, page, reused=False)
        report = InferReport(
            release="lidcflow version 3", synthetic_release=False, readings=[result], reused=0, refused=0, seconds=1.0
        )
        print_results(report)
        texts = {
            "recommendations.json": (folder / DATA).read_text(),
            "report.html": (folder / PAGE).read_text(),
            "study page": render_study(said, None),
            "notebook": SeriesResult(said)._repr_html_(),
            "key objects": spoken(made[KEY_OBJECTS]),
            "structured report": spoken(made[STRUCTURED_REPORT]),
            "terminal": re.sub(r"\s+", " ", capsys.readouterr().out),
            "JSON of the command": report.model_dump_json(),
        }
        return {name: plain(text) for name, text in texts.items()}

    return make


def spoken(document):
    """Return all texts and numbers of a document as viewers show them."""
    found = pydicom.dcmread(io.BytesIO(document))
    numbers = [f"{item.MeasuredValueSequence[0].NumericValue} %" for item in items(found, "NUM")]
    return "\n".join([found.SeriesDescription, *(item.TextValue for item in items(found, "TEXT")), *numbers])


def plain(text):
    """Return a text without markup, in the characters that all outputs share."""
    for written, shared in AS_WRITTEN.items():
        text = text.replace(written, shared)
    return html.unescape(re.sub(r"</?strong>", "", text))


def codes_where_defined():
    """Collect the codes of all warnings from the calls that make them."""
    for folder in ("lidcflow", "tasks", "flows"):
        for file in (ROOT / folder).rglob("*.py"):
            if "SeriesWarning(" in (text := file.read_text()):
                yield from codes_of(ast.parse(text), ".".join(file.relative_to(ROOT).with_suffix("").parts))


def codes_of(tree, module):
    names = vars(importlib.import_module(module))
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "SeriesWarning":
            (code,) = (ast.Expression(one.value) for one in call.keywords if one.arg == "code")
            for key in (*LIMITED, *KNOWN_WORDS):
                yield eval(compile(code, module, "eval"), {**names, "key": key})


def test_every_warning_that_can_be_given_says_what_it_means_for_probabilities():
    assert set(codes_where_defined()) == set(CODES)
    assert CALIBRATION_HOLDS.isdisjoint(CALIBRATION_IN_DOUBT)


@pytest.mark.parametrize("code", CODES)
def test_every_output_tells_a_warning_and_what_it_means(code, series, outputs):
    said = warned(series, code)

    told = outputs(said)

    silent = [name for name, text in told.items() if plain(SENTENCE) not in text]
    unsaid = [name for name, text in told.items() if plain(told_of(said).doubt) not in text]
    assert (silent, unsaid) == ([], ["recommendations.json"])


@pytest.mark.parametrize("code", [*sorted(CALIBRATION_IN_DOUBT), "a-code-of-a-later-version"])
def test_nothing_is_nearly_certain_where_probabilities_are_in_doubt(code, series, outputs):
    told = outputs(warned(series, code))

    claims = re.compile(r">\s?0?\.?99|99[.,\d]*\s?%")
    assert [name for name, text in told.items() if claims.search(text)] == []
    assert all(">90%" in told[name] for name in READ)
    assert ">0.9" in told["terminal"]
    assert "see warnings" in told["key objects"].splitlines()[0]


@pytest.mark.parametrize("code", sorted(CALIBRATION_HOLDS))
def test_other_warnings_leave_probabilities_as_they_are(code, series, outputs):
    told = outputs(warned(series, code))

    assert all(">99%" in told[name] for name in READ)


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("synthetic", ["images", "release"])
def test_every_output_tells_the_verdict_with_what_it_does_not_say(verdict, synthetic, series, outputs):
    release = RELEASE.model_copy(update={"synthetic": synthetic == "release"})
    said = answer(series, verdict, release).model_copy(update={"synthetic": synthetic == "images"})

    texts, told = outputs(said), told_of(said)

    data = texts.pop("recommendations.json")
    assert f'"verdict": "{verdict}"' in data
    for name, text in texts.items():
        missing = [one for one in wanted(told) if plain(one).removesuffix(".") not in text]
        assert (name, missing) == (name, [])


def wanted(told: Told):
    """List what every output must hold; the numbers of ranges are in each as it lists them."""
    notices = [part for notice in told.notices for part in (notice.title, notice.text)]
    return [*notices, *filter(None, (told.caveat, told.reason))]


def test_the_index_counts_warnings_and_claims_no_certainty(tmp_path, series, outputs):
    outputs(warned(series, "unlike-training-hu"))

    entries = ReportIndex(tmp_path / "reports").entries()
    page = render_index(page_of(entries, 1), Filter(), releases_of(entries), [])

    assert "1 warning</span>" in page
    assert "&gt;90%" in page
    assert "99%" not in page
