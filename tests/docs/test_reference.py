"""The generated pages are those of the code, and hold every key and every option."""

import pytest

from docs.from_code.configuration import settings
from docs.generate import REFERENCE, pages, stale
from flows.cli import COMMANDS, load_command
from lidcflow.config import Config
from lidcflow.dicom.records import VerdictReason
from lidcflow.inbox.delivery import Step
from tests.docs.pages import ROOT

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def generated():
    return pages()


def test_the_generated_pages_are_those_of_the_code(generated):
    """Run `python -m docs.generate` where they differ."""
    assert [page.name for page in stale(generated)] == []


def test_every_key_is_on_the_page_with_what_it_means(generated):
    page = generated[REFERENCE / "configuration.md"]
    keys = {f"{section}.{name}".lstrip("."): field for section, name, field in settings(Config)}

    assert len(keys) > 120
    assert [key for key in keys if f"\n| `{key}` |" not in page] == []
    assert [key for key, field in keys.items() if not field.description] == []


def test_every_option_is_on_the_page_with_what_it_does(generated):
    page = generated[REFERENCE / "commands.md"]

    for name in COMMANDS:
        section = page.partition(f"\n## lidcflow {name}\n")[2].partition("\n## ")[0]
        options = [one for one in load_command(name).params if one.param_type_name == "option" and one.name != "help"]
        assert [one.opts for one in options if not all(f"`{option}`" in section for option in one.opts)] == [], name
        assert [one.opts for one in options if not one.help] == [], name


def test_every_package_is_on_the_page_of_the_architecture():
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    packages = [file.parent.name for file in (DOCS.parent / "lidcflow").glob("*/__init__.py")]

    assert len(packages) > 20
    assert [name for name in packages if f"`lidcflow/{name}`" not in page] == []


@pytest.mark.parametrize(("values", "page"), [(VerdictReason, "archives.md"), (Step, "inbox.md")])
def test_every_reason_and_step_is_on_its_page(values, page):
    text = (DOCS / page).read_text(encoding="utf-8")

    assert [value for value in values if f"`{value}`" not in text] == []
