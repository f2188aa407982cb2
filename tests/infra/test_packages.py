"""What the image of preprocessing installs, read from the installed packages' own requirements."""

import json
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lidcflow.config import PreprocessConfig
from lidcflow.store.volumes import VolumeStore
from tests.infra.compose import INFRA

ROOT = INFRA.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FORBIDDEN = re.compile(r"tensorflow.*|nvidia-.*|torch|jax|jaxlib")
TOO_MUCH = {"prefect", "mlflow", "mlflow-skinny", "databricks-sdk", "matplotlib", "pandas", "pyarrow", "boto3", "keras"}
HERE = {**default_environment(), "sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}


def requirements(extra=None):
    """Return what the project asks for; an extra may name others of its own."""
    texts = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    for one in map(Requirement, texts):
        if one.name == PROJECT["name"]:
            yield from (inner for name in one.extras for inner in requirements(name))
        else:
            yield one


def wanted(*extras):
    return [one for extra in (None, *extras) for one in requirements(extra)]


def closure(asked):
    """Return what the requirements bring, as `pip install` on the image's machine finds it."""
    found, waiting = set(), [(one.name, frozenset(one.extras)) for one in asked if applies(one, ())]
    while waiting:
        name, extras = waiting.pop()
        if (canonicalize_name(name), extras) not in found:
            found.add((canonicalize_name(name), extras))
            waiting += needed_by(name, extras)
    return {name for name, _ in found}


@cache
def needed_by(name, extras):
    try:
        texts = distribution(name).requires or []
    except PackageNotFoundError:
        return ()
    needed = [Requirement(text) for text in texts]
    return tuple((one.name, frozenset(one.extras)) for one in needed if applies(one, extras))


def applies(requirement, extras):
    if requirement.marker is None:
        return True
    return any(requirement.marker.evaluate({**HERE, "extra": extra}) for extra in (*extras, ""))


def locked(file):
    pattern = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pattern.findall(file.read_text())}


def test_the_image_of_preprocessing_has_no_tensorflow():
    brought = closure(wanted("server"))

    assert {"prefect", "mlflow", "distributed", "zarr", "boto3", "flask-wtf", "pg8000"} <= brought
    assert not [name for name in brought if FORBIDDEN.fullmatch(name)]


def test_the_image_of_training_adds_tensorflow_for_processors_alone():
    brought = closure(wanted("server", "cpu"))

    assert "tensorflow-cpu" in brought
    assert not [name for name in brought if name.startswith("nvidia-")]


def test_the_lock_file_names_whatever_the_images_install():
    brought = closure(wanted("server", "cpu"))

    assert brought - set(locked(ROOT / "requirements.lock")) == set()


def test_nvidias_wheels_are_pinned_beside_the_lock_file():
    own, common = locked(INFRA / "gpu.lock"), locked(ROOT / "requirements.lock")

    assert own["tensorflow"] == common["tensorflow"]
    assert set(own) - {"tensorflow"} == {name for name in own if name.startswith("nvidia-")}
    assert {"nvidia-cudnn-cu12", "nvidia-cublas-cu12", "nvidia-nccl-cu12"} <= set(own)


def test_the_image_of_workers_has_what_the_extra_names_in_the_versions_that_lidcflow_asks_for():
    brought, own = closure(requirements("worker")), {str(one) for one in requirements("worker")}

    assert not brought & TOO_MUCH
    assert not [name for name in brought if FORBIDDEN.fullmatch(name)]
    assert own <= {str(one) for one in requirements()}
    assert brought - set(locked(ROOT / "requirements.lock")) == set()


PREPROCESSING = """
import json, sys
from importlib.metadata import packages_distributions
from pathlib import Path

allowed, brought_by = set(json.loads(sys.argv[3])), packages_distributions()

class Refusing:
    def find_spec(self, name, path=None, target=None):
        owners = {one.lower().replace("_", "-").replace(".", "-") for one in brought_by.get(name, ())}
        if "." not in name and owners and not owners & allowed:
            raise ModuleNotFoundError(f"{name} is not in this image", name=name)

sys.meta_path.insert(0, Refusing())
import distributed.cli.dask_worker
import tasks.cluster.join
from lidcflow.config import Access, PreprocessConfig
from lidcflow.series.find import index_folder
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.store.volumes import VolumeStore
from tasks.candidates import preprocess_with_candidates

source, store = sys.argv[1:3]
config = PreprocessConfig(slices=8, size=16)
VolumeStore(store, config, create=True)
work = {"store_root": store, "config": config, "access": Access()}
for series in index_folder(Path(source), secret=PUBLIC_KEY).usable:
    preprocess_with_candidates(series, **work)
    print(series.series_instance_uid)
"""


def test_a_worker_preprocesses_with_the_packages_of_its_extra_alone(tmp_path, ct_series):
    ct_series(tmp_path / "source")
    packages = sorted({*closure(requirements("worker")), "lidcflow"})

    done = subprocess.run(
        [sys.executable, "-c", PREPROCESSING, tmp_path / "source", tmp_path / "store", json.dumps(packages)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 1


WORKER = """
import sys
from pathlib import Path

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "keras"):
            raise ImportError(f"{name} is not in this image")

sys.meta_path.insert(0, Refusing())
import flows.drift, flows.inbox, flows.preprocess, flows.reports.app, flows.retrain, flows.service.deploy
from lidcflow.config import Access, PreprocessConfig
from lidcflow.series.find import index_folder
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.store.volumes import VolumeStore
from tasks.worker import preprocess_series

source, store = sys.argv[1:]
config = PreprocessConfig(slices=8, size=16)
VolumeStore(store, config, create=True)
for series in index_folder(Path(source), secret=PUBLIC_KEY).usable:
    preprocess_series(series, store_root=store, config=config, access=Access())
    print(series.series_instance_uid)
"""


def test_preprocessing_and_flows_work_where_tensorflow_and_keras_are_not(tmp_path, ct_series):
    ct_series(tmp_path / "source")

    done = subprocess.run(
        [sys.executable, "-c", WORKER, tmp_path / "source", tmp_path / "store"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "DO_NOT_TRACK": "true"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    (uid,) = done.stdout.split()
    assert VolumeStore(str(tmp_path / "store"), PreprocessConfig(slices=8, size=16), create=False).series_uids() == [
        uid
    ]
