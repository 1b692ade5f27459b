"""The coverage benchmark's own parts: what it counts, what it keeps, and what it says of a model that goes nowhere."""

import numpy as np
from onnx import numpy_helper

from benchmarks.coverage import row as coverage_row
from benchmarks.coverage.__main__ import main
from benchmarks.coverage.random_weights import draw_zero_weights
from benchmarks.coverage.row import Row, measure
from benchmarks.coverage.table import load, markdown, save, summary
from spikec.errors import EnvironmentMissing, UsageError
from tests.models.graphs import normal, parse

FAR = Row("far", "far_tiny", 9, stage="run", levels=1e-7, distances={16: 0.9, 32: 0.5, 64: 0.2}, variation=0.1)
NEAR = Row("near", "near_tiny", 7, stage="run", levels=2e-7, distances={16: 0.1, 32: 0.06, 64: 0.04}, notes=["drawn"])
REFUSED = Row("refused", "refused_tiny", 5, stage="export", reason="node 'a' (Det): operator has no spiking form yet")
UNBORN = Row("unborn", "unborn_tiny", 3, reason="torch cannot export it")


def rows(*which):
    return {row.family: row for row in which}


def test_shares_are_of_the_families_that_torch_exports():
    assert summary(rows(FAR, NEAR, REFUSED, UNBORN), 98) == [
        "- families: 4 of 98 measured; torch exports 3 of those",
        "- of those, 2 (66.7%) convert with levels 1 to 3 equal to the source",
        "- of those that torch exports, 1 (33.3%) are within 5% of the ANN at T = 64; "
        "of those that ran over time, 1 (50.0%)",
    ]


def test_nothing_measured_is_no_division_by_zero():
    assert summary({}, 98)[1].startswith("- of those, 0 convert")


def test_rows_are_kept_on_file(tmp_path):
    save(tmp_path / "c.md", rows(NEAR, FAR, REFUSED), "the command", 98)
    assert load(tmp_path / "c.json") == rows(FAR, NEAR, REFUSED)
    text = (tmp_path / "c.md").read_text()
    assert "| near | near_tiny | - | 2e-07 | 0.1000 | 0.0600 | 0.0400 | - | 0 |" in text
    assert "- near (near_tiny): drawn" in text
    assert "- refused (refused_tiny): node 'a' (Det): operator has no spiking form yet" in text
    assert text.index("| far |") < text.index("| near |")


def test_no_file_holds_no_rows(tmp_path):
    assert load(tmp_path / "none.json") == {}


def test_only_matrices_of_zeros_are_drawn_and_always_alike():
    text = "g (float[N, 4] x) => (float[N, 3] y) { a = MatMul(x, zero) h = Relu(a) b = Add(h, c) y = MatMul(b, w) }"
    constants = {"zero": np.zeros((4, 5), np.float32), "c": np.zeros(5, np.float32), "w": normal(5, 3)}
    models = [parse(text, **constants) for _ in range(2)]
    assert [draw_zero_weights(model) for model in models] == [1, 1]
    first, second = ({t.name: numpy_helper.to_array(t) for t in model.graph.initializer} for model in models)
    assert first["zero"].all() and not first["c"].any()
    np.testing.assert_array_equal(first["w"], constants["w"])
    np.testing.assert_array_equal(first["zero"], second["zero"])


def test_a_model_that_is_not_there_says_so():
    row = measure("family", "no_such_model_at_all", 1)
    assert row.stage == "none" and "timm has no model" in row.reason and row.distances == {}


def test_a_model_whose_states_do_not_fit_is_checked_but_not_run(monkeypatch):
    monkeypatch.setattr(coverage_row, "_memory", lambda: 1000)
    row = measure("vision_transformer", "test_vit", 1)
    assert row.stage == "levels" and row.levels < 1e-5 and row.distances == {}
    assert row.reason.startswith("the states of 2 samples take") and "this machine has 0.0 GB" in row.reason


def test_levels_alone_run_no_time_step():
    row = measure("vision_transformer", "test_vit", 1, in_time=False)
    assert row.stage == "levels" and row.levels < 1e-5 and row.distances == {} and not row.reason
    assert "not run over time, as asked with --levels-only" in row.notes


def test_exit_codes(tmp_path, capsys):
    assert main(["--data", str(tmp_path / "nowhere")]) == EnvironmentMissing.exit_code
    assert main(["--data", str(tmp_path)]) == EnvironmentMissing.exit_code
    assert "has no timm_families.csv" in capsys.readouterr().err
    (tmp_path / "timm_families.csv").write_text("family,model,parameters\nnear,near_tiny,7\n")
    found = main(["--data", str(tmp_path), "--output", str(tmp_path / "c.md"), "--only", "other"])
    assert found == UsageError.exit_code
    assert "there is no family other; choose among near" in capsys.readouterr().err


def test_a_measured_family_is_not_measured_again(tmp_path):
    (tmp_path / "timm_families.csv").write_text("family,model,parameters\nnear,no_such_model,7\n")
    save(tmp_path / "c.md", rows(NEAR), "the command", 1)
    assert main(["--data", str(tmp_path), "--output", str(tmp_path / "c.md")]) == 0
    assert load(tmp_path / "c.json")["near"] == NEAR


def test_a_row_that_is_not_near_says_what_to_do():
    far = Row("a", "far", 1, stage="run", levels=0.0, distances={64: 0.2}, notes=["drawn"])
    near = Row("b", "near", 1, stage="run", levels=0.0, distances={64: 0.01})
    lines = markdown({"a": far, "b": near}, "command", {}, 2).splitlines()
    (told,) = (line for line in lines if line.startswith("- a (far)"))
    assert "drawn; 20.0% from the ANN at T = 64" in told and "spikec explain" in told
    assert not any(line.startswith("- b (near)") for line in lines)
