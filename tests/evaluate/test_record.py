"""An evaluation as a page and a record."""

import json

from lidcflow.evaluate.page import write_evaluation
from lidcflow.evaluate.record import DATA, ReleaseEvaluation


def test_page_and_json_are_written_together(evaluation, tmp_path):
    page = write_evaluation(evaluation, tmp_path / "new")

    assert sorted(file.name for file in page.parent.iterdir()) == [DATA, "report.html"]
    assert ReleaseEvaluation.model_validate_json((page.parent / DATA).read_text()) == evaluation
    assert json.loads((page.parent / DATA).read_text())["statement"] == "Research use only, not for diagnosis."
