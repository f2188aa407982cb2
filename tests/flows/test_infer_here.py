"""One series is answered in this process as by the flow."""

import json
from contextlib import nullcontext

import numpy as np
import pytest

from flows.cli.direct import infer_directly
from flows.infer import infer
from flows.infer_here import infer_here
from lidcflow.config import ClusterConfig, Config
from lidcflow.errors import EmptySource
from lidcflow.report.page import DATA
from lidcflow.source.places import FolderSource, parse_source
from tests.trained import with_release


@pytest.fixture
def one(ct_series, tmp_path):
    """Return a folder with one usable series, and one that is too short."""
    ct_series(tmp_path / "one" / "good", patient_id="Lovelace")
    ct_series(tmp_path / "one" / "short", n=3)
    return tmp_path / "one"


def facts(report):
    """Return a report without what differs from run to run: its time, and where the pages are."""
    return json.loads(report.model_dump_json(exclude={"seconds": True, "readings": {"__all__": {"page"}}}))


def probabilities(reading):
    said = json.loads(reading.page.with_name(DATA).read_text())
    return [list(one.pop("probabilities").values()) for one in said["slices"]]


@pytest.mark.parametrize("release", ["embedded", "1"])
def test_one_series_is_answered_as_by_the_flow(config, one, tmp_path, release):
    settings = with_release(config, release)

    here = infer_here(FolderSource(str(one)), settings, tmp_path / "here")
    by_flow = infer(str(one), settings, tmp_path / "flow")

    assert facts(here) == facts(by_flow)
    assert [reading.verdict for reading in here.readings].count("not-evaluated") == 1
    for own, other in zip(here.readings, by_flow.readings, strict=True):
        if release == "embedded":
            assert own.page.read_bytes() == other.page.read_bytes()
            assert own.page.with_name(DATA).read_bytes() == other.page.with_name(DATA).read_bytes()
        else:
            np.testing.assert_allclose(probabilities(own), probabilities(other), atol=1e-4)


@pytest.mark.parametrize(("workers", "threads"), [(1, 1), (2, 2), (8, 2)])
def test_no_more_threads_compute_than_a_flow_would_have_processes(config, one, tmp_path, monkeypatch, workers, threads):
    counts = []
    monkeypatch.setattr("flows.infer_here.use_threads", lambda count: counts.append(count) or nullcontext())
    settings = with_release(config, "1").model_copy(update={"cluster": ClusterConfig(workers=workers)})

    infer_here(FolderSource(str(one)), settings, tmp_path / "out")

    assert counts == [threads]


def test_what_is_there_is_reused(config, one, tmp_path):
    settings = with_release(config, "1")
    infer_here(FolderSource(str(one)), settings, tmp_path / "out")

    again = infer_here(FolderSource(str(one)), settings, tmp_path / "out")

    assert again.reused == 2


def test_documents_are_written_beside(config, one, tmp_path):
    settings = with_release(config, "1")
    settings = settings.model_copy(
        update={"infer": settings.infer.model_copy(update={"documents": tmp_path / "documents"})}
    )

    report = infer_here(FolderSource(str(one)), settings, tmp_path / "out")

    assert report.undocumented == 0
    assert len(list((tmp_path / "documents").rglob("*.dcm"))) >= 2


def test_a_folder_of_several_series_is_left_to_a_flow(config, source, tmp_path):
    assert infer_here(FolderSource(str(source)), with_release(config, "1"), tmp_path / "out") is None
    assert not (tmp_path / "out").exists()


def test_a_folder_without_ct_is_an_error_as_in_the_flow(config, ct_series, tmp_path):
    ct_series(tmp_path / "mr" / "a", Modality="MR")

    with pytest.raises(EmptySource):
        infer_here(FolderSource(str(tmp_path / "mr")), with_release(config, "1"), tmp_path / "out")


@pytest.mark.parametrize(
    ("source", "changes", "variables"),
    [
        ("pacs:main", {}, {}),
        ("{folder}", {"cluster": ClusterConfig(place="tcp://127.0.0.1:1")}, {}),
        ("{folder}", {"cluster": ClusterConfig(gpus=1)}, {}),
        ("{folder}", {}, {"PREFECT_API_URL": "http://127.0.0.1:1/api"}),
        ("{folder}", {}, {"PREFECT_PROFILE": "clinic"}),
    ],
    ids=["a PACS", "a scheduler", "GPUs", "a named server", "a profile"],
)
def test_what_is_to_be_recorded_or_worked_on_elsewhere_goes_through_a_flow(
    tmp_path, monkeypatch, source, changes, variables
):
    monkeypatch.setattr("flows.cli.direct.attempted", lambda *_, **__: pytest.fail("a flow is needed"))
    monkeypatch.setattr("flows.cli.direct.can_fork", lambda: True)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    config = Config(workspace=tmp_path / "workspace").model_copy(update=changes)

    assert infer_directly(parse_source(source.format(folder=tmp_path)), config, None) is None
