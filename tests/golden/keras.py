"""Small Keras models with Keras's own predictions, for the importer.

keras==3.15.1 jax==0.10.2 h5py==3.16.0 numpy==2.4.6, Python 3.11; run here: python keras.py (writes keras_prep.keras, keras_prep.h5,
keras_slash.h5, keras.npz).

`prep`: a model that scales its own input (Rescaling, a Normalization of given statistics, one adapted to data), two
convolutions whose names are those that the groups of their classes have the other way round, a depthwise convolution (whose
kernel version 3 calls `kernel`), dropout, and the state of an optimiser that was used.
`slash`: the layout of version 2, where layers may be called `block` and `block/conv`, written with h5py from the weights of a
version 3 model that predicts the expected values.
"""
import json
import os
os.environ["KERAS_BACKEND"] = "jax"
import h5py
import keras
import numpy as np
from keras import layers as L

rng = np.random.default_rng(20261128)


def randomised(model):
    """Weights of every layer drawn anew; variances stay positive. (Optimiser and statistics untouched.)"""
    for layer in model.layers:
        if not isinstance(layer, L.Normalization):
            statistics = isinstance(layer, L.BatchNormalization)
            draw = lambda shape: rng.uniform(0.5, 1.5, shape) if statistics else rng.normal(0, 0.3, shape)
            layer.set_weights([draw(w.shape).astype("float32") for w in layer.get_weights()])
    return model


def prep():
    x = i = keras.Input((9, 9, 3), name="images")
    x = L.Rescaling([1 / 127.5, 1 / 100, 1 / 150], offset=-1, name="scaled")(x)
    x = L.Normalization(mean=[0.1, -0.2, 0.3], variance=[0.5, 0.25, 2.0], name="given")(x)
    x = L.Conv2D(4, 3, activation="relu", name="conv2d_1")(x)
    x = L.Conv2D(4, 1, use_bias=False, name="conv2d")(x)
    adapted = L.Normalization(name="adapted")
    adapted.adapt(rng.normal(0.3, 2.0, (64, 7, 7, 4)).astype("float32"))
    x = adapted(x)
    x = L.BatchNormalization(scale=False, name="bn")(x)
    x = L.DepthwiseConv2D(3, depth_multiplier=2, padding="same", strides=2, name="deep")(x)
    x = L.Dropout(0.5, name="drop")(x)
    x = L.SeparableConv2D(3, 3, name="separable")(x)
    x = L.Flatten(name="flat")(x)
    model = keras.Model(i, L.Dense(5, name="out")(x), name="prep")
    model.compile(keras.optimizers.SGD(momentum=0.9), "mse")
    model.fit(rng.uniform(0, 255, (2, 9, 9, 3)), np.zeros((2, 5)), verbose=0)
    return randomised(model)


def slash():
    """As version 3 builds it; `__` stands for the `/` of the names."""
    x = i = keras.Input((9, 9, 3), name="images")
    x = L.Conv2D(3, 3, name="block")(x)
    x = L.BatchNormalization(name="block__bn")(x)
    x = L.Conv2D(3, 3, name="block__conv")(x)
    return randomised(keras.Model(i, L.Flatten(name="flat")(x), name="slash"))


def write_version_2(model, path):
    """`model_weights/<layer>/<weight name>`, weight names beginning with the layer's name; what `/` does to the groups is the point."""
    config = json.loads(model.to_json().replace("block__", "block/"))
    with h5py.File(path, "w") as f:
        f.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": config["config"]})
        f.attrs["keras_version"] = "2.15.0"
        root = f.create_group("model_weights")
        root.attrs["layer_names"] = [layer.name.replace("__", "/").encode() for layer in model.layers]
        for layer in model.layers:
            name = layer.name.replace("__", "/")
            group = root.require_group(name)
            names = [f"{name}/{w.name}:0" for w in layer.weights]
            group.attrs["weight_names"] = [n.encode() for n in names]
            for n, w in zip(names, layer.get_weights()):
                group.create_dataset(n, data=w)


images = rng.integers(0, 256, (2, 9, 9, 3), dtype=np.uint8)
first, second = prep(), slash()
first.save("keras_prep.keras")
first.save("keras_prep.h5")
write_version_2(second, "keras_slash.h5")
np.savez_compressed(
    "keras.npz",
    images=images,
    prep=np.asarray(first.predict(images.astype("float32"), verbose=0), np.float32),
    slash=np.asarray(second.predict(images.astype("float32") / 255, verbose=0), np.float32),
)
