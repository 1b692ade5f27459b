"""Reading the manifest: what has to be there, what may be there, and formats."""

import copy
import json

import hypothesis.strategies as st
import onnx
import pytest
from hypothesis import given, settings

from spikec.runtime import ArtifactError, read_manifest
from tests.models.forms import FORMS, STEPS, compiled

# the entries that readers count on, by the table that holds them; a manifest without one is damaged
TABLES = {
    "": ("form", "steps", "dynamics", "schedule", "inputs", "outputs", "held", "held_types", "tools", "warnings"),
    "options.": ("coding", "granularity", "dead_zone"),
    "readout.": ("nodes",),
    "states.0.": ("name", "kind", "initial", "next"),
    "neurons.1.": ("name", "function", "kind", "coding", "event", "range", "amplitude", "initial", "eta"),
    "neurons.2.": ("reach", "saturates"),
    "source.": ("name", "kind", "sha256"),
    "calibration.": ("origin", "samples"),
}
NEEDED = [f"{table}{key}" for table, keys in TABLES.items() for key in keys]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def holding(raw: object, number: str = "1") -> onnx.ModelProto:
    model = onnx.ModelProto()
    onnx.helper.set_model_props(model, {"spikec.format": number, "spikec": json.dumps(raw)})
    return model


def changed(path: str) -> tuple[dict, dict, str]:
    """A copy of the manifest of "deep", the table in it that holds ``path``, and the key there."""
    raw = table = copy.deepcopy(compiled("deep").manifest)
    *way, key = path.split(".")
    for part in way:
        table = table[int(part) if isinstance(table, list) else part]
    return raw, table, key


@pytest.mark.parametrize("form", FORMS)
def test_the_manifest_of_an_artifact(form):
    raw, found = compiled("deep", form).manifest, read_manifest(compiled("deep", form).model)
    assert (found.form, found.steps, found.inputs, found.outputs) == (form, STEPS, ("x",), ("y",))
    assert found.raw == raw
    assert [(state.name, state.next) for state in found.states] == [(s["name"], s["next"]) for s in raw["states"]]
    assert [state.final for state in found.states] == [f"{state['name']}/final" for state in raw["states"]]
    assert [neuron.function for neuron in found.neurons] == ["Relu", "Tanh", "Gelu"]
    assert found.readout_nodes == set(raw["readout"]["nodes"])
    assert dict(zip(found.held, found.held_types, strict=True)) == dict.fromkeys(raw["held"], onnx.TensorProto.FLOAT)


@pytest.mark.parametrize("path", NEEDED)
def test_what_is_missing_is_named(path):
    raw, table, key = changed(path)
    del table[key]
    words = rf"a.onnx has a damaged manifest \(manifest.{path} is missing\)"
    with pytest.raises(ArtifactError, match=words) as refused:
        read_manifest(holding(raw), "a.onnx")
    assert refused.value.exit_code == 3


@pytest.mark.parametrize("path", [path for path in NEEDED if path != "tools"])
def test_what_is_of_another_kind_is_named(path):
    raw, table, key = changed(path)
    table[key] = {}
    words = rf"\(manifest.{path} is (a dict|no list as it should be)\); compile it again"
    with pytest.raises(ArtifactError, match=words):
        read_manifest(holding(raw))


@settings(max_examples=60, deadline=None)
@given(path=st.sampled_from(NEEDED), value=JSON)
def test_whatever_is_written_into_it_is_read_or_refused(path, value):
    raw, table, key = changed(path)
    table[key] = value
    try:
        assert read_manifest(holding(raw)).raw == raw
    except ArtifactError as refused:
        assert "damaged manifest (" in str(refused)


@settings(max_examples=30, deadline=None)
@given(path=st.sampled_from(NEEDED), key=st.text(), value=JSON)
def test_more_than_is_needed_is_no_fault(path, key, value):
    """A later compiler may write more; the format number stays while older readers do not misread it."""
    raw, table, _ = changed(path)
    table[f"new {key}"] = value
    found = read_manifest(holding(raw))
    assert found.raw == raw
    assert [neuron.name for neuron in found.neurons] == [row["name"] for row in raw["neurons"]]


@settings(max_examples=30, deadline=None)
@given(number=st.integers(2, 10**9))
def test_newer_formats_are_refused_by_name(number):
    with pytest.raises(ArtifactError, match=f"a.onnx has format {number}, this runtime reads up to 1; install a newer"):
        read_manifest(holding({}, str(number)), "a.onnx")


@pytest.mark.parametrize("text", ["-1", "1.0", " 1", "one", "0x1", "١"])
def test_a_format_is_a_number(text):
    with pytest.raises(ArtifactError, match="which is not a number; compile it again"):
        read_manifest(holding({}, text))
