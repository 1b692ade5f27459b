"""Whatever a user calls a model becomes an ONNX model that computes the same."""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import timm
import torch

from spikec.canonical import canonicalise
from spikec.errors import ModelError, UsageError
from spikec.frontends import load_model
from tests.models import tiny

FACTORY = """
import torch

from tests.models import tiny


class WithExamples(torch.nn.Linear):
    example_inputs = torch.ones(1, 6)


def proto():
    return tiny.mlp()


def pair():
    return torch.nn.Linear(6, 3), torch.ones(2, 6)


def attribute():
    return WithExamples(6, 3)
"""
TIMM = "timm:test_resnet?num_classes=4&in_chans=1&input=1x32x32"


class Sum(torch.nn.Module):
    """Two inputs, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(6, 3)
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = torch.relu(left + right)
        return self.layer(self.drop(hidden)), hidden


def _run(model: onnx.ModelProto, *inputs: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {info.name: array for info, array in zip(session.get_inputs(), inputs, strict=True)})


def _dims(info: onnx.ValueInfoProto) -> list[int | None]:
    dims = info.type.tensor_type.shape.dim
    return [dim.dim_value if dim.HasField("dim_value") else None for dim in dims]


@pytest.mark.parametrize("kind", [str, Path])
def test_a_file(tmp_path: Path, kind: type) -> None:
    path = tiny.save(tiny.mlp(), tmp_path / "mlp.onnx")
    source = load_model(kind(path))
    assert (source.name, source.kind, source.warnings) == ("mlp.onnx", "onnx", [])
    assert source.model == tiny.mlp()
    assert source.describe() == {"name": "mlp.onnx", "kind": "onnx", "sha256": source.sha256}


@pytest.mark.parametrize("location", ["weights.bin", "sub/weights.bin"])
def test_external_data_beside_the_model(tmp_path: Path, location: str) -> None:
    (tmp_path / "sub").mkdir()
    path = tiny.save_external(tiny.mlp(), tmp_path / "mlp.onnx", location)
    source = load_model(path)
    x = tiny.samples()["x"]
    np.testing.assert_array_equal(_run(source.model, x)[0], _run(tiny.mlp(), x)[0])
    with (tmp_path / location).open("r+b") as file:  # other weights, same file name: another model
        file.write(np.float32(7).tobytes())
    assert load_model(path).sha256 != source.sha256


def test_a_model_in_memory() -> None:
    source = load_model(tiny.cnn())
    assert (source.name, source.kind) == ("cnn", "onnx")
    assert source.sha256 == load_model(tiny.cnn()).sha256 != load_model(tiny.mlp()).sha256


def test_models_in_memory_are_checked(tmp_path: Path) -> None:
    path = tiny.save_external(tiny.mlp(), tmp_path / "mlp.onnx")
    with pytest.raises(ModelError, match="'w1' are in another file that was not read"):
        load_model(onnx.load(path, load_external_data=False))
    with pytest.raises(ModelError, match="no graph"):
        load_model(onnx.ModelProto())
    with pytest.raises(ModelError, match="nowhere"):
        load_model(tiny.between("[lost] h = Add(a, nowhere)"))


@pytest.mark.parametrize("model", [42, None, b"bytes", ["mlp.onnx"]])
def test_what_is_no_model(model: object) -> None:
    with pytest.raises(UsageError, match=f"cannot be a {type(model).__name__}"):
        load_model(model)


def test_a_torch_module_with_two_inputs_and_two_outputs() -> None:
    module = Sum()
    module.train()
    source = load_model(module, (torch.ones(1, 6), torch.ones(1, 6)))
    assert module.training, "the caller's module is left as it was"
    assert (source.name, source.kind) == ("Sum", "torch")
    assert [info.name for info in source.model.graph.input] == ["input0", "input1"]
    assert [info.name for info in source.model.graph.output] == ["output0", "output1"]
    left, right = tiny.samples(5)["x"], tiny.samples(5, seed=1)["x"]  # not the batch of the examples
    with torch.no_grad():
        expected = module.eval()(torch.from_numpy(left), torch.from_numpy(right))
    for value, wanted in zip(_run(source.model, left, right), expected, strict=True):
        np.testing.assert_allclose(value, wanted.numpy(), rtol=1e-5, atol=1e-6)


class _ClampedTwice(torch.nn.Module):
    """Its limits are tensors, which the optimiser of torch 2.14's exporter forgets to store."""

    def __init__(self) -> None:
        super().__init__()
        for name, value in {"low": -0.5, "high": 0.5, "lower": -1.0, "higher": 1.0}.items():
            self.register_buffer(name, torch.tensor(value))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        doubled = 2 * torch.relu(x)
        return torch.clamp(doubled, self.low, self.high) + torch.clamp(doubled, self.lower, self.higher)


def test_a_torch_module_whose_limits_the_exporter_loses() -> None:
    module, x = _ClampedTwice(), torch.linspace(-1, 1, 6).reshape(2, 3)
    model = load_model(module, x).model
    onnx.checker.check_model(model)
    for made in (model, canonicalise(model)):
        (found,) = _run(made, x.numpy())
        np.testing.assert_allclose(found, module(x).numpy(), rtol=1e-6)


def test_a_torch_module_needs_examples() -> None:
    with pytest.raises(UsageError, match="example_inputs"):
        load_model(Sum())


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "makers.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))  # the front end adds the current folder
    monkeypatch.delitem(sys.modules, "makers", raising=False)


@pytest.mark.parametrize("name", ["proto", "pair", "attribute"])
def test_factories(factories: None, name: str) -> None:
    source = load_model(f"makers:{name}")
    assert (source.name, source.kind) == (f"makers:{name}", "factory")
    assert _dims(source.model.graph.input[0]) == [None, 6]
    assert _run(source.model, tiny.samples(5)["x"])[0].shape == (5, 3)


def test_a_file_goes_before_a_factory_of_that_name(factories: None, tmp_path: Path) -> None:
    tiny.save(tiny.cnn(), tmp_path / "makers:proto")
    assert load_model("makers:proto").model == tiny.cnn()


def test_timm_with_options() -> None:
    source = load_model(f"{TIMM}&seed=3")
    assert source.kind == "timm" and "random weights" in source.warnings[0]
    assert _dims(source.model.graph.input[0]) == [None, 1, 32, 32]
    images = np.random.default_rng(0).standard_normal((3, 1, 32, 32)).astype(np.float32)
    torch.manual_seed(3)
    model = timm.create_model("test_resnet", num_classes=4, in_chans=1).eval()
    with torch.no_grad():
        expected = model(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(_run(source.model, images)[0], expected, rtol=1e-3, atol=1e-4)


def test_timm_with_a_checkpoint(tmp_path: Path) -> None:
    model = timm.create_model("test_resnet", num_classes=4, in_chans=1).eval()
    torch.save(model.state_dict(), tmp_path / "trained.pth")
    state = torch.get_rng_state()
    source = load_model(f"{TIMM}&checkpoint_path={tmp_path}/trained.pth")
    assert source.warnings == []
    assert torch.equal(torch.get_rng_state(), state), "the caller's random numbers go on undisturbed"
    images = np.ones((2, 1, 32, 32), np.float32)
    with torch.no_grad():
        expected = model(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(_run(source.model, images)[0], expected, rtol=1e-3, atol=1e-4)


def test_timm_takes_the_size_from_the_model_and_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []

    def note(module: torch.nn.Module, examples: torch.Tensor, *names: str) -> None:
        shapes.append(tuple(examples.shape))
        raise ModelError("enough")

    monkeypatch.setattr("spikec.frontends.timm_model.export_module", note)
    for options in ("", "?in_chans=2", "?img_size=32", "?img_size=(32,48)&in_chans=1", "?input=3x16x16"):
        with pytest.raises(ModelError, match="enough"):
            load_model(f"timm:test_vit{options}")
    assert shapes == [(2, 3, 160, 160), (2, 2, 160, 160), (2, 3, 32, 32), (2, 1, 32, 48), (2, 3, 16, 16)]
