"""Which line of a thresholds file counts, and what --update makes of the file."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikec.checking.threshold_keys import KEYS, check_setting
from spikec.checking.thresholds import Identity, Thresholds, read_lines, read_thresholds
from spikec.checking.verdict import tightest
from spikec.errors import UsageError
from tests.compiler.checking.conftest import value_of

HASH = "0123456789abcdef" * 4
IDENTITY = Identity(("m.onnx", "a.spk"), (HASH, "f" * 64))


def _read(text: str) -> Thresholds:
    return Thresholds(tuple(read_lines(tomllib.loads(text), "t.toml")), "t.toml")


def _found(text: str, output: str | None = "y", steps: int = 16) -> Any:
    line = _read(text).find("min_cosine", IDENTITY, output, steps)
    return None if line is None else line.value


# tables, from the least to the most specific; each holds its own number
LADDER = [
    "defaults",
    "steps.16",
    "outputs.y",
    'models."m.onnx"',
    'models."0123456789ab"',
    "outputs.y.steps.16",
    'models."m.onnx".steps.16',
    'models."m.onnx".outputs.y',
    'models."01234567".outputs.y',
    'models."a.spk".outputs.y.steps.16',
    'models."ffffffff".steps.16.outputs.y',
]


@pytest.mark.parametrize("top", range(len(LADDER)))
def test_the_most_specific_line_counts(top: int) -> None:
    tables = [f"[{table}]\nmin_cosine = 0.{10 + number}\n" for number, table in enumerate(LADDER[: top + 1])]
    assert _found("".join(tables)) == _found("".join(reversed(tables))) == float(f"0.{10 + top}")


def test_lines_for_others_do_not_count() -> None:
    others = [
        'models."n.onnx"',
        'models."0123456"',
        "outputs.z",
        "steps.8",
        'models."m.onnx".steps.8',
        'models."eeeeeeee"',
    ]
    assert _found("".join(f"[{table}]\nmin_cosine = 0.5\n" for table in others)) is None
    assert _found("[outputs.y]\nmin_cosine = 0.5", output=None) is None


def test_an_empty_table_says_nothing() -> None:
    assert _read("[defaults]\n[models]\n[outputs.y]").lines == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[models.m.models.n]\nmin_cosine = 0.5", "'models' stands within 'models'"),
        ("[outputs.y]\nmax_spike_rate = 0.5", "of the whole network"),
        ("[steps.8]\nkind = 'classes'", "put kind outside of steps"),
        ("[outputs.y]\nkind = 'score'", "choose one of classes, regression, embedding"),
        ("models = 3", "which is no table"),
        ("[outputs]\ny = 0.5", "which is no table"),
        ("[defaults.outputs.y]\nmin_cosine = 0.5", "there is no threshold 'outputs'"),
        ("[steps.0]\nmin_cosine = 0.5", "no number of steps"),
        ("[defaults]\nmin_cosine = true", "write a number"),
        ("[defaults]\nmin_cosine = nan", "write a number"),
        ("[defaults]\nmax_relative_l2 = -1", "from 0 on"),
        ("[defaults]\nmin_r2 = 2", "up to 1"),
    ],
)
def test_lines_that_mean_nothing(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=r"t\.toml") as caught:
        _read(text)
    assert words in str(caught.value)


@pytest.mark.parametrize("key", KEYS)
def test_the_nearest_key_is_named(key: str) -> None:
    with pytest.raises(UsageError, match=rf"nearest is {key}$"):
        check_setting(key.replace("_", "", 1), 0.5, "t.toml: defaults")


def test_outputs_that_are_not_there() -> None:
    told = _read("[outputs.sores]\nmin_cosine = 0.5").check_outputs(IDENTITY, ["scores", "x"])
    assert len(told) == 1 and "'sores'" in told[0] and "nearest is 'scores'" in told[0]
    assert _read("[models.other.outputs.z]\nmin_cosine = 0.5").check_outputs(IDENTITY, ["y"]) == []
    with pytest.raises(UsageError, match="no output 'z'"):
        _read('[models."m.onnx".outputs.z]\nmin_cosine = 0.5').check_outputs(IDENTITY, ["y"])


@given(st.floats(-1e6, 1e6), st.sampled_from(sorted(KEYS)))
def test_the_tightest_threshold_is_met_and_next_to_the_value(value: float, name: str) -> None:
    key = KEYS[name]
    found = tightest(value, key)
    assert key.met(value, found)
    assert abs(found - value) <= 1.1e-5 * abs(value)
    assert tightest(found, key) == found


COMMAND = "mlp.onnx mlp.spk --data test.npz --thresholds t.toml"


def test_update_tightens_for_this_network_alone(gate: Callable[[str], Any]) -> None:
    text = "# ours\n# since May\n\n[defaults]\nmin_agreement = 0.5 # a start\nmax_relative_l2 = 0.9\n"
    text += "[models.other]\nmin_cosine = 0.2\n"
    Path("t.toml").write_text(text)
    outcome = gate(f"{COMMAND} --steps 8,16 --update")
    assert outcome.code == 0
    written = Path("t.toml").read_text()
    assert written.startswith("# ours\n# since May\n\n") and "a start" not in written
    assert "comments behind the first lines are lost" in outcome.err
    after, before = tomllib.loads(written), tomllib.loads(text)
    assert after["defaults"] == before["defaults"] and after["models"].pop("other") == {"min_cosine": 0.2}
    own = after["models"]["mlp.onnx"]["outputs"]["y"]["steps"]
    assert set(own) == {"8", "16"} and set(own["8"]) == {"min_agreement", "max_relative_l2"}
    row = value_of(outcome.report, "relative_l2", "y", 8)
    assert own["8"]["max_relative_l2"] == row["would_pass"] == row["threshold"] < 0.9
    assert gate(f"{COMMAND} --steps 8,16").code == 0, "it passes as tight as it was measured"
    again = gate(f"{COMMAND} --steps 8,16 --update")
    assert "nothing is written" in again.err and Path("t.toml").read_text() == written


def test_update_does_not_loosen_unless_allowed(gate: Callable[[str], Any]) -> None:
    text = "[steps.2]\nmin_agreement = 1.0\nmax_relative_l2 = 0.9\n"
    Path("t.toml").write_text(text)
    outcome = gate(f"{COMMAND} --steps 2 --update")
    assert outcome.code == 1 and "agreement of 'y' after 2 steps" in outcome.report["reason"]
    own = tomllib.loads(Path("t.toml").read_text())["models"]["mlp.onnx"]["outputs"]["y"]["steps"]["2"]
    assert set(own) == {"max_relative_l2"}
    outcome = gate(f"{COMMAND} --steps 2 --update --allow-loosen")
    assert outcome.code == 0 and outcome.out.splitlines()[-1] == "PASSED" and "min_agreement for" in outcome.err
    own = tomllib.loads(Path("t.toml").read_text())["models"]["mlp.onnx"]["outputs"]["y"]["steps"]["2"]
    assert own["min_agreement"] == value_of(outcome.report, "agreement")["would_pass"] < 1
    assert gate(f"{COMMAND} --steps 2").code == 0


def test_update_begins_a_file(gate: Callable[[str], Any]) -> None:
    assert gate(f"{COMMAND} --update").code == 0
    assert Path("t.toml").read_text().startswith("# Thresholds of spikec check")
    found = read_thresholds(Path("t.toml"))
    assert [(line.key, str(line.scope)) for line in found.lines] == [
        ("min_agreement", "models.mlp.onnx.outputs.y.steps.16")
    ]


def test_update_follows_a_hash(gate: Callable[[str], Any]) -> None:
    digest = gate("mlp.onnx mlp.spk --data test.npz").report["artifact"]["sha256"]
    Path("t.toml").write_text(f'[models."{digest[:12]}".outputs.y.steps.16]\nmin_agreement = 0.1\n')
    assert gate(f"{COMMAND} --update").code == 0
    assert list(tomllib.loads(Path("t.toml").read_text())["models"]) == [digest[:12]]


def test_a_refused_update_writes_nothing(gate: Callable[[str], Any]) -> None:
    assert gate(f"{COMMAND} --update --steps 8").code == 2, "what is built in asks nothing there"
    assert not Path("t.toml").exists()
    outcome = gate("mlp.onnx mlp.spk --data test.npz --thresholds gone/t.toml --update")
    assert outcome.code == 2 and "no folder gone" in outcome.err
