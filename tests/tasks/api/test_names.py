"""What `import lidcflow as lf` offers, and what it costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lidcflow as lf

STUB = Path(lf.__file__).with_name("__init__.pyi")


def run(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_there_are_ten_names_at_most_and_each_is_documented():
    assert len(lf.__all__) <= 10
    assert [name for name in lf.__all__ if not getattr(lf, name).__doc__] == []


def test_type_checkers_see_the_same_names():
    imports = [node for node in ast.parse(STUB.read_text()).body if isinstance(node, ast.ImportFrom)]
    stub = {one.name: node.module for node in imports for one in node.names}

    assert stub == lf._HOMES


def test_a_name_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(AttributeError, match=r"has no attribute 'read_studies'; it has .*read_study"):
        lf.read_studies  # noqa: B018


def test_the_import_loads_nothing_but_the_package():
    loaded = run("import sys; before = set(sys.modules); import lidcflow as lf; print(*(set(sys.modules) - before))")

    assert {name.partition(".")[0] for name in loaded} <= {"lidcflow", "typing", "_typing", "collections", "importlib"}
    assert [name for name in loaded if name.startswith("lidcflow.")] == []


def test_no_name_needs_prefect_mlflow_or_a_network_library():
    use = "import sys, lidcflow as lf; [getattr(lf, name) for name in lf.__all__]"

    assert run(f"{use}; print(*({{'prefect', 'mlflow', 'distributed', 'keras'}} & set(sys.modules)))") == []
