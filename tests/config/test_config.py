import pytest

from lidcflow.config import Config
from lidcflow.config.file import load_config
from lidcflow.errors import ConfigError


@pytest.mark.parametrize("place", ["store", "s3://bucket", "s3://bucket/a/b.c"])
def test_a_store_lies_in_the_workspace_or_in_a_bucket(place, tmp_path):
    config = Config(workspace=tmp_path, store=place)

    assert config.store_root == (place if "://" in place else str(tmp_path / place))


@pytest.mark.parametrize(
    "place", ["", "..", "a/b", "/data", "s3://", "s3://bucket/../x", "s3://bucket/", "idc://bucket"]
)
def test_a_store_lies_nowhere_else(place):
    with pytest.raises(ValueError, match="should match pattern"):
        Config(store=place)


@pytest.mark.parametrize(
    "settings",
    [
        {"inbox": ""},
        {"inbox": ("in", " ")},
        {"delivery": {"to": ("",)}},
        {"infer": {"documents": ""}},
        {"train": {"backbone_weights": ""}},
        {"labels": {"source": ("lidc", "")}},
    ],
)
def test_an_empty_text_is_no_place_and_never_the_current_folder(settings):
    with pytest.raises(ConfigError, match="must name a place, or be left out, got"):
        load_config(**settings)


@pytest.mark.parametrize(
    ("store", "inbox"),
    [("same", "same"), ("s3://b1/a", "s3://b1/a"), ("s3://b1", "s3://b1/a"), ("s3://b1/a/b", "s3://b1/a")],
)
def test_two_stores_lie_apart(store, inbox):
    with pytest.raises(ValueError, match="must lie apart"):
        Config(store=store, inbox_store=inbox)


def test_stores_whose_names_begin_alike_lie_apart():
    config = Config(store="s3://bucket/store", inbox_store="s3://bucket/store-inbox")

    assert (config.store_root, config.inbox_store_root) == ("s3://bucket/store", "s3://bucket/store-inbox")


def test_documents_that_name_patients_stay_out_of_the_workspace(tmp_path):
    with pytest.raises(ConfigError, match="must lie outside the workspace"):
        load_config(workspace=tmp_path, infer={"documents": tmp_path / "documents"})
    assert load_config(workspace=tmp_path / "work", infer={"documents": tmp_path}).infer.documents == tmp_path
