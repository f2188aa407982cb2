import hashlib
import os
import subprocess
import sys

import pytest

from lidcflow.config import TrainConfig
from lidcflow.errors import WeightsError
from lidcflow.learn.backbones import backbone_id, describe_backbone
from lidcflow.learn.compact import compact_network, write_weights
from lidcflow.learn.networks import load_backbone

SHIPPED = TrainConfig()


def test_the_shipped_weights_are_the_pinned_ones():
    backbone = describe_backbone(SHIPPED, 128)

    assert backbone.id == f"compact-{backbone.digest[:12]}-projections-128"
    assert backbone.kind == "compact"


def test_a_backbone_is_named_without_importing_keras():
    code = (
        "import sys; from lidcflow.config import TrainConfig; from lidcflow.learn.backbones import backbone_id; "
        "print(backbone_id(TrainConfig(), 128), 'keras' in sys.modules)"
    )

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed.split() == [backbone_id(SHIPPED, 128), "False"]


def test_size_and_input_are_part_of_the_name():
    names = {backbone_id(TrainConfig(input=input), size) for input in ("gray", "projections") for size in (64, 128)}

    assert len(names) == 4


def test_a_weight_file_with_another_digest_is_refused(tmp_path):
    file = tmp_path / "mine.npz"
    file.write_bytes(b"damaged")

    with pytest.raises(WeightsError, match=f"must be {'0' * 64}, got {hashlib.sha256(b'damaged').hexdigest()}"):
        backbone_id(TrainConfig(backbone_weights=file, backbone_sha256="0" * 64), 128)


def test_a_weight_file_that_changes_after_it_was_checked_is_not_loaded(tmp_path):
    """Its time and size stay: a process that runs for weeks has checked it once."""
    model = compact_network(32)
    write_weights(model, tmp_path / "own.npz")
    times = (tmp_path / "own.npz").stat()
    config = TrainConfig(backbone_weights=tmp_path / "own.npz")
    describe_backbone(config, 32)
    content = bytearray((tmp_path / "own.npz").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "own.npz").write_bytes(bytes(content))
    os.utime(tmp_path / "own.npz", ns=(times.st_atime_ns, times.st_mtime_ns))

    with pytest.raises(WeightsError, match=r"SHA-256 must be .*, as it was a moment ago, got"):
        load_backbone(config, 32)
