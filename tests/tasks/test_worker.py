import subprocess
import sys
from pathlib import Path

import pytest

from lidcflow.config import Access, PreprocessConfig
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from lidcflow.store.volumes import VolumeStore
from tasks.worker import preprocess_series

CONFIG = PreprocessConfig(slices=8, size=16)


@pytest.fixture
def store(tmp_path):
    return VolumeStore(tmp_path / "store", CONFIG)


@pytest.fixture
def series(tmp_path, ct_series):
    (verdict,) = index_folder(ct_series(tmp_path / "source"), secret=PUBLIC_KEY)
    return verdict.series


def test_a_worker_commits_the_volume_and_returns_only_its_digest(series, store):
    digest = preprocess_series(series, store_root=store.root, config=CONFIG, access=Access())

    assert store.is_current(series)
    assert digest == store.record(series.series_instance_uid).volume_digest


def test_a_committed_series_is_not_written_again(series, store):
    first = preprocess_series(series, store_root=store.root, config=CONFIG, access=Access())
    group = Path(store.root) / "series" / series.series_instance_uid
    written = group.stat().st_ino

    assert preprocess_series(series, store_root=store.root, config=CONFIG, access=Access()) == first
    assert group.stat().st_ino == written


def test_a_worker_imports_neither_prefect_nor_tensorflow_and_nothing_else_that_is_slow():
    heavy = {"prefect", "tensorflow", "keras", "mlflow", "highdicom", "pyarrow", "scipy", "sqlalchemy"}
    program = f"import sys, tasks.worker; print(sorted({heavy} & sys.modules.keys()))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
