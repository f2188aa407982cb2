"""The site is built without a warning, and its pages load nothing from elsewhere."""

import re
import subprocess
import sys

import pytest

from tests.docs.pages import ROOT

pytest.importorskip("material", reason="MkDocs is not installed (the extra docs)")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_pages_load_nothing_from_elsewhere(site):
    loads = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=["']?((?:https?:)?//[^"' >]+)""")
    pages = sorted(site.rglob("*.html"))

    assert len(pages) > 25
    assert {page.name: found for page in pages if (found := loads.findall(page.read_text()))} == {}


def test_pages_of_the_repository_are_part_of_the_site(site):
    assert "Keep a Changelog" in (site / "changelog.html").read_text()
    assert (site / "contributing.html").is_file()
    assert not list(site.rglob("*.py"))
