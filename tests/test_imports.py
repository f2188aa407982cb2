"""Imports run one way, down the floors of `FLOORS`; each engine is imported in one place; no imports form a cycle.

Few imports stand inside functions, each with its reason; what is slow to import stays out of processes without use
for it.
"""

import ast
import subprocess
import sys
from collections import defaultdict
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("lidcflow", "tasks", "flows", "deployments")
FLOORS = """
    lidcflow lidcflow.blas lidcflow.compute_threads lidcflow.errors lidcflow.notice lidcflow.part lidcflow.templates
    lidcflow.files lidcflow.file_lock lidcflow.privacy lidcflow.disk lidcflow.orphans lidcflow.spool lidcflow.garbage
    lidcflow.config
    lidcflow.objects
    lidcflow.dicom
    lidcflow.pacs
    lidcflow.source
    lidcflow.headers
    lidcflow.pixels
    lidcflow.series
    lidcflow.volume
    lidcflow.store
    lidcflow.catalog
    lidcflow.labels
    lidcflow.phantom
    lidcflow.stats
    lidcflow.nodules
    lidcflow.learn
    lidcflow.release
    lidcflow.report
    lidcflow.documents
    lidcflow.evaluate
    lidcflow.experiment
    lidcflow.inbox
    lidcflow.drift
    lidcflow.erase
    lidcflow.retention
    tasks.progress tasks.retries tasks.time_limit tasks.worker
    tasks.cluster
    tasks.tracking
    tasks
    tasks.api
    flows.environment flows.proxies flows.writable
    flows.service
    flows.reports
    flows
    flows.cli
    deployments
"""
"""From the ground up, one floor a line: a module imports from its own floor and from those below."""

FLOOR_OF = {name: floor for floor, line in enumerate(FLOORS.strip().splitlines()) for name in line.split()}
ONLY_IN = {
    "mlflow": "tasks.tracking",
    "distributed": "tasks.cluster",
    "dask": "tasks.cluster",
    "prefect_dask": "tasks.cluster",
    "pylidc": "nowhere",
    "idc_index_data": "lidcflow.source.idc",
}

INSIDE_FUNCTIONS = 20
"""Most imports inside functions outside the commands."""

WITHOUT = {
    "lidcflow.config": "keras mlflow prefect distributed highdicom sqlalchemy pyarrow scipy pydicom zarr",
    "flows.service.doctor": "httpx keras prefect mlflow scipy pydicom pyarrow zarr",
    "flows.infer_report, flows.cli.infer": "keras mlflow prefect distributed pyarrow scipy pydicom zarr",
    "lidcflow.source.idc, lidcflow.volume.reduce": "pyarrow scipy",
    "flows.infer_here, flows.cli.direct": (
        "keras mlflow prefect distributed pandas sklearn matplotlib highdicom openvino"
    ),
    "lidcflow.documents.write, lidcflow.labels.sources, lidcflow.learn.engines, lidcflow.learn.predict": (
        "keras openvino highdicom"
    ),
    "lidcflow.learn.own_malignancy, lidcflow.nodules.malignancy_scores": "keras",
    "tasks.cluster.open, flows.service.named_server, flows.service.password": "prefect",
    "flows.service.poller": "keras prefect",
    "flows.inbox, flows.infer": "keras highdicom mlflow prefect_dask",
    "flows.evaluate": "keras highdicom prefect_dask",
    "flows.experiment, flows.train": "keras",
}
"""What modules are imported without: `sys.modules` of a new process holds none of it.

One process imports them in this order, so that each line is tested with all those above it.
"""


def name_of(file):
    """Return the dotted name of a module."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {name_of(file): file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))}


@cache
def tree_of(file):
    return ast.parse(file.read_text())


def imports_of(file):
    """Yield what a module imports: our own modules by their whole names, others by the name of their package."""
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{name.name}" for name in node.names]
        else:
            continue
        yield from (module_of(name) for name in names)


def module_of(name):
    """Return the module of ours that a name is or is in, or the package of others."""
    parts = name.split(".")
    ours = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((module for module in ours if module in FILES), parts[0])


def place_of(module):
    """Return the entry of `FLOORS` that a module belongs to: the longest that is a part of its name."""
    parts = module.split(".")
    return next((place for n in range(len(parts), 0, -1) if (place := ".".join(parts[:n])) in FLOOR_OF), None)


GRAPH = {module: {found for found in imports_of(file) if found != module} for module, file in FILES.items()}


@pytest.mark.parametrize("module", FILES)
def test_a_module_imports_from_its_own_floor_and_from_those_below(module):
    above = {found for found in GRAPH[module] & FILES.keys() if FLOOR_OF[place_of(found)] > FLOOR_OF[place_of(module)]}

    assert not above, f"{module} imports from floors above its own"


def test_every_package_has_its_floor():
    rooms = {".".join(module.split(".")[:2]) for module in FILES if module.startswith("lidcflow.")}

    assert rooms == {name for name in FLOOR_OF if name.startswith("lidcflow.")}


@pytest.mark.parametrize("module", FILES)
def test_an_engine_is_imported_where_it_lives(module):
    for name in GRAPH[module]:
        assert module.startswith(ONLY_IN.get(name, "")), f"{module} imports {name}"
        assert not (module.startswith("lidcflow") and name == "prefect"), f"{module} imports prefect"


def test_no_modules_import_each_other_in_a_cycle():
    ours = {module: found & FILES.keys() for module, found in GRAPH.items()}

    assert cycle_of(ours) == []


def test_no_packages_import_each_other_in_a_cycle():
    ours = defaultdict(set)
    for module, found in GRAPH.items():
        ours[place_of(module)] |= {place_of(name) for name in found & FILES.keys()} - {place_of(module)}

    assert cycle_of(ours) == []


def imports_inside_functions(file):
    """Yield the first line of each import inside a function."""
    functions = (node for node in ast.walk(tree_of(file)) if isinstance(node, ast.FunctionDef))
    inside = (node for function in functions for node in ast.walk(function))
    yield from sorted({node.lineno for node in inside if isinstance(node, ast.Import | ast.ImportFrom)})


INSIDE = [
    (module, line)
    for module, file in FILES.items()
    if not module.startswith("deployments")
    for line in imports_inside_functions(file)
]


def test_few_imports_stand_inside_functions():
    assert len(INSIDE) <= INSIDE_FUNCTIONS


@pytest.mark.parametrize(("module", "line"), INSIDE)
def test_an_import_inside_a_function_has_its_reason_beside_it(module, line):
    above, own = FILES[module].read_text().splitlines()[line - 2 : line]

    assert "  # " in own or above.strip().startswith("# "), f"{module}:{line} gives no reason"


@pytest.fixture(scope="module")
def slow_imports():
    """Return, for each line of `WITHOUT`, what is imported of that which must not be."""
    lines = [
        f"import {modules}; print(*sorted({set(slow.split())} & sys.modules.keys()))"
        for modules, slow in WITHOUT.items()
    ]
    program = "\n".join(["import sys", *lines])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return dict(zip(WITHOUT, done.stdout.splitlines(), strict=True))


@pytest.mark.parametrize("modules", WITHOUT)
def test_modules_are_imported_without_what_is_slow(modules, slow_imports):
    assert slow_imports[modules] == ""


def test_a_cycle_is_found():
    assert set(cycle_of({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}


def cycle_of(graph):
    """Return the names of one cycle, or an empty list."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []
