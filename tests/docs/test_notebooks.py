"""The notebooks run from their first cell to the last, and their pages show what the code showed."""

import json
import re
from pathlib import Path

import pytest

from docs.notebooks import TUTORIALS, page_of, run
from tests.trained import copy_workspace

NOTEBOOKS = sorted(TUTORIALS.glob("*.ipynb"))
MACHINE = re.compile(r"/(?:tmp|work|home|root|Users)/")
UNSTABLE = {"image/png"}


def content(name):
    return json.loads((TUTORIALS / name).read_text(encoding="utf-8"))


def texts(notebook):
    """Return what each cell of code printed or returned, as text."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    return ["".join(output.get("data", output).get("text/plain", output.get("text", ""))) for output in outputs]


def test_both_are_there():
    assert [file.name for file in NOTEBOOKS] == ["look-into-a-training.ipynb", "read-a-study.ipynb"]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_is_kept_with_its_outputs_and_names_no_machine(file):
    notebook = content(file.name)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]

    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert MACHINE.search(file.read_text(encoding="utf-8")) is None


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_page_has_the_prose_the_code_and_the_outputs(file):
    notebook = content(file.name)
    page = page_of(notebook, file.name)

    assert page.startswith("# ")
    assert f'href="{file.name}" download' in page
    for cell in notebook["cells"]:
        assert "".join(cell["source"]) in page
    assert page.count('<div class="output">') + page.count("```text") == len(texts(notebook))


def test_a_study_is_read_as_the_page_shows(tmp_path):
    pytest.importorskip("nbclient", reason="Jupyter is not installed (the extra dev)")
    done = run(TUTORIALS / "read-a-study.ipynb", tmp_path)

    # The recommendation itself is compared where floating-point numbers may differ between machines: tests/tasks/api.
    assert texts(done)[0] == texts(content("read-a-study.ipynb"))[0]
    assert len(texts(done)) == len(texts(content("read-a-study.ipynb")))
    (result,) = [cell for cell in done.cells if "lf.read_study" in cell.source and cell.cell_type == "code"]
    assert "Research use only" in result.outputs[0].data["text/html"]


@pytest.mark.servers
def test_a_training_is_looked_into_as_the_page_shows(tmp_path, training_folder):
    pytest.importorskip("nbclient", reason="Jupyter is not installed (the extra dev)")
    copy_workspace(training_folder, Path(tmp_path) / "demo" / "workspace")

    done = run(TUTORIALS / "look-into-a-training.ipynb", tmp_path)

    assert len(texts(done)) == len(texts(content("look-into-a-training.ipynb")))
    assert "all sectors" in texts(done)[1]
