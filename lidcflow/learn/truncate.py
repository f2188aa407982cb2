"""Cut a backbone in two where one block ends: what stays frozen below, what may learn above.

Importing this module imports Keras.
"""

from lidcflow.learn.boundaries import BOUNDARIES
from lidcflow.learn.runtime import keras


def bottom_of(model: keras.Model, kind: str, block: str) -> keras.Model:
    """Return the part of a backbone below a block; it shares the weights.

    Parameters
    ----------
    model : keras.Model
        (n, size, size, 3) images -> (n, d) features.
    kind : "compact" or "resnet50"
        What it is.
    block : str
        First block that is left out.

    Returns
    -------
    keras.Model
        (n, size, size, 3) images -> (n, rows, columns, channels) maps of float32.
    """
    layer = BOUNDARIES[kind][block].layer
    maps = _resnet50_maps(model, layer) if kind == "resnet50" else model.get_layer(layer).output
    return keras.Model(model.input, _as_float32(maps), name=f"{model.name}_below_{block}")


def top_of(model: keras.Model, kind: str, block: str) -> keras.Model:
    """Return a trainable copy of a backbone from a block on; normalisation stays fixed.

    Parameters
    ----------
    model : keras.Model
        (n, size, size, 3) images -> (n, d) features.
    kind : "compact" or "resnet50"
        What it is.
    block : str
        First block of the part.

    Returns
    -------
    keras.Model
        (n, rows, columns, channels) maps -> (n, d) features; its weights are its own.
    """
    boundary = BOUNDARIES[kind][block]
    network = model.get_layer("resnet50") if kind == "resnet50" else model
    shared = keras.Model(network.get_layer(boundary.layer).output, network.output)
    copy = keras.models.clone_model(shared)
    copy.set_weights(shared.get_weights())
    maps = keras.Input(shared.input_shape[1:], name="maps")
    features = copy(maps)
    if kind == "resnet50":
        features = keras.layers.GlobalAveragePooling2D(dtype="float32", name="features")(features)
    top = keras.Model(maps, features, name=f"{kind}_from_{block}")
    top.trainable = True
    for layer in copy.layers:
        # Statistics of a few slices of one sector would be worse than those of the pretraining.
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    return top


def _resnet50_maps(model: keras.Model, layer: str) -> keras.KerasTensor:
    """Lay the lower part of the network that `model` holds over its images."""
    network = model.get_layer("resnet50")
    lower = keras.Model(network.input, network.get_layer(layer).output, name=network.name)
    return lower(keras.ops.flip(model.get_layer("centred").output, axis=-1))


def _as_float32(maps: keras.KerasTensor) -> keras.KerasTensor:
    return keras.layers.Activation("linear", dtype="float32", name="maps")(maps)
