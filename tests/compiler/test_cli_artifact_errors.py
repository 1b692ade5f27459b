"""Files that are no artifact, or a damaged one, given to run and inspect; devices that are not there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from google.protobuf.message import DecodeError

READERS = ["inspect odd.onnx", "run odd.onnx -i samples.npz", "run odd.onnx -i samples.npz --backend onnxruntime"]
KEY = "spikec"


def _rewrite(change: Callable[[onnx.ModelProto, dict[str, str]], None]) -> None:
    """odd.onnx: the artifact after ``change`` of its graph or of its metadata."""
    model = onnx.load("artifact.onnx")
    properties = {entry.key: entry.value for entry in model.metadata_props}
    change(model, properties)
    onnx.helper.set_model_props(model, properties)
    Path("odd.onnx").write_bytes(model.SerializeToString())


def _edit(change: Callable[[dict[str, Any]], None]) -> None:
    def rewrite(model: onnx.ModelProto, properties: dict[str, str]) -> None:
        manifest = json.loads(properties[KEY])
        change(manifest)
        properties[KEY] = json.dumps(manifest)

    _rewrite(rewrite)


@pytest.mark.parametrize("command", ["inspect mlp.onnx", "run mlp.onnx -i samples.npz"])
def test_a_plain_model_is_no_artifact(refused: Callable[..., None], command: str) -> None:
    refused(command, 3, "mlp.onnx is not a spikec artifact", "spikec compile")


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize(("number", "words"), [("2", "newer spikec"), ("²", "not a number"), ("", "not a number")])
def test_formats_that_this_version_does_not_read(
    refused: Callable[..., None], folder: Path, command: str, number: str, words: str
) -> None:
    _rewrite(lambda _, properties: properties.update({f"{KEY}.format": number}))
    refused(command, 3, "odd.onnx", f"format {number}".rstrip() if number == "2" else "the format", words)


TEXTS = {
    "empty": "",
    "cut short": '{"form": "loop"',
    "a list": "[]",
    "a number": "7",
    "infinity": '{"steps": Infinity}',
}


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize("text", TEXTS)
def test_manifests_that_are_no_table(refused: Callable[..., None], folder: Path, command: str, text: str) -> None:
    _rewrite(lambda _, properties: properties.update({KEY: TEXTS[text]}))
    refused(command, 3, "odd.onnx has a damaged manifest", "compile it again")


EDITS = {
    "unknown form": (lambda m: m.update(form="spiral"), "'spiral'"),
    "steps missing": (lambda m: m.pop("steps"), "manifest.steps is missing"),
    "steps as text": (lambda m: m.update(steps="4"), "manifest.steps is a str"),
    "no steps": (lambda m: m.update(steps=0), "manifest.steps is 0"),
    "more steps than the schedule": (lambda m: m.update(steps=9), "'act'"),
    "no tools": (lambda m: m.pop("tools"), "manifest.tools is missing"),
    "neurons no list": (lambda m: m.update(neurons="act"), "manifest.neurons"),
    "neuron without range": (lambda m: m["neurons"][0].pop("range"), "manifest.neurons.0.range is missing"),
    "range of one number": (lambda m: m["neurons"][0].update(range=[1.0]), "manifest.neurons.0.range"),
    "scales of one number": (
        lambda m: m["readout"].update(corrections=[{"tensor": "y", "scale": [1.0], "offset": [0.0, 0.0]}]),
        "manifest.readout.corrections.0.scale",
    ),
    "corrections no list": (lambda m: m["readout"].update(corrections={}), "manifest.readout.corrections"),
    "state without name": (lambda m: m["states"][0].pop("name"), "manifest.states.0.name is missing"),
}


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize("fault", EDITS)
def test_damaged_manifests(refused: Callable[..., None], folder: Path, command: str, fault: str) -> None:
    change, words = EDITS[fault]
    _edit(change)
    refused(command, 3, "odd.onnx has a damaged manifest", words)


@pytest.mark.parametrize("command", READERS)
def test_artifacts_from_before_the_affine_readout(cli: Callable[..., Any], folder: Path, command: str) -> None:
    def older(manifest: dict[str, Any]) -> None:
        manifest["readout"].pop("corrections")
        manifest["options"].pop("readout")

    _edit(older)
    assert cli(command).code == 0


PROMISES = {
    "state": lambda m: m["states"][0].update(next="nowhere"),
    "initial value": lambda m: m["states"][0].update(initial="nowhere"),
    "held tensor": lambda m: m["held"].append("nowhere"),
    "event": lambda m: m["neurons"][0].update(event="nowhere"),
    "readout": lambda m: m["readout"]["nodes"].append("nowhere"),
    "output": lambda m: m["outputs"].append("nowhere"),
}


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
@pytest.mark.parametrize("promise", PROMISES)
def test_manifests_that_promise_what_the_graph_lacks(
    refused: Callable[..., None], folder: Path, promise: str, backend: str
) -> None:
    _edit(PROMISES[promise])
    refused(f"run odd.onnx -i samples.npz --backend {backend}", 3, "'nowhere'", "compile it again")


def _lose_the_loop(model: onnx.ModelProto) -> None:
    model.graph.node.remove(next(node for node in model.graph.node if node.op_type == "Loop"))


def _cut_a_weight(model: onnx.ModelProto) -> None:
    weight = next(tensor for tensor in model.graph.initializer if len(tensor.raw_data) > 16)
    weight.raw_data = weight.raw_data[:-4]


def _read_nothing(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "nowhere"


def _other_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "nowhere"


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
@pytest.mark.parametrize("damage", [_lose_the_loop, _cut_a_weight, _read_nothing, _other_input])
def test_damaged_graphs(
    refused: Callable[..., None], folder: Path, damage: Callable[[onnx.ModelProto], None], backend: str
) -> None:
    _rewrite(lambda model, _: damage(model))
    refused(f"run odd.onnx -i samples.npz --backend {backend}", 3, "artifact", "compile it again")


def test_no_cut_of_an_artifact_is_taken_for_one(cli: Callable[..., object], folder: Path) -> None:
    content = Path("artifact.onnx").read_bytes()
    lengths = [length for length in range(len(content)) if length % 100 == 0 or _parses(content[:length])]
    assert len(lengths) > len(content) // 100 + 3  # some ends are between two fields, where nothing looks cut
    for length in lengths:
        (folder / "cut.onnx").write_bytes(content[:length])
        for command in ("inspect cut.onnx", "run cut.onnx -i samples.npz"):
            assert cli(command).code == 3, length


def _parses(content: bytes) -> bool:
    try:
        onnx.load_model_from_string(content)
    except DecodeError:
        return False
    return True


def test_flipped_bits_are_never_an_internal_error(cli: Callable[..., object], folder: Path) -> None:
    """A bit inside a weight or a text cannot be told from another; what is noticed is told as damage."""
    content = Path("artifact.onnx").read_bytes()
    codes = set()
    for place in np.random.default_rng(0).integers(0, 8 * len(content), 100):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        Path("odd.onnx").write_bytes(damaged)
        outcome = cli("inspect odd.onnx")
        codes.add(outcome.code)
        if outcome.code:
            assert outcome.code == 3 and ("odd.onnx" in outcome.err or "artifact" in outcome.err), (place, outcome.err)
    assert codes == {0, 3}


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:7"])
def test_cuda_that_torch_does_not_have(
    refused: Callable[..., None], monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refused(f"run artifact.onnx -i samples.npz --device {device}", 5, "CUDA", "device cpu")


def test_a_second_gpu_where_there_is_one(refused: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    refused("run artifact.onnx -i samples.npz --device cuda:1", 5, "cuda:1")


def test_cuda_that_onnxruntime_does_not_have(refused: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    refused(
        "run artifact.onnx -i samples.npz --backend onnxruntime --device cuda", 5, "CUDAExecutionProvider", "device cpu"
    )


def test_cuda_that_onnxruntime_was_built_for_and_cannot_start(
    refused: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What onnxruntime's GPU build does on a machine without one: it offers the provider and then leaves it out."""
    session = onnxruntime.InferenceSession

    def without_cuda(model: bytes, options: object, providers: object, **settings: object) -> object:
        return session(model, options, ["CPUExecutionProvider"])

    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    monkeypatch.setattr(onnxruntime, "InferenceSession", without_cuda)
    refused("run artifact.onnx -i samples.npz --backend onnxruntime --device cuda", 5, "does not start", "device cpu")
