"""Which rows are a sample's, on hand-made tensors."""

import numpy as np
import pytest

from spikec.runtime import InputError
from spikec.runtime.sample_rows import find_sample_rows
from tests.models.graphs import normal

X = normal(2, 3, 4)


class Numpy:
    """A backend whose tensors are arrays."""

    def to_numpy(self, tensor):
        return tensor

    def to_device(self, array):
        return array


def rows_of(make):
    return find_sample_rows(lambda feeds: {"t": make(feeds["x"])}, {"x": X})


def kept(make, *samples):
    return rows_of(make).keep(Numpy(), {"t": make(X)}, np.isin([0, 1], samples)).get("t")


@pytest.mark.parametrize(
    "make",
    [lambda x: x, lambda x: x.transpose(1, 0, 2), lambda x: x.reshape(-1, 4), lambda x: x.sum(axis=(1, 2))],
    ids=["first", "second place", "rows", "one number each"],
)
@pytest.mark.parametrize("sample", [0, 1])
def test_what_is_kept_is_what_the_sample_has_alone(make, sample):
    np.testing.assert_array_equal(kept(make, sample), make(X[sample : sample + 1]))


def test_what_does_not_depend_on_samples_is_kept_as_it_is():
    constant = normal(2, 5)
    np.testing.assert_array_equal(kept(lambda x: constant, 0), constant)


def test_a_shape_is_computed_anew():
    rows = rows_of(lambda x: np.array(x.shape))
    assert rows.renewed == ("t",)
    assert rows.keep(Numpy(), {"t": np.array([2, 3, 4])}, np.array([True, False])) == {}


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.transpose(1, 0, 2).reshape(-1, 4),  # rows of one sample stand apart
        lambda x: x.mean(axis=0),
        lambda x: x - x.mean(axis=0),
        lambda x: x.reshape(len(x), -1) @ x.reshape(len(x), -1).T,
    ],
    ids=["rows in turn", "mean", "without the mean", "table"],
)
def test_mixed_samples_are_refused(make):
    with pytest.raises(InputError, match=r"'t' .* does not hold samples apart"):
        rows_of(make)
