"""Where samples may come from, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikec.calibration import Dataset, InputSpec, from_source, load_npz, random_data, signature
from spikec.errors import ModelError, UsageError
from tests.models import tiny

X, LABELS = tiny.samples(7)["x"], tiny.samples(7)["labels"]
Z = tiny.samples(7, seed=1)["x"]
ONE, TWO = signature(tiny.mlp()), signature(tiny.two_inputs())


def test_a_signature_has_names_types_and_shapes() -> None:
    assert signature(tiny.cnn()) == [InputSpec("image", np.dtype(np.float32), (None, 2, 6, 6))]
    assert [spec.describe() for spec in TWO] == ["float32 (N, 6)", "float32 (N, 6)"]
    assert [spec.batch for spec in (*ONE, InputSpec("x", np.dtype(np.float32), (4, None)))] == [None, 4]
    assert InputSpec("x", np.dtype(np.float32), None).describe() == "float32 of any shape"


def test_weights_listed_among_the_inputs_are_no_inputs() -> None:
    model = tiny.mlp()
    model.graph.input.add(name="w1").type.tensor_type.elem_type = 1
    assert [spec.name for spec in signature(model)] == ["x"]


def test_an_input_that_is_no_tensor_is_refused() -> None:
    model = tiny.mlp()
    model.graph.input[0].type.sequence_type.elem_type.tensor_type.elem_type = 1
    with pytest.raises(ModelError, match="'x' is of sequence_type"):
        signature(model)


SOURCES: dict[str, Callable[[], Any]] = {
    "array": lambda: X,
    "tensor": lambda: torch.from_numpy(X),
    "tensor with gradients": lambda: torch.from_numpy(X).requires_grad_(),
    "mapping": lambda: {"x": X},
    "mapping of tensors": lambda: {"x": torch.from_numpy(X)},
    "mapping with labels": lambda: {"x": X, "labels": LABELS},
    "list of arrays": lambda: [X[:3], X[3:]],
    "generator of arrays": lambda: (X[i : i + 2] for i in range(0, 7, 2)),
    "pairs": lambda: [(X[:3], LABELS[:3]), (X[3:], LABELS[3:])],
    "lists of tensors": lambda: [[torch.from_numpy(X[:3]), torch.from_numpy(LABELS[:3])], [torch.from_numpy(X[3:])]],
    "mappings": lambda: [{"x": X[:3]}, {"x": X[3:]}],
    "loader": lambda: torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(LABELS)), batch_size=2
    ),
    "dataset": lambda: Dataset({"x": X}, LABELS, "elsewhere"),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_samples_of_one_input(kind: str) -> None:
    data = from_source(SOURCES[kind](), ONE)
    np.testing.assert_array_equal(data.feeds["x"], X)
    assert list(data.feeds) == ["x"] and len(data) == 7
    assert (data.labels is not None) == (kind in ("mapping with labels", "dataset"))


@pytest.mark.parametrize(
    "source",
    [{"right": Z, "left": X}, [(X[:3], Z[:3], LABELS[:3]), (X[3:], Z[3:], LABELS[3:])], [{"left": X, "right": Z}]],
    ids=["mapping", "triples", "mappings"],
)
def test_samples_of_two_inputs(source: Any) -> None:
    data = from_source(source, TWO)
    np.testing.assert_array_equal(data.feeds["left"], X)
    np.testing.assert_array_equal(data.feeds["right"], Z)


@pytest.mark.parametrize("kind", [str, Path])
def test_samples_from_a_file(tmp_path: Path, kind: type) -> None:
    np.savez(tmp_path / "data.npz", x=X, labels=LABELS)
    data = from_source(kind(tmp_path / "data.npz"), ONE)
    np.testing.assert_array_equal(data.feeds["x"], X)
    np.testing.assert_array_equal(data.labels, LABELS)
    assert data.origin == f"{tmp_path}/data.npz"


def test_an_input_may_be_called_labels(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "data.npz", labels=X)
    data = load_npz(tmp_path / "data.npz", [InputSpec("labels", np.dtype(np.float32), (None, 6))])
    np.testing.assert_array_equal(data.feeds["labels"], X)
    assert data.labels is None


REFUSED: dict[str, tuple[Any, list[InputSpec], str]] = {
    "a number": (42, ONE, "cannot be a int"),
    "nothing": ([], ONE, "no batches"),
    "one array for two inputs": (X, TWO, "1 arrays, the model has 2 inputs"),
    "single arrays for two inputs": ([X], TWO, "1 arrays, the model has 2 inputs"),
    "numbers for batches": ([1, 2], ONE, "a batch cannot be a int"),
    "batches of other widths": ([X[:3], X[3:, :5]], ONE, "do not fit together"),
    "batches of other names": ([{"x": X}, {"y": X}], ONE, "one batch holds x, another y"),
    "ragged lists": ({"x": [[1.0, 2.0], [3.0]]}, ONE, "no array"),
    "a type that numpy lacks": (torch.ones(2, 6, dtype=torch.bfloat16), ONE, "no array"),
    "unknown name": ({"y": X}, ONE, "holds y; the model's inputs are x"),
    "float64": (X.astype(np.float64), ONE, "'x' is float64"),
    "wrong dimension": (X[:, :5], ONE, r"\(7, 5\).*\(N, 6\)"),
    "NaN": (np.full((2, 6), np.nan, np.float32), ONE, "12 values"),
    "no samples": (X[:0], ONE, "no samples"),
    "inputs of other lengths": ({"left": X, "right": Z[:2]}, TWO, r"\[2, 7\]"),
    "labels of other length": ({"x": X, "labels": LABELS[:2]}, ONE, "labels must be 7 integers"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_samples_that_do_not_fit(fault: str) -> None:
    source, specs, words = REFUSED[fault]
    with pytest.raises(UsageError, match=words):
        from_source(source, specs)


def test_random_samples_are_the_same_for_the_same_seed() -> None:
    first, again, other = (random_data(TWO, seed) for seed in (5, 5, 6))
    assert len(first) == 16 and "seed 5" in first.origin
    for name in ("left", "right"):
        assert first.feeds[name].dtype == np.float32 and first.feeds[name].shape == (16, 6)
        np.testing.assert_array_equal(first.feeds[name], again.feeds[name])
        assert not np.array_equal(first.feeds[name], other.feeds[name])
    assert not np.array_equal(first.feeds["left"], first.feeds["right"])
    assert len(random_data(ONE, 0, samples=3)) == 3


def test_random_samples_follow_the_model() -> None:
    half = InputSpec("x", np.dtype(np.float16), (5, 2, 3))
    assert random_data([half], 0).feeds["x"].shape == (5, 2, 3)
    assert random_data([half], 0).feeds["x"].dtype == np.float16


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (InputSpec("ids", np.dtype(np.int64), (None, 4)), "'ids' is int64"),
        (InputSpec("x", np.dtype(np.float32), (None, None)), r"unknown dimensions.*\(N, \?\)"),
        (InputSpec("x", np.dtype(np.float32), None), "unknown dimensions"),
    ],
    ids=["whole numbers", "open dimension", "open rank"],
)
def test_random_samples_cannot_stand_for_everything(spec: InputSpec, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        random_data([spec], 0)


@pytest.mark.parametrize(("size", "fixed", "lengths"), [(3, None, [3, 3, 1]), (32, None, [7]), (32, 2, [2, 2, 2])])
def test_batches(size: int, fixed: int | None, lengths: list[int]) -> None:
    batches = [batch["x"] for batch in Dataset({"x": X}).batches(size, fixed=fixed)]
    assert [len(batch) for batch in batches] == lengths
    np.testing.assert_array_equal(np.concatenate(batches), X[: sum(lengths)])
    np.testing.assert_array_equal(Dataset({"x": X}).head(2)["x"], X[:2])
