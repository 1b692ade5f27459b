"""A pipeline of scikit-learn, exported by skl2onnx: ``python -m examples.sklearn_digits``.

    pip install 'spikec[frameworks]'

The pipeline scales its input itself, and its first output is the class: the scaler becomes two linear operators, the
choice of the class is the readout.
"""

import sys
import warnings

import numpy as np
from skl2onnx import to_onnx
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from examples.frameworks import Digits, Trained, main

EPOCHS = 60


def network(epochs: int) -> Pipeline:
    """Two hidden layers of ReLU behind a standard scaler."""
    return make_pipeline(StandardScaler(), MLPClassifier((128, 64), max_iter=epochs, alpha=1e-3, random_state=0))


def train(digits: Digits, epochs: int) -> Trained:
    """Fit the pipeline and export it; without ``zipmap`` the probabilities are a tensor."""
    samples, test = (part.reshape(len(part), -1) for part in (digits.train, digits.test))
    pipeline = network(epochs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is chosen, not found
        pipeline.fit(samples, digits.train_labels)
    model = to_onnx(pipeline, samples[:1], options={"zipmap": False})
    return Trained(model, samples, test, np.asarray(pipeline.predict(test)))


if __name__ == "__main__":
    sys.exit(main("scikit-learn", train, EPOCHS))
