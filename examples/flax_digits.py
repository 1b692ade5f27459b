"""A convolutional network in JAX with Flax, exported by jax2onnx: ``python -m examples.flax_digits``.

    pip install 'spikec[frameworks]'

Its images have their channels last, its norms arrive in ONNX as means, squares and a division, its GELU as GELU.
"""

import logging
import sys

import jax
import numpy as np
import optax
from flax import nnx
from jax2onnx import to_onnx

from examples.frameworks import Digits, Trained, main

EPOCHS = 10
BATCH = 64
CLASSES = 10
SEED = 0


class Network(nnx.Module):
    """Two convolutions, each with layer norm and GELU, max pooling between them, and a mean over the places."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first, self.first_norm = nnx.Conv(1, 16, (3, 3), rngs=rngs), nnx.LayerNorm(16, rngs=rngs)
        self.second, self.second_norm = nnx.Conv(16, 48, (3, 3), rngs=rngs), nnx.LayerNorm(48, rngs=rngs)
        self.head = nnx.Linear(4 * 48, CLASSES, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Scores of the classes."""
        x = nnx.gelu(self.first_norm(self.first(x)))
        x = nnx.max_pool(x, window_shape=(2, 2), strides=(2, 2))
        x = nnx.gelu(self.second_norm(self.second(x)))
        x = nnx.avg_pool(x, window_shape=(2, 2), strides=(2, 2))
        return self.head(x.reshape(x.shape[0], -1))


def loss(network: Network, images: jax.Array, labels: jax.Array) -> jax.Array:
    """Cross entropy."""
    return optax.softmax_cross_entropy_with_integer_labels(network(images), labels).mean()


@nnx.jit
def step(network: Network, optimiser: nnx.Optimizer, images: jax.Array, labels: jax.Array) -> None:
    """One step of the optimiser."""
    optimiser.update(network, nnx.grad(loss)(network, images, labels))


def train(digits: Digits, epochs: int) -> Trained:
    """Train with AdamW and export with a dynamic batch."""
    network, generator = Network(nnx.Rngs(SEED)), np.random.default_rng(SEED)
    optimiser = nnx.Optimizer(network, optax.adamw(1e-2, weight_decay=0.05), wrt=nnx.Param)
    for _ in range(epochs):
        order = generator.permutation(len(digits.train))
        for chosen in order[: len(order) // BATCH * BATCH].reshape(-1, BATCH):  # whole batches: compiled once
            step(network, optimiser, digits.train[chosen], digits.train_labels[chosen])
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)  # its warnings are about the exporter, not about the network
    model = to_onnx(network, [("batch", 8, 8, 1)], model_name="flax_digits")
    return Trained(model, digits.train, digits.test, np.asarray(network(digits.test)).argmax(axis=1))


if __name__ == "__main__":
    sys.exit(main("Flax", train, EPOCHS))
