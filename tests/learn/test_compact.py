"""The backbone that is shipped."""

import numpy as np

from lidcflow.learn.compact import compact_network, read_weights, write_weights


def test_the_compact_backbone_is_small():
    model = compact_network(128)

    assert model.count_params() < 3_000_000
    assert model.output_shape == (None, 384)


def test_weights_survive_writing_and_reading(tmp_path, images):
    model, copy = compact_network(32), compact_network(32)
    model.set_weights([np.float16(w + 0.01) for w in model.get_weights()])

    write_weights(model, tmp_path / "compact.npz")
    read_weights(copy, tmp_path / "compact.npz")

    np.testing.assert_array_equal(copy.predict_on_batch(images), model.predict_on_batch(images))


def test_the_same_weights_make_the_same_bytes(tmp_path):
    model = compact_network(32)

    write_weights(model, tmp_path / "a.npz")
    write_weights(model, tmp_path / "b.npz")

    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
