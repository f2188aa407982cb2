"""The one loader of networks: what it takes, and what it refuses before Keras makes anything of it."""

import io
import json
import zipfile

import h5py
import numpy as np
import pytest

from lidcflow.config import TrainConfig
from lidcflow.errors import ReleaseError
from lidcflow.learn.heads import build_head, calibrated_model
from lidcflow.learn.network_check import CONFIG, WEIGHTS
from lidcflow.learn.network_file import load_network
from lidcflow.learn.networks import load_top
from lidcflow.learn.runtime import keras
from lidcflow.stats.calibration import Calibration

FEATURES = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)


def head(kind="linear"):
    return calibrated_model(build_head(kind, FEATURES, seed=3), Calibration(2.0, (0.1, 0.2, 0.3)))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    file = tmp_path_factory.mktemp("saved") / "model.keras"
    head().save(file)
    return file


@pytest.fixture
def changed(saved, tmp_path):
    """Write the file anew with other members: ``changed(**{"config.json": bytes})``; None leaves one out."""

    def write(members=None, *, compress=zipfile.ZIP_STORED, more=()):
        file = tmp_path / "model.keras"
        with zipfile.ZipFile(saved) as old, zipfile.ZipFile(file, "w", compress) as new:
            for name in old.namelist():
                content = (members or {}).get(name, old.read(name))
                if content is not None:
                    new.writestr(name, content)
            for name, content in more:
                new.writestr(name, content)
        return file

    return write


def config_of(saved):
    with zipfile.ZipFile(saved) as archive:
        return json.loads(archive.read(CONFIG))


def with_layer(saved, **layer):
    """The description with another second layer."""
    config = config_of(saved)
    config["config"]["layers"][1] |= layer
    return {CONFIG: json.dumps(config).encode()}


def arrays(write):
    """The bytes of an HDF5 file that `write` fills."""
    made = io.BytesIO()
    with h5py.File(made, "w") as file:
        write(file)
    return made.getvalue()


def refused(file, match):
    with pytest.raises(ReleaseError, match=match) as raised:
        load_network(file, "model m")
    assert str(raised.value).startswith("model m: must be a network of plain layers in Keras' own format, got ")


@pytest.mark.parametrize("kind", ["linear", "mlp", "paper"])
def test_a_head_is_loaded_as_it_was(tmp_path, kind):
    model = head(kind)
    model.save(tmp_path / "model.keras")

    found = load_network(tmp_path / "model.keras", "m")

    np.testing.assert_array_equal(found.predict_on_batch(FEATURES), model.predict_on_batch(FEATURES))


@pytest.mark.parametrize("block", ["stage1", "stage2", "stage3"])
def test_a_finetuned_part_of_the_backbone_is_loaded_too(tmp_path, block):
    config = TrainConfig(mode="finetune", finetune={"from_block": block})
    model = load_top(config, 32)
    model.save(tmp_path / "model.keras")

    found = load_network(tmp_path / "model.keras", "m")

    for ours, theirs in zip(found.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "layer",
    [
        {"module": "keras.layers", "class_name": "Lambda", "config": {"function": {"class_name": "__lambda__"}}},
        {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "/tmp/x"}},
        {"module": "keras.layers", "class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}},
        {"module": "keras.utils", "class_name": "function", "config": "get_file", "registered_name": "function"},
        {"module": "builtins", "class_name": "Dense"},
        {"module": "os", "class_name": "function", "config": "system"},
        {"registered_name": "my_package>Own"},
        {"module": "keras.layers", "class_name": "Dense", "config": {"units": 10**9, "name": "big"}},
        {"module": "keras.layers", "class_name": "Dense", "config": {"units": 2.5, "name": "half"}},
    ],
    ids=lambda layer: str(layer.get("class_name") or layer["registered_name"]),
)
def test_a_layer_that_is_none_of_ours_is_refused_before_it_is_made(saved, changed, layer):
    refused(changed(with_layer(saved, **layer)), "class_name|registered_name|module|units")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"a":' * 2000 + b"1" + b"}" * 2000, b'{"class_name": "Functional"}'],
    ids=len,
)
def test_a_description_of_another_form_is_refused(changed, content):
    refused(changed({CONFIG: content}), "got .+")


@pytest.mark.parametrize(
    "more", [[("../outside", b"x")], [("/etc/x", b"x")], [("assets/vocabulary.txt", b"x")], [(CONFIG, b"{}")]], ids=str
)
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_members_that_a_network_does_not_have_are_refused(changed, tmp_path, more):
    refused(changed(more=more), "members")
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.keras"]


@pytest.mark.parametrize("member", [CONFIG, WEIGHTS, "metadata.json"])
def test_a_member_that_is_gone_is_missed(changed, member):
    refused(changed({member: None}), "members")


def test_what_unpacks_to_more_is_refused_unread(changed):
    refused(changed({WEIGHTS: bytes(2**26)}, compress=zipfile.ZIP_DEFLATED), "compressed members")


def test_arrays_must_lie_in_the_file_itself(changed, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.ones(3)

    def external_link(file):
        file["x"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/secret")

    def external_array(file):
        file.create_dataset("x", (3,), "f8", external=[(str(tmp_path / "raw"), 0, 24)])

    def virtual_array(file):
        layout = h5py.VirtualLayout((3,), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "secret", (3,))
        file.create_virtual_dataset("x", layout)

    def soft_link(file):
        file["x"] = h5py.SoftLink("/y")

    def bomb(file):
        file.create_dataset("x", (2**40,), "f4", chunks=(2**20,), compression="gzip")

    for write in (external_link, external_array, virtual_array, soft_link, bomb):
        refused(changed({WEIGHTS: arrays(write)}), "a link|lies in another file|bytes")


def test_other_formats_under_the_name_are_refused(saved, tmp_path):
    for name, write in {
        "text": lambda file: file.write_text("no network"),
        "empty": lambda file: file.write_bytes(b""),
        "legacy": lambda file: file.write_bytes(arrays(lambda h5: h5.attrs.update(model_config="{}"))),
        "folder": lambda file: file.mkdir(),
        "cut": lambda file: file.write_bytes(saved.read_bytes()[:-50]),
    }.items():
        file = tmp_path / name / "model.keras"
        file.parent.mkdir()
        write(file)
        refused(file, "got .+")


def test_a_flipped_byte_of_the_arrays_or_the_description_is_found(saved, tmp_path):
    content = saved.read_bytes()
    for at in (len(content) // 4, len(content) * 3 // 4):
        flipped = bytearray(content)
        flipped[at] ^= 0xFF
        (tmp_path / "model.keras").write_bytes(bytes(flipped))
        refused(tmp_path / "model.keras", "got .+")


def test_a_program_that_turned_safe_mode_off_gets_no_more_by_it(saved, changed):
    keras.config.enable_unsafe_deserialization()
    try:
        assert load_network(saved, "m").output_shape == (None, 3)
        refused(changed(with_layer(saved, class_name="Lambda", config={"function": {}})), "class_name 'Lambda'")
    finally:
        keras.src.backend.common.global_state.set_global_attribute("safe_mode_saving", None)
