"""Index and preprocess a folder in this process: the same verdicts, volumes and catalog as the commands'."""

import numpy as np
import pytest

import lidcflow as lf
from lidcflow.catalog.series import Catalog
from lidcflow.config import Config
from lidcflow.errors import ConfigError, EmptySource, ResourceError, SourceError

TOML = 'patient_key = "public"\n[preprocess]\nslices = 8\nsize = 16\n[nodules]\ncandidates = false\n'


@pytest.fixture
def config(tmp_path):
    """A configuration file of tiny volumes without candidates."""
    (tmp_path / "lidcflow.toml").write_text(TOML)
    return tmp_path / "lidcflow.toml"


@pytest.fixture
def source(tmp_path, ct_series):
    """A folder with a usable series, one of three images, and one of MR."""
    ct_series(tmp_path / "source" / "good", series_uid="1.2.3", patient_id="Lovelace")
    ct_series(tmp_path / "source" / "short", series_uid="1.2.4", n=3)
    ct_series(tmp_path / "source" / "mr", series_uid="1.2.5", Modality="MR")
    return tmp_path / "source"


def test_the_index_has_a_row_and_a_sentence_for_every_series(source):
    table = lf.index(source).set_index("series_instance_uid")

    assert table.usable.to_dict() == {"1.2.3": True, "1.2.4": False, "1.2.5": False}
    assert table.reason["1.2.4"] == "too-few-slices"
    assert table.loc["1.2.3", ["images", "slice_spacing_mm"]].tolist() == [10, 2.5]
    assert all(table.sentence)


def test_the_index_writes_nothing(source, tmp_path, monkeypatch):
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    lf.index(source)

    assert sorted(tmp_path.rglob("*")) == before


def test_usable_series_are_stored_and_the_others_named(source, tmp_path, config):
    made = lf.preprocess(source, tmp_path / "workspace", config=config)

    assert (made.series, made.store.series) == (["1.2.3"], ["1.2.3"])
    assert list(made.refused) == ["1.2.4"]
    assert made.store.volume("1.2.3").shape == (2, 8, 16, 16)


def test_a_second_run_keeps_the_volume(source, tmp_path, config):
    lf.preprocess(source, tmp_path / "workspace", config=config)
    before = lf.open_store(tmp_path / "workspace" / "store").volume("1.2.3")
    made = lf.preprocess(source, tmp_path / "workspace", config=config)

    assert made.series == ["1.2.3"]
    assert np.array_equal(made.store.volume("1.2.3"), before)


def test_the_catalog_is_the_one_of_the_commands(source, tmp_path, config):
    lf.preprocess(source, tmp_path / "workspace", config=config)

    with Catalog(Config(workspace=tmp_path / "workspace").catalog) as catalog:
        assert catalog.counts() == {"committed": 1, "refused": 1, "passed-over": 1}


def test_a_series_whose_pixels_cannot_be_read_costs_the_others_nothing(source, tmp_path, config, ct_series):
    folder = ct_series(tmp_path / "source" / "torn", series_uid="1.2.2", patient_id="Babbage")
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes()[:-100])

    made = lf.preprocess(source, tmp_path / "workspace", config=config)

    assert made.series == ["1.2.3"]
    assert "1.2.2" in made.refused


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SourceError, match="nothing-here"):
        lf.index(tmp_path / "nothing-here")


def test_a_folder_without_ct_is_named(tmp_path, ct_series, config):
    ct_series(tmp_path / "mr", Modality="MR")

    with pytest.raises(EmptySource, match="must hold CT series, got 1 MR series"):
        lf.preprocess(tmp_path / "mr", tmp_path / "workspace", config=config)


def test_an_empty_text_is_no_source_and_no_folder(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))

    for read in (lf.index, lf.preprocess, lf.read_study):
        with pytest.raises(SourceError, match="source: must name a folder, a list or an address, got an empty text"):
            read("")
    with pytest.raises(ConfigError, match="workspace: must name a folder, got ''"):
        lf.preprocess(source, "")
    with pytest.raises(ConfigError, match="folder: must name a folder"):
        lf.make_phantoms("")

    assert [file for file in sorted(tmp_path.rglob("*")) if file not in before] == []


def test_phantoms_into_a_file_are_refused_with_its_name(tmp_path):
    (tmp_path / "file").write_text("x")

    with pytest.raises(ResourceError, match="file: must be writable, got Not a directory"):
        lf.make_phantoms(tmp_path / "file", 1, max_slices=110)
