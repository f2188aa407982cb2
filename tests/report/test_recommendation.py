import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

import lidcflow.report
from lidcflow.report.rank import not_evaluated
from lidcflow.report.recommendation import Recommendation, json_schema, json_schema_text

SCHEMA_FILE = Path(lidcflow.report.__file__).parent / "schemas" / "recommendation-1.json"
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
