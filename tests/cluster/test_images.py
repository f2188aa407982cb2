"""The images of infra/Dockerfile as they are built and run, by hand: make test-images."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib

import pytest

from tests.cluster.images import ROOT, USER, Image, build, make_base, of_pip, why_not_images
from tests.cluster.processes import free_port, listens, wait_for
from tests.dask_processes import scheduler

pytestmark = pytest.mark.images

MIB = 2**20
LARGEST = {"worker": 600 * MIB, "cpu": 1800 * MIB, "train": 3500 * MIB}
"""Bytes of an image with its Debian; `cpu` has the servers of Prefect and MLflow, `train` TensorFlow beside them."""

SETTINGS = """
workspace = "/workspace"
patient_key = "public"
[preprocess]
slices = 8
size = 32
[cluster]
workers = 1
"""


@pytest.fixture(scope="module")
def base():
    if reason := why_not_images():
        pytest.skip(reason)
    make_base()


@pytest.fixture(scope="module", params=LARGEST)
def image(base, request):
    """Build one target, and give its files."""
    seconds = build(request.param)
    built = Image(request.param)
    print(f"{request.param}: {built.size_bytes() / MIB:.0f} MiB, {len(built.packages())} packages, {seconds:.0f} s")
    yield built
    built.remove()


@pytest.fixture
def place(tmp_path, ct_series):
    """Return what a container gets: a source, a workspace of its user, a configuration, and a secret."""
    ct_series(tmp_path / "archive" / "1", series_uid="1.2.1")
    for name in ("workspace", "secrets", "etc"):
        (tmp_path / name).mkdir()
    shutil.chown(tmp_path / "workspace", int(USER), int(USER))
    (tmp_path / "etc" / "lidcflow.toml").write_text(SETTINGS)
    (tmp_path / "secrets" / "token").write_text("from-a-file\n")
    places = {"archive": "/data/archive", "workspace": "/workspace", "etc": "/etc/lidcflow", "secrets": "/run/secrets"}
    for path in tmp_path.parents:  # the user of the image must reach it
        if path.stat().st_uid == os.geteuid() and path != path.parent:
            path.chmod(path.stat().st_mode | 0o011)
    return {tmp_path / name: there for name, there in places.items()}


def test_it_is_small_enough_and_has_the_packages_of_its_work_alone(image):
    packages = image.packages()

    assert image.size_bytes() < LARGEST[image.target]
    assert {"lidcflow", "distributed", "zarr"} <= packages
    assert bool({"tensorflow", "tensorflow-cpu"} & packages) == (image.target == "train")
    assert ({"mlflow", "prefect", "matplotlib"} <= packages) == (image.target != "worker")
    assert not [name for name in packages if name.startswith("nvidia-")]


def test_it_runs_as_its_user_with_a_read_only_root_and_secrets_from_files(image, place):
    ask = "id -u; echo $TOKEN; grep CapEff /proc/self/status; touch /opt/venv/x; touch /workspace/x && echo written"

    said = image.run("sh", "-c", ask, mounts=place, environ={"TOKEN_FILE": "/run/secrets/token"})

    assert image.configuration["User"] == f"{USER}:{USER}"
    assert said.split()[:2] == [USER, "from-a-file"]
    assert "CapEff:\t0000000000000000" in said
    assert "Read-only file system" in said
    assert said.splitlines()[-1] == "written"


def test_a_missing_secret_ends_it_before_the_program(image, place):
    said = image.run("echo", "started", mounts=place, environ={"TOKEN_FILE": "/run/secrets/none"}, codes=(78,))

    assert "TOKEN_FILE: the secret must be readable" in said
    assert "started" not in said


def test_nothing_of_the_build_or_of_this_machine_is_in_it(image):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    lying = {path.name for path in image.root.iterdir()}
    indices = re.findall(r"(?:https?|file)://[^\s\"]+", "".join(p.read_text() for p in of_pip() if p.is_file()))

    assert not (image.root / "build").exists()
    assert not {".git", "tests", "docs", "work"} & lying
    # What was mounted leaves its place behind, empty.
    others = [path for path in (image.root / "opt").iterdir() if path.name not in ("venv", "lidcflow")]
    mounted = [image.root / str(path).lstrip("/") for path in of_pip() if path.is_file()]
    assert not [path for path in others if any(path.iterdir())]
    assert not [path for path in mounted if path.exists() and path.stat().st_size]
    assert not [word for word in indices if word in str(image.configuration)]
    assert image.configuration["Labels"]["org.opencontainers.image.version"] == version


def test_a_series_is_preprocessed_and_read_in_the_image_of_flows(image, place):
    if image.target == "worker":
        pytest.skip("flows run in the other images")
    own = {"LIDCFLOW_CONFIG": "/etc/lidcflow/lidcflow.toml", "PREFECT_HOME": "/tmp/prefect", "COLUMNS": "200"}

    stored = image.run("lidcflow", "preprocess", "/data/archive", mounts=place, environ=own)
    command = ["lidcflow", "infer", "/data/archive"]
    read = image.run(*command, mounts=place, environ=own, codes=(0,) if image.target == "train" else (0, 1))

    assert "1 preprocessed" in stored
    assert "Traceback" not in read
    assert "1 series" in read or image.target == "cpu"


def test_a_worker_of_the_image_preprocesses_for_a_flow_of_this_machine(image, place, tmp_path):
    """The worker finds source and store where the flow has them; that is how its pods mount them."""
    if image.target != "worker":
        pytest.skip("the other images are for flows and training")
    mounts = {path: str(path) for path in (tmp_path / "archive", tmp_path / "workspace")}
    settings = SETTINGS.replace("/workspace", str(tmp_path / "workspace"))
    (tmp_path / "here.toml").write_text(settings)
    dashboard = free_port("127.0.0.1")
    options = [
        "--nthreads=1",
        "--memory-limit=2GiB",
        "--local-directory=/tmp/dask",
        f"--dashboard-address=127.0.0.1:{dashboard}",
    ]

    with (
        scheduler(tmp_path, settings={"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "2"}) as address,
        image.start("dask", "worker", address, *options, mounts=mounts) as worker,
    ):
        try:
            wait_for(lambda: listens("127.0.0.1", dashboard), 120, lambda: "the worker", lambda: worker.poll() is None)
            said = subprocess.run(
                [ROOT / ".venv/bin/lidcflow", "preprocess", "archive", "--config", "here.toml"],
                cwd=tmp_path,
                env={**os.environ, "LIDCFLOW_CLUSTER__PLACE": address},
                capture_output=True,
                text=True,
                check=False,
                umask=0,  # the worker is another user than the flow here, and writes into the same store
            )
        finally:
            worker.kill()

    assert said.returncode == 0, said.stdout + said.stderr
    assert "1 preprocessed" in said.stdout


def test_the_wheels_of_the_gpu_image_are_found_in_their_pinned_versions():
    pinned = dict(re.findall(r"^([\w-]+)==([^\s;]+)", (ROOT / "infra" / "gpu.lock").read_text(), re.MULTILINE))
    limits = ["--constraint", "requirements.lock", "--constraint", "infra/gpu.lock"]
    asked = [ROOT / ".venv/bin/python", "-m", "pip", "install", "--dry-run", "--ignore-installed", *limits]

    done = subprocess.run([*asked, ".[server,gpu]"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    would = done.stdout.splitlines()[-1]
    assert not [name for name, version in pinned.items() if f"{name}-{version}" not in would.replace("_", "-")]
