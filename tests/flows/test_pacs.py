"""Flows that read from a real PACS."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app, main
from flows.preprocess import preprocess
from lidcflow.catalog.series import Catalog, State
from lidcflow.config import ClusterConfig, Config, PreprocessConfig
from lidcflow.errors import PacsError
from lidcflow.pacs import retry
from tests.dicomweb_server import dicomweb_server, every

PLANTED = {"PatientName": "CANARY1^NAME", "PatientID": "CANARY2ID", "AccessionNumber": "CANARY3ACC"}


@pytest.fixture
def config_of(tmp_path, address):
    """Return the configuration of a workspace by its name, which reaches a PACS."""
    return lambda name, access: Config(
        workspace=tmp_path / name,
        patient_key="public",
        preprocess=PreprocessConfig(slices=8, size=16),
        cluster=ClusterConfig(place=address),
        access=access,
    )


@pytest.fixture
def source(tmp_path, ct_series):
    """A folder of two usable series of two studies."""
    for name in ("a", "b"):
        ct_series(tmp_path / "source" / name, n=8, **PLANTED)
    return tmp_path / "source"


def content_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def voxels_and_facts(store):
    """Read all files of a store, without the state of the source, which each source tells in its own way."""
    states = re.compile(rb'"source_states": \[[^]]*\],\s*')
    return {path: states.sub(b"", content) for path, content in content_of(store).items()}


@pytest.mark.usefixtures("prefect_server")
def test_a_pacs_ends_in_the_same_bytes_as_a_folder_and_leaves_no_name_behind(source, pacs, config_of, tmp_path):
    pacs.send(source)
    preprocess(str(source), config_of("folder", pacs.access))

    report = preprocess("pacs:main", config_of("pacs", pacs.access))
    again = preprocess(pacs.url, config_of("pacs", pacs.access))

    assert (report.done, report.refused, again.done, again.reused) == (2, [], 0, 2)
    assert voxels_and_facts(tmp_path / "pacs" / "store") == voxels_and_facts(tmp_path / "folder" / "store")
    left = content_of(tmp_path / "pacs")
    assert not [path for path, content in left.items() if b"CANARY" in content or b"pacs:" in content]


@pytest.mark.usefixtures("prefect_server")
def test_a_study_that_is_deleted_after_the_index_refuses_its_series_alone(source, pacs, config_of, monkeypatch):
    study = pacs.send(source)
    monkeypatch.setattr("flows.missing.preprocess_series_in_batches", after(lambda: pacs.delete("studies", study)))

    report = preprocess("pacs:main", config_of("pacs", pacs.access))

    assert (report.done, [refused.reason for refused in report.refused]) == (1, ["gone"])


@pytest.mark.usefixtures("prefect_server")
def test_a_run_that_lost_its_pacs_is_resumed(source, config_of, monkeypatch):
    with dicomweb_server() as tiny:
        monkeypatch.setattr(retry, "FIRST_DELAY_S", 0.01)
        config = config_of("pacs", tiny.access)
        tiny.hold(source)
        lost = []

        def fault(asked, answer):
            return every(1, 503)(asked, answer) if lost else answer

        with tiny.faulty(fault), monkeypatch.context() as patch:
            patch.setattr("flows.missing.preprocess_series_in_batches", after(lambda: lost.append(True)))
            with pytest.raises(PacsError, match="the PACS must answer, got status 503"):
                preprocess("pacs:tiny", config)
        report = preprocess("pacs:tiny", config)

    assert report.done + report.reused == 2
    assert report.refused == []
    with Catalog(config.catalog) as catalog:
        assert catalog.counts() == {State.COMMITTED: 2}


def after(happening):
    """Make something happen between the index and the volumes."""
    from flows.missing import preprocess_series_in_batches

    def delayed(*arguments):
        happening()
        return preprocess_series_in_batches(*arguments)

    return delayed


def test_the_command_lists_the_series_of_a_pacs(source, pacs, tmp_path, monkeypatch):
    pacs.send(source)
    monkeypatch.chdir(tmp_path)
    Path("lidcflow.toml").write_text(f'workspace = "workspace"\n[access.pacs.main]\nurl = "{pacs.url}"\n')

    done = CliRunner().invoke(app, ["index", "pacs:main"])

    assert done.exit_code == 0
    assert "2 series, 2 usable" in done.stdout
    assert "CANARY" not in done.output


def test_a_pacs_that_the_configuration_does_not_know_is_told_by_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["lidcflow", "index", "pacs:none"])

    with pytest.raises(SystemExit):
        main()

    assert "must be a name under [access.pacs] of the configuration" in capsys.readouterr().err
