"""Write the pages of docs/reference that are made from code: the settings, the commands, the JSON files.

python -m docs.generate            write them
python -m docs.generate --check    exit code 1 if a page differs from the code
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from docs.from_code.commands import commands_page
from docs.from_code.configuration import configuration_page
from docs.from_code.schemas import schemas_page

REFERENCE = Path(__file__).parent / "reference"


def pages() -> dict[Path, str]:
    """Return the text of each generated page."""
    return {
        REFERENCE / "configuration.md": configuration_page(),
        REFERENCE / "commands.md": commands_page(),
        REFERENCE / "schemas.md": schemas_page(),
    }


def stale(found: Mapping[Path, str]) -> list[Path]:
    """Return the pages that differ from the code."""
    return [page for page, text in found.items() if not page.is_file() or page.read_text(encoding="utf-8") != text]


def main() -> None:
    """Write the pages, or with ``--check`` end with exit code 1 if one differs."""
    found = pages()
    if "--check" in sys.argv[1:]:
        sys.exit(
            f"run `python -m docs.generate`: {', '.join(page.name for page in old)}" if (old := stale(found)) else 0
        )
    for page, text in found.items():
        page.parent.mkdir(exist_ok=True)
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
