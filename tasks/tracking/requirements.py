"""Requirements of the models that go to MLflow: packages as they are installed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

from mlflow.utils import environment

_CHECK = "warn_dependency_requirement_mismatches"
_one_at_a_time = threading.RLock()


@contextmanager
def installed(*packages: str) -> Iterator[list[str]]:
    """Yield requirements of the packages that are installed, such as ``keras==3.12.0``; others are left out.

    While the block runs, MLflow logs models without comparing requirements with what is installed: these agree, and
    the comparison reads the list of files of every installed package, a second of CPU in each process.
    """
    with _one_at_a_time:
        check = getattr(environment, _CHECK, None)
        setattr(environment, _CHECK, lambda _: None)
        try:
            yield [f"{package}=={found}" for package in packages if (found := _version(package))]
        finally:
            setattr(environment, _CHECK, check)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
