"""The pages that people read, taken apart: headings, links, and blocks of code with what marks them as not run."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md")),
        ROOT / "infra" / "README.md",
    ]
)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(
    r"^(?P<indent> *)(?:<!-- (?P<mark>[^\n]*?) -->\n+ *)?```(?P<language>\w*)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
INDENTED = re.compile(r"(?:^    .*\n|^\n(?=    ))+", re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+)`")
NOT_RUN = "not run: "


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and the reason why it is not run, if one is given."""

    page: str
    language: str
    text: str
    why_not: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text.splitlines()[0][:60] if self.text else 'empty'}"


def name_of(page: Path) -> str:
    """Return the path of a page below the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    for found in FENCE.finditer(page.read_text(encoding="utf-8")):
        mark = found["mark"] or ""
        why_not = mark.removeprefix(NOT_RUN) if mark.startswith(NOT_RUN) else ""
        yield Block(name_of(page), found["language"], textwrap.dedent(found["text"]), why_not)


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    """Return the targets of a page's links that lead to files."""
    text = INDENTED.sub("\n", INLINE.sub("", prose(page)))
    return [target for target in LINK.findall(text) if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as MkDocs and GitHub make them."""
    titles = re.findall(r"^#{1,6} (.+)$", prose(page), re.MULTILINE)
    return {slug(title) for title in titles}


def slug(title: str) -> str:
    """Return the anchor of a heading.

    Examples
    --------
    >>> slug("`[train.finetune]`"), slug("Connect a hospital's PACS")
    ('trainfinetune', 'connect-a-hospitals-pacs')
    """
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())
