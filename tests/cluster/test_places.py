"""The places where work runs, with real schedulers and workers: who takes part, and what is said of the others."""

import contextvars
import datetime
import ipaddress
import logging
import os
import threading
import time
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from distributed import Client
from prefect import flow, task

from lidcflow.config import ClusterConfig, Config, PreprocessConfig
from lidcflow.errors import ConfigError, ResourceError
from lidcflow.store.address import training_store
from lidcflow.store.volumes import VolumeStore
from tasks.cluster.open import cluster_for, map_series, open_cluster
from tasks.cluster.runner import task_runner
from tests import dask_processes

NAME = "__import__('distributed').get_worker().name"
QUIET = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "2"}


@pytest.fixture
def place(tmp_path):
    """Yield a scheduler of somebody else."""
    with dask_processes.scheduler(tmp_path, settings=QUIET) as address:
        yield address


@pytest.fixture
def stored(tmp_path):
    """Return a configuration whose store is there."""
    config = Config(workspace=tmp_path / "workspace", preprocess=PreprocessConfig(slices=8, size=16))
    VolumeStore.of(config, create=True)
    return config


def workers_of(address, count, items=12):
    """Return who worked on some items; they take long enough that no worker does all of them."""
    work = f"__import__('time').sleep(0.1) or {NAME}"
    return {name for _, name in map_series(address, eval, [work] * items, window=count)}


def at(config, address, **settings):
    return config.model_copy(update={"cluster": ClusterConfig(place=address, **settings)})


def other_versions(folder, **versions):
    """Make a folder that shows other versions of packages than those that are installed, as its users would see."""
    for package, version in versions.items():
        facts = folder / f"{package}-{version}.dist-info"
        facts.mkdir(parents=True)
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    return {"PYTHONPATH": str(folder)}


def test_preprocessing_keeps_away_from_the_gpu_and_learning_works_there_alone(place, tmp_path, prefect_server):
    config = ClusterConfig(place=place, gpus=1)

    @task
    def whose():
        return eval(NAME)

    @flow
    def learning():
        return {future.result() for future in [whose.submit() for _ in range(4)]}

    with (
        dask_processes.worker(place, tmp_path, "plain"),
        dask_processes.worker(place, tmp_path, "with-gpu", "--resources", "GPU=1"),
    ):
        with open_cluster(config, "preprocess") as cluster:
            preprocessed_by = workers_of(cluster.address, 2)
        with open_cluster(config, "train") as cluster:
            featured_by = workers_of(cluster.address, 2)
            trained_by = learning.with_options(task_runner=task_runner(cluster.address))()
        with open_cluster(config, "read") as cluster:
            read_by = workers_of(cluster.address, 2)

    assert (preprocessed_by, featured_by, trained_by, read_by) == ({"plain"}, *[{"with-gpu"}] * 3)


def test_two_sectors_take_turns_on_one_gpu_and_train_at_once_on_two(place, tmp_path, prefect_server):
    """The only worker has two threads: it is the GPU that a sector waits for, and there it never meets the other."""
    gpu = ["--resources", "GPU=1"]

    @task
    def sector(mine, other):
        """Return whether the other one was at work at the same time."""
        mine.touch()
        for _ in range(150):
            if other.exists():
                time.sleep(1)  # the other one has to see this one, too
                break
            time.sleep(0.1)
        met = other.exists()
        mine.unlink()
        return met

    @flow
    def sectors(folder):
        first, second = folder / "first", folder / "second"
        return [future.result() for future in [sector.submit(first, second), sector.submit(second, first)]]

    def meet():
        with open_cluster(ClusterConfig(place=place, gpus=1), "train") as cluster:
            return sectors.with_options(task_runner=task_runner(cluster.address))(tmp_path)

    with dask_processes.worker(place, tmp_path, "only", "--nthreads", "2", *gpu):
        on_one = meet()
    with (
        dask_processes.worker(place, tmp_path, "one", *gpu),
        dask_processes.worker(place, tmp_path, "another", *gpu),
    ):
        on_two = meet()

    assert on_one == [False, False]
    assert any(on_two)  # one that saw the other is enough: both were at work then


def test_preprocessing_takes_the_gpu_where_nothing_else_is_there(place, tmp_path):
    with (
        dask_processes.worker(place, tmp_path, "with-gpu", "--resources", "GPU=1"),
        open_cluster(ClusterConfig(place=place, gpus=1), "preprocess") as cluster,
    ):
        assert workers_of(cluster.address, 1, items=2) == {"with-gpu"}


def test_a_worker_with_another_version_gets_no_work_and_is_named(place, tmp_path, caplog):
    others = other_versions(tmp_path / "others", numpy="1.0.1", zarr="2.0.2")

    with (
        dask_processes.worker(place, tmp_path, "same"),
        dask_processes.worker(place, tmp_path, "other", settings=others),
        caplog.at_level(logging.WARNING, "lidcflow"),
        open_cluster(ClusterConfig(place=place), "preprocess") as cluster,
    ):
        worked = workers_of(cluster.address, 2)

    (warning,) = caplog.messages
    assert (worked, cluster.workers) == ({"same"}, 1)
    assert warning.startswith("worker other at tcp://127.0.0.1:")
    assert "got numpy 1.0.1 (the flow has " in warning
    assert "zarr 2.0.2 (the flow has 3." in warning
    assert warning.endswith("it gets no work of this run")


def test_nothing_runs_where_no_worker_has_the_flows_packages(place, tmp_path):
    others = other_versions(tmp_path / "others", lidcflow="0.0.1")
    broken = tmp_path / "others" / "tasks"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('of another version')")

    with (
        dask_processes.worker(place, tmp_path, "older", settings=others),
        pytest.raises(ResourceError, match=r"worker older at .* lidcflow 0\.0\.1 \(the flow has .* same lock file"),
        open_cluster(ClusterConfig(place=place), "preprocess"),
    ):
        pass


def test_workers_that_join_later_are_asked_too_and_what_waits_goes_to_the_good_ones(place, tmp_path, caplog):
    others = other_versions(tmp_path / "others", pydicom="1.0.0")
    outcomes = []

    with ExitStack() as stack:
        first = stack.enter_context(dask_processes.worker(place, tmp_path, "first", "--no-nanny"))
        stack.enter_context(caplog.at_level(logging.WARNING, "lidcflow"))
        cluster = stack.enter_context(open_cluster(ClusterConfig(place=place), "preprocess"))
        work = f"__import__('time').sleep(0.5) or {NAME}"
        in_this_context = contextvars.copy_context()  # what work asks for is kept there
        worked = partial(in_this_context.run, lambda: outcomes.extend(map_series(cluster.address, eval, [work] * 12)))
        running = threading.Thread(target=worked)
        running.start()
        time.sleep(2)
        first.kill()
        stack.enter_context(dask_processes.worker(place, tmp_path, "older", settings=others))
        time.sleep(2)
        stack.enter_context(dask_processes.worker(place, tmp_path, "second"))
        running.join(60)

    names = [outcome for _, outcome in outcomes]
    assert len(names) == 12
    assert set(names) == {"first", "second"}
    assert [message for message in caplog.messages if "worker older" in message and "pydicom 1.0.0" in message]


def test_a_worker_without_the_store_gets_no_work(place, tmp_path, stored, caplog):
    hidden = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs none "{stored.workspace}" && exec "$@"', "sh"]

    with (
        dask_processes.worker(place, tmp_path, "reaches"),
        dask_processes.worker(place, tmp_path, "cut-off", within=hidden),
        caplog.at_level(logging.WARNING, "lidcflow"),
        cluster_for(at(stored, place), "preprocess", training_store(stored)) as cluster,
    ):
        assert workers_of(cluster.address, 2) == {"reaches"}

    (warning,) = caplog.messages
    assert f"must reach the store {stored.store_root}, got No such file or directory there; mount" in warning
    assert "worker cut-off" in warning


def test_a_store_of_the_same_name_on_another_disk_is_told_apart(place, tmp_path, stored):
    elsewhere = tmp_path / "elsewhere"
    other = stored.model_copy(update={"workspace": elsewhere})
    VolumeStore.of(other, create=True)
    os.utime(elsewhere / "store" / "lidcflow.json", (1, 1))
    other_disk = ["unshare", "-m", "sh", "-c", f'mount --bind "{elsewhere}" "{stored.workspace}" && exec "$@"', "sh"]

    with (
        dask_processes.worker(place, tmp_path, "other-disk", within=other_disk),
        pytest.raises(ResourceError, match=r"worker other-disk at .* got another store at that path"),
        cluster_for(at(stored, place), "train", training_store(stored)),
    ):
        pass


def test_a_scheduler_that_lets_a_series_end_many_workers_is_warned_of(tmp_path, caplog):
    with (
        dask_processes.scheduler(tmp_path) as careless,
        dask_processes.worker(careless, tmp_path, "one"),
        caplog.at_level(logging.WARNING, "lidcflow"),
        open_cluster(ClusterConfig(place=careless), "preprocess"),
    ):
        pass

    (warning,) = caplog.messages
    assert "allowed-failures should be 1 or 2, got 3" in warning
    assert "costs 8 times cluster.series_within_s" in warning


def test_a_cluster_that_lidcflow_keeps_for_reading_is_warned_of_by_a_training_alone(caplog):
    with (
        open_cluster(ClusterConfig(workers=1), "read") as kept,
        caplog.at_level(logging.WARNING, "lidcflow"),
    ):
        with open_cluster(ClusterConfig(place=kept.address), "read"):
            quiet = list(caplog.messages)
        with open_cluster(ClusterConfig(place=kept.address), "train"):
            pass

    assert quiet == []
    (warning,) = caplog.messages
    assert "allowed-failures should be 1 or 2, got 0" in warning


def test_a_class_starts_its_workers_and_ends_them():
    arguments = {"n_workers": 0, "threads_per_worker": 1, "dashboard_address": None}
    config = ClusterConfig(place="distributed.LocalCluster", arguments=arguments, train={"workers": 2})

    with open_cluster(config, "train") as cluster:
        with Client(cluster.address) as client:
            client.wait_for_workers(2, timeout=60)
        workers = workers_of(cluster.address, 2)

    assert len(workers) == 2
    with pytest.raises(OSError, match="Timed out"):
        Client(cluster.address, timeout=1)


def test_a_class_that_starts_no_worker_by_itself_must_be_asked_for_some():
    arguments = {"n_workers": 0, "threads_per_worker": 1, "dashboard_address": None}

    with (
        pytest.raises(
            ConfigError, match=r"starts none by itself; set cluster\.workers or cluster\.preprocess\.workers"
        ),
        open_cluster(ClusterConfig(place="distributed.LocalCluster", arguments=arguments), "preprocess"),
    ):
        pass


def test_the_preprocessing_pool_grows_with_the_work_and_shrinks_after_it():
    arguments = {"n_workers": 0, "threads_per_worker": 1, "dashboard_address": None}
    config = ClusterConfig(place="distributed.LocalCluster", arguments=arguments, preprocess={"maximum": 3})
    work = f"__import__('time').sleep(1.5) or {NAME}"

    with open_cluster(config, "preprocess") as cluster:
        at_first = cluster.workers
        workers = {name for _, name in map_series(cluster.address, eval, [work] * 40)}

    assert at_first == 1
    assert len(workers) == 3


@contextmanager
def encrypted_place(folder):
    """Yield a scheduler and a worker that take encrypted connections alone, with the files of their certificates."""
    files = certificates(folder)
    options = [part for name in ("ca-file", "cert", "key") for part in (f"--tls-{name}", str(files[name]))]
    with (
        dask_processes.scheduler(folder, "--protocol", "tls", *options, settings=QUIET) as address,
        dask_processes.worker(address, folder, "encrypted", *options),
    ):
        yield address, {"ca": files["ca-file"], "certificate": files["cert"], "key": files["key"]}


def certificates(folder):
    """Make an authority and one certificate that it signed."""
    authority, authority_key = certificate("authority")
    own, own_key = certificate("lidcflow", issuer=(authority, authority_key))
    files = {name: folder / f"{name}.pem" for name in ("ca-file", "cert", "key")}
    files["ca-file"].write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    files["cert"].write_bytes(own.public_bytes(serialization.Encoding.PEM))
    files["key"].write_bytes(
        own_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files


def certificate(name, issuer=None):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signed_by, signed_with = (issuer[0].subject, issuer[1]) if issuer else (subject, key)
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signed_by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
    )
    return built.sign(signed_with, hashes.SHA256()), key


def test_work_is_sent_encrypted_and_a_plain_client_is_refused(tmp_path, prefect_server):
    @task
    def whose():
        return eval(NAME)

    @flow
    def learning():
        return whose.submit().result()

    with encrypted_place(tmp_path) as (address, tls):
        with open_cluster(ClusterConfig(place=address, tls=tls), "train") as cluster:
            mapped = workers_of(cluster.address, 1, items=2)
            submitted = learning.with_options(task_runner=task_runner(cluster.address))()
        with (
            pytest.raises(ResourceError, match="both sides must encrypt or neither"),
            open_cluster(ClusterConfig(place=address), "train"),
        ):
            pass
        with (
            pytest.raises(ResourceError, match="both sides must encrypt or neither"),
            open_cluster(ClusterConfig(place=address.replace("tls:", "tcp:"), tls=tls), "train"),
        ):
            pass
        with pytest.raises(OSError, match=r"Timed out|reset by peer"):
            Client(address.replace("tls:", "tcp:"), timeout=2)

    assert address.startswith("tls://")
    assert (mapped, submitted) == ({"encrypted"}, "encrypted")


@pytest.mark.parametrize("place", ["local", "distributed.LocalCluster"])
def test_clusters_that_are_started_here_encrypt_too(tmp_path, place):
    files = certificates(tmp_path)
    tls = {"ca": files["ca-file"], "certificate": files["cert"], "key": files["key"]}
    arguments = {} if place == "local" else {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    config = ClusterConfig(place=place, arguments=arguments, workers=1, tls=tls)

    with open_cluster(config, "preprocess") as cluster:
        assert cluster.address.startswith("tls://")
        assert dict(map_series(cluster.address, eval, ["1 + 1"])) == {"1 + 1": 2}


def test_a_missing_certificate_is_named(tmp_path):
    tls = {"ca": tmp_path / "ca.pem", "certificate": tmp_path / "a.pem", "key": tmp_path / "b.pem"}

    with (
        pytest.raises(ConfigError, match=r"cluster\.tls\.ca: must be a PEM file, got none at"),
        open_cluster(ClusterConfig(tls=tls), "preprocess"),
    ):
        pass
