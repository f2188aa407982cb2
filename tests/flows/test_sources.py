import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.preprocess import preprocess
from lidcflow.catalog.series import Catalog, State
from lidcflow.config import ClusterConfig, Config, PreprocessConfig
from lidcflow.errors import ResourceError
from lidcflow.objects import bucket_of
from lidcflow.store.volumes import VolumeStore
from tests.object_storage import every


@pytest.fixture
def config_of(tmp_path, address, objects):
    """Return the configuration of a workspace by its name."""
    return lambda name: Config(
        workspace=tmp_path / name,
        patient_key="public",
        preprocess=PreprocessConfig(slices=8, size=16),
        cluster=ClusterConfig(place=address),
        access=objects.access,
    )


@pytest.fixture
def source(tmp_path, ct_series):
    """A folder of two usable series."""
    for name in ("a", "b"):
        ct_series(tmp_path / "source" / name, patient_id=f"TINY-{name}", n=8)
    return tmp_path / "source"


@pytest.fixture
def lidcflow(tmp_path, monkeypatch, objects):
    """Run a command in a folder of its own that reaches the server of the tests."""
    monkeypatch.chdir(tmp_path)
    reached = f'endpoint = "{objects.endpoint}"\nregion = "us-east-1"\nanonymous = true\n'
    (tmp_path / "lidcflow.toml").write_text(
        f'workspace = "workspace"\n[cluster]\nworkers = 1\n[access.s3]\n{reached}[access.idc]\n{reached}'
    )
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


def content_of(config):
    """Read all files of a store, without the state of the source, which each storage tells in its own way."""
    root = Path(config.store_root)
    files = {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
    return {name: re.sub(rb'"source_states": \[[^]]*\],', b"", content) for name, content in files.items()}


@pytest.mark.usefixtures("prefect_server")
def test_a_bucket_ends_in_the_same_bytes_as_a_folder(source, upload, objects, config_of):
    url = upload(source)
    preprocess(str(source), config_of("folder"))

    with objects.faulty(every(5, 503)):
        report = preprocess(url, config_of("bucket"))

    assert (report.done, report.refused) == (2, [])
    assert content_of(config_of("bucket")) == content_of(config_of("folder"))


@pytest.mark.usefixtures("prefect_server")
def test_a_run_that_lost_its_storage_is_resumed(source, upload, objects, config_of):
    config = config_of("bucket")
    url = upload(source)
    preprocess(f"{url}/a", config)

    with objects.faulty(every(1, 403)), pytest.raises(ResourceError):
        preprocess(url, config)
    report = preprocess(url, config)

    assert (report.done, report.reused) == (1, 1)
    with Catalog(config.catalog) as catalog:
        assert catalog.counts() == {State.COMMITTED: 2}


@pytest.mark.usefixtures("prefect_server")
def test_an_object_that_is_gone_since_the_index_refuses_its_series_alone(
    source,
    upload,
    objects,
    config_of,
    monkeypatch,
):
    url = upload(source)
    monkeypatch.setattr(
        "flows.missing.preprocess_series_in_batches", after(lambda: lose(objects, "archive/a/000004.dcm"))
    )

    report = preprocess(url, config_of("bucket"))

    assert (report.done, [refused.reason for refused in report.refused]) == (1, ["unreadable"])


def after(happening):
    """Make something happen between the index and the volumes."""
    from flows.missing import preprocess_series_in_batches

    def delayed(*arguments):
        happening()
        return preprocess_series_in_batches(*arguments)

    return delayed


def lose(objects, key):
    bucket_of("s3://bucket", objects.access).delete([key])


@pytest.mark.usefixtures("prefect_server")
def test_the_terms_of_the_public_archive_stay_with_the_volume(source, archive, config_of):
    archive(source / "a")
    config = config_of("archive")

    report = preprocess("idc:tiny_ct", config)

    store = VolumeStore.of(config)
    (uid,) = store.series_uids()
    terms = {"collection": "tiny_ct", "licence": "CC BY 3.0", "doi": "10.7937/tiny"}
    assert store.record(uid).attribution == terms
    assert [collection.line for collection in report.collections] == [
        "tiny_ct: 1 series, 8 files, 0.0 GB, CC BY 3.0, https://doi.org/10.7937/tiny"
    ]


def test_index_of_the_public_archive_shows_its_terms_and_fills_the_catalog(
    source,
    archive,
    lidcflow,
    tmp_path,
):
    archive(source / "a")

    done = lidcflow("index", "idc:tiny_ct", "--json")

    assert done.exit_code == 0
    assert json.loads(done.stdout)["collections"][0]["attribution"]["licence"] == "CC BY 3.0"
    with Catalog(f"sqlite:///{tmp_path}/workspace/catalog.db") as catalog:
        assert catalog.counts() == {State.USABLE: 1}


def test_a_plan_needs_no_network(source, archive, lidcflow, objects):
    archive(source / "a")
    objects.requests.clear()

    done = lidcflow("index", "idc:tiny_ct", "--plan")

    assert done.stdout.startswith("tiny_ct: 1 series, 8 files")
    assert objects.requests == []
    assert lidcflow("index", "s3://bucket", "--plan").exit_code == 2


def test_what_may_hide_images_ends_in_exit_code_3_and_is_told_without_its_name(source, lidcflow):
    (source / "Lovelace.zip").write_bytes(b"PK\x03\x04")

    done = lidcflow("index", source)

    assert done.exit_code == 3
    assert "1 archives (unpack them" in done.stdout
    assert "Lovelace" not in done.stdout


def test_a_list_with_a_line_that_names_nothing_ends_in_exit_code_3(source, lidcflow, tmp_path):
    (tmp_path / "list.txt").write_text("source\ngone\n")

    done = lidcflow("index", "list.txt")

    assert done.exit_code == 3
    assert "2 series, 2 usable" in done.stdout
    assert "lines of the list that name nothing: 2" in done.stdout


def test_download_keeps_the_files_and_says_whose_they_are(source, archive, lidcflow, tmp_path):
    archive(source / "a")

    first, again = lidcflow("download", "idc:tiny_ct", "out"), lidcflow("download", "idc:tiny_ct", "out", "--json")

    assert (first.exit_code, again.exit_code) == (0, 0)
    assert "8 files fetched" in first.stdout
    assert "CC BY 3.0, https://doi.org/10.7937/tiny" in first.stdout
    assert json.loads(again.stdout)["kept"] == 8
    assert lidcflow("index", "out").exit_code == 0


def test_a_download_that_lacks_a_file_ends_in_exit_code_3(source, upload, lidcflow, objects):
    url = upload(source)

    with objects.faulty(lambda environ: 403 if environ["PATH_INFO"].endswith("a/000002.dcm") else None):
        done = lidcflow("download", url, "out")

    assert done.exit_code == 3
    assert "15 files fetched" in done.stdout
    assert "1 failed" in done.stdout
