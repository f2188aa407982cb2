"""What MkDocs does on top of the pages: the repository's own pages join the site, links to files become names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
OUTSIDE = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages of the repository, and their names on the site."""

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the repository's own pages to the site."""
    for name, page in OUTSIDE.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=re.sub(r"\]\(docs/", "](", text)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Turn links that lead out of docs/ into the names of files, or into links to the repository's pages."""
    return LINK.sub(inside, markdown)


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
