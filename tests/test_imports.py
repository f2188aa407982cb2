"""The direction of imports: deployments -> flows -> tasks -> lidcflow, and one module for each engine."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RANKS = {"lidcflow": 0, "tasks": 1, "flows": 2, "deployments": 3}
ONLY_IN = {
    "mlflow": "tasks/tracking",
    "distributed": "tasks/cluster/open",
    "dask": "tasks/cluster/open",
    "prefect_dask": "tasks/cluster/open",
    "pylidc": "nowhere",
    "idc_index_data": "lidcflow/source/idc",
}


def imports_of(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


FILES = [file for package in RANKS for file in sorted((ROOT / package).rglob("*.py"))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_module_imports_only_downwards_and_engines_only_where_they_live(file):
    where = file.relative_to(ROOT).as_posix()
    rank = RANKS[where.split("/")[0]]

    for name in imports_of(file):
        assert RANKS.get(name, -1) <= rank, f"{where} imports {name}"
        assert where.startswith(ONLY_IN.get(name, "")), f"{where} imports {name}"
        assert not (rank == 0 and name == "prefect"), f"{where} imports prefect"
