import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

import lidcflow.report
from lidcflow.report.folder import ReportKey, read_recommendation
from lidcflow.report.page import render_recommendation
from lidcflow.report.rank import not_evaluated
from lidcflow.report.recommendation import Recommendation, json_schema, json_schema_text

SCHEMAS = Path(lidcflow.report.__file__).parent / "schemas"
SCHEMA_FILE = SCHEMAS / "recommendation-2.json"
VERSION_1 = Path(__file__).parent / "version-1"
DOCUMENT = Path(__file__).parents[2] / "docs" / "recommendation.md"


@pytest.fixture(params=["ranges", "nothing-above-threshold", "not-evaluated"])
def answer(request, study, release) -> Recommendation:
    if request.param == "not-evaluated":
        return not_evaluated("1.2.840.2", None, "tilted", "the gantry must not be tilted, got 12 degrees", release)
    return study() if request.param == "ranges" else study(*[0.1] * 8)


def test_the_schema_file_is_that_of_the_models():
    """Write `json_schema_text()` to the file where they differ on purpose."""
    assert SCHEMA_FILE.read_text(encoding="utf-8") == json_schema_text()


def test_every_answer_obeys_the_schema(answer):
    Draft202012Validator(json_schema()).validate(json.loads(answer.to_json()))


def test_every_answer_survives_its_json(answer):
    assert Recommendation.model_validate_json(answer.to_json()) == answer


def test_every_answer_says_research_use_only(answer):
    assert json.loads(answer.to_json())["statement"] == "Research use only, not for diagnosis."


def test_an_answer_holds_nothing_of_the_patient(study):
    text = study(patient_key="cb120ad193263e76").to_json()

    assert "cb120ad193263e76" not in text
    assert "patient" not in text


def test_only_frames_have_a_frame_number_and_obey_the_schema_too(study, frames):
    answer = study(sources=frames)

    assert "frame_number" not in study().to_json()
    Draft202012Validator(json_schema()).validate(json.loads(answer.to_json()))
    assert Recommendation.model_validate_json(answer.to_json()) == answer


def test_an_answer_with_findings_obeys_the_schema_and_survives_its_json(study, findings):
    answer = study(findings=findings)

    Draft202012Validator(json_schema()).validate(json.loads(answer.to_json()))
    assert Recommendation.model_validate_json(answer.to_json()) == answer
    assert json.loads(answer.to_json())["schema_id"] == "lidcflow.recommendation/2"
    assert [one["rank"] for one in json.loads(answer.to_json())["findings"]] == [1, 2]


@pytest.mark.parametrize("verdict", ["ranges", "nothing-above-threshold", "not-evaluated"])
def test_a_document_of_version_1_is_read_as_one_without_findings(verdict):
    text = (VERSION_1 / f"{verdict}.json").read_text(encoding="utf-8")
    schema = json.loads((SCHEMAS / "recommendation-1.json").read_text(encoding="utf-8"))

    said = Recommendation.model_validate_json(text)

    Draft202012Validator(schema).validate(json.loads(text))
    assert (said.schema_id, said.verdict, said.findings) == ("lidcflow.recommendation/2", verdict, ())
    assert all(one.findings == () for one in said.ranges)
    kept = said.model_dump(mode="json", exclude={"schema_id", "findings", "slices_left_out"})
    kept["ranges"] = [{key: value for key, value in one.items() if key != "findings"} for one in kept["ranges"]]
    assert kept == {key: value for key, value in json.loads(text).items() if key != "schema_id"}


def test_a_report_of_version_1_is_read_from_its_folder(tmp_path):
    key = ReportKey("1.2.840.1", "1.2.840.2")
    (tmp_path / key.study / key.series).mkdir(parents=True)
    text = (VERSION_1 / "ranges.json").read_text(encoding="utf-8")
    (tmp_path / key.study / key.series / "recommendations.json").write_text(text)

    said = read_recommendation(tmp_path, key)

    assert (said.verdict, len(said.ranges), said.ranges_left_out) == ("ranges", 1, 1)
    assert "Slices 3–5" in render_recommendation(said, None)


def test_a_document_of_a_later_version_is_refused(study):
    with pytest.raises(ValidationError, match="schema_id"):
        Recommendation.model_validate_json(study().to_json().replace("recommendation/2", "recommendation/3"))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (lambda said: {"findings": said.findings[::-1]}, "findings must be ranked from 1, got"),
        (lambda said: {"findings": said.findings[:1]}, r"ranges must name findings that are there, got \[1, 2\] of 1"),
        (
            lambda said: {
                "verdict": "nothing-above-threshold",
                "highest_slices": said.slices[:5],
                "ranges": (),
            },
            "findings must come with verdict 'ranges'",
        ),
    ],
)
def test_findings_that_do_not_fit_the_answer_are_refused(study, findings, changes, complaint):
    said = study(findings=findings)
    fields = {name: getattr(said, name) for name in Recommendation.model_fields}

    with pytest.raises(ValidationError, match=complaint):
        Recommendation.model_validate({**fields, **changes(said)})


def test_an_unknown_key_is_refused(study):
    text = study().to_json().replace('"verdict"', '"diagnosis": "none", "verdict"')

    with pytest.raises(ValidationError, match="diagnosis"):
        Recommendation.model_validate_json(text)


def test_a_verdict_without_its_content_is_refused(study):
    fields = study().model_dump()

    with pytest.raises(ValidationError, match="verdict must fit its content, got 'ranges'"):
        Recommendation.model_validate({**fields, "ranges": ()})


def test_slices_of_a_series_that_was_not_evaluated_are_refused(study):
    fields = {**study().model_dump(), "ranges": (), "verdict": "not-evaluated"}

    with pytest.raises(ValidationError, match="slices and volume"):
        Recommendation.model_validate({**fields, "reason": {"code": "tilted", "sentence": "tilted"}})


def test_the_document_names_every_field():
    schema = json_schema()
    fields = {name for part in [schema, *schema["$defs"].values()] for name in part["properties"]}
    document = DOCUMENT.read_text(encoding="utf-8")

    assert sorted(name for name in fields if f"`{name}`" not in document) == []
