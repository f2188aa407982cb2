"""What MkDocs does on top of the pages: the repository's own pages and the notebooks join the site."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # MkDocs imports this file by its path

from docs.notebooks import TUTORIALS, page_of  # noqa: E402

OUTSIDE = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages of the repository, and their names on the site."""

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+)([^)#\s]+)(#[^)\s]*)?\)")
NOTEBOOK = re.compile(r"\]\(([^)\s:]+)\.ipynb\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the repository's own pages and the notebooks to the site."""
    for name, page in OUTSIDE.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=re.sub(r"\]\(docs/", "](", text)))
    for notebook in sorted(TUTORIALS.glob("*.ipynb")):
        text = page_of(json.loads(notebook.read_text(encoding="utf-8")), notebook.name)
        files.append(File.generated(config, f"tutorials/{notebook.stem}.md", content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Turn links that lead out of docs/ into names of files or the repository's pages, and those to notebooks too."""
    return NOTEBOOK.sub(r"](\1.md)", LINK.sub(inside, markdown))


def inside(link: re.Match[str]) -> str:
    """Return a link as the site has it.

    Examples
    --------
    >>> inside(LINK.match("[`infra/`](../infra)")), inside(LINK.match("[how](../CONTRIBUTING.md)"))
    ('`infra/`', '[how](contributing.md)')
    """
    text, up, path, anchor = link[1], link[2], link[3], link[4] or ""
    if path in OUTSIDE:
        return f"[{text}]({OUTSIDE[path]}{anchor})"
    return text if (ROOT / path).exists() and not (ROOT / "docs" / path).exists() else f"[{text}]({up}{path}{anchor})"
