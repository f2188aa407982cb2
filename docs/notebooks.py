"""Run the notebooks of docs/tutorials and keep their outputs; turn a notebook into a page of the site.

python -m docs.notebooks FOLDER    run them in a folder with the demo in it, and write their outputs
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

TUTORIALS = Path(__file__).parent / "tutorials"
TIMEOUT_S = 1200
BACKEND = "module://matplotlib_inline.backend_inline"
"""Of figures, as in a notebook that somebody opens, whatever the calling process shows figures with."""

Cell = Mapping[str, Any]


def run(file: Path, folder: Path) -> Any:
    """Run a notebook in a folder, and return it with its outputs.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell fails.
    """
    import nbformat  # only who runs notebooks needs Jupyter; the site is built from what they left
    from nbclient import NotebookClient

    notebook = nbformat.read(file, as_version=4)
    client = NotebookClient(notebook, timeout=TIMEOUT_S, resources={"metadata": {"path": str(folder)}})
    client.execute(env={**os.environ, "MPLBACKEND": BACKEND})
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of the run, which differ each time
    return notebook


def page_of(notebook: Mapping[str, Any], name: str) -> str:
    """Return a notebook as Markdown: its prose, its code, and what the code showed.

    Parameters
    ----------
    notebook : mapping
        The JSON of an ``.ipynb`` file.
    name : str
        Of the file, which the page links.
    """
    parts = ["".join(part) for cell in notebook["cells"] for part in parts_of(cell)]
    head, *rest = parts
    return "\n\n".join([head, f'<a href="{name}" download>Download this notebook</a>', *rest]) + "\n"


def parts_of(cell: Cell) -> Iterator[str]:
    """Yield the text of a cell, then its outputs."""
    text = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield text
        return
    yield f"```python\n{text}\n```"
    for output in cell["outputs"]:
        yield shown(output)


def shown(output: Cell) -> str:
    """Return an output as Markdown: HTML and pictures as they are, else text."""
    data = output.get("data", {})
    if "text/html" in data:
        return f'<div class="output">{without_blank_lines("".join(data["text/html"]))}</div>'
    if "image/png" in data:
        picture = "".join(data["image/png"]).replace("\n", "")
        return f'<div class="output"><img src="data:image/png;base64,{picture}" alt="Figure"></div>'
    text = "".join(data.get("text/plain", output.get("text", "")))
    return f"```text\n{text.rstrip()}\n```"


def without_blank_lines(html: str) -> str:
    """Return HTML without the blank lines at which Markdown would end it.

    Examples
    --------
    >>> without_blank_lines("<p>\\n\\n  a</p>")
    '<p>\\na</p>'
    """
    return re.sub(r"\n\s*", "\n", html)


def main(folder: Path) -> None:
    """Run every notebook in a folder, and write it with its outputs."""
    for file in sorted(TUTORIALS.glob("*.ipynb")):
        text = json.dumps(run(file, folder), indent=1, ensure_ascii=False, sort_keys=True)
        file.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
