"""A convolutional network in Keras on TensorFlow, exported by tf2onnx: ``python -m examples.keras_digits``.

    pip install 'spikec[frameworks]'

Its images have their channels last and its file has opset 15: the exporter turns the images once, folds a part of the
batch norms, and reads shapes at run time.
"""

import os
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

# read when Keras and TensorFlow are imported: the backend, errors only, and the same rounding on every processor
os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0")

import keras
import onnx
from keras import layers

from examples.frameworks import Digits, Trained, main

EPOCHS = 15
BATCH = 32
CLASSES = 10
SEED = 0


def network() -> keras.Model:
    """Two convolutions, each with batch norm, ReLU and max pooling; a hidden layer; softmax."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            *_block(16),
            *_block(32),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def train(digits: Digits, epochs: int) -> Trained:
    """Train with Adam and export with a dynamic batch."""
    keras.utils.set_random_seed(SEED)
    model = network()
    model.compile(optimizer=keras.optimizers.Adam(2e-3), loss="sparse_categorical_crossentropy")
    model.fit(digits.train, digits.train_labels, batch_size=BATCH, epochs=epochs, verbose=0)
    classes = model.predict(digits.test, verbose=0).argmax(axis=1)
    return Trained(export(model), digits.train, digits.test, classes)


def export(model: keras.Model) -> onnx.ModelProto:
    """The ONNX model; Keras writes it into a file."""
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the exporter's own, about numpy
        path = Path(folder) / "model.onnx"
        model.export(str(path), format="onnx", verbose=False)
        return onnx.load(path)


def _block(channels: int) -> list[keras.Layer]:
    convolution = layers.Conv2D(channels, 3, padding="same", use_bias=False)
    # a momentum for a few hundred steps: the default forgets too slowly for so short a training
    return [convolution, layers.BatchNormalization(momentum=0.9), layers.ReLU(), layers.MaxPooling2D()]


if __name__ == "__main__":
    sys.exit(main("Keras", train, EPOCHS))
