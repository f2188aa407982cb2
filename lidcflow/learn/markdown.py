"""Tables and words in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

SPECIAL = str.maketrans({character: f"\\{character}" for character in "\\`*_[]<>|#"})


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay rows out under a head.

    Examples
    --------
    >>> print(table(["sector", "slices"], [["1", "1 to 13"]]))
    | sector | slices |
    | --- | --- |
    | 1 | 1 to 13 |
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(text: str) -> str:
    """Keep a text from outside, as the name of a kernel, from meaning anything in Markdown or HTML.

    Examples
    --------
    >>> plain("B30f|<b>")
    'B30f\\\\|\\\\<b\\\\>'
    """
    return " ".join(text.split()).translate(SPECIAL)
