"""timm models and factories that are not there, fail, or return something else."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.models import tiny

COMPILE = "compile {} -o out.onnx -T 4"
FACTORIES = """
import sys

import onnx
import torch

value = 3


class Undecided(torch.nn.Module):
    def forward(self, x):
        return x.relu() if x.sum() > 0 else x


def fails():
    raise RuntimeError("the weights are at home")


def leaves():
    sys.exit("done")


def needs(argument):
    return argument


def number():
    return 42


def class_():
    return Undecided


def without_examples():
    return torch.nn.Linear(6, 3), None


def no_examples():
    return torch.nn.Linear(6, 3), ()


def text_examples():
    return torch.nn.Linear(6, 3), "six"


def dictionary():
    return torch.nn.Linear(6, 3), {"x": torch.zeros(2, 6)}


def wrong_shape():
    return torch.nn.Linear(6, 3), torch.zeros(2, 5)


def too_many():
    return torch.nn.Linear(6, 3), (torch.zeros(2, 6), torch.zeros(2, 6))


def undecided():
    return Undecided(), torch.zeros(2, 6)


def empty_proto():
    return onnx.ModelProto()


def unread_weights():
    return onnx.load("external.onnx", load_external_data=False)
"""
# model -> exit code, what the error names
MODELS = {
    "networks:nothing": (2, ["networks has no nothing"]),
    "networks:value": (2, ["networks:value", "no function but a int"]),
    "nowhere_at_all:make": (2, ["nowhere_at_all", "run from the folder"]),
    "nowhere.inside:make": (2, ["nowhere", "run from the folder"]),
    "networks.py:fails": (2, ["networks.py", "run from the folder"]),
    "lacking:make": (3, ["lacking", "ModuleNotFoundError", "absent_package"]),
    "broken:make": (3, ["broken", "SyntaxError"]),
    "raising:make": (3, ["raising", "ValueError", "at import"]),
    "networks:fails": (3, ["networks:fails()", "RuntimeError", "the weights are at home"]),
    "networks:leaves": (3, ["networks:leaves()", "SystemExit", "done"]),
    "networks:needs": (3, ["networks:needs()", "argument"]),
    "networks:number": (2, ["networks:number()", "int", "example_inputs"]),
    "networks:class_": (2, ["networks:class_()", "type", "example_inputs"]),
    "networks:without_examples": (2, ["example_inputs"]),
    "networks:no_examples": (2, ["example_inputs is empty"]),
    "networks:text_examples": (2, ["example_inputs", "str"]),
    "networks:dictionary": (2, ["example_inputs", "dict"]),
    "networks:wrong_shape": (3, ["networks:wrong_shape", "shapes"]),
    "networks:too_many": (3, ["networks:too_many", "argument"]),
    "networks:undecided": (3, ["networks:undecided", "data-dependent"]),
    "networks:empty_proto": (3, ["networks:empty_proto", "no graph"]),
    "networks:unread_weights": (3, ["networks:unread_weights", "'w1'", "another file"]),
    ":make": (2, ["no file :make", "package.module:factory"]),
    "networks:": (2, ["no file networks:"]),
    "../networks:fails": (2, ["no file ../networks:fails"]),
    "timm:no_such_model": (2, ["no_such_model"]),
    "timm:test_resnat": (2, ["test_resnat", "near it", "test_resnet"]),
    "timm:": (2, ["timm has no model ''"]),
    "timm:test_resnet?odd=1": (2, ["test_resnet", "odd=1"]),
    "timm:test_resnet?num_classes=many": (2, ["test_resnet", "num_classes=many"]),
    "timm:test_resnet?seed=x": (2, ["seed=x"]),
    "timm:test_resnet?input=3x32": (2, ["input=3x32", "3x64x64"]),
    "timm:test_resnet?input=0x32x32": (2, ["input=0x32x32"]),
    "timm:test_resnet?input=3x99999999x99999999": (2, ["3x99999999x99999999", "input="]),
    "timm:test_resnet?input=4x32x32": (3, ["timm:test_resnet", "channels"]),
    "timm:test_resnet?checkpoint_path=gone.pth": (2, ["no checkpoint file gone.pth"]),
    "timm:test_resnet?checkpoint_path=mlp.onnx": (3, ["timm:test_resnet", "checkpoint_path=mlp.onnx"]),
    "timm:test_vit?img_size=33": (3, ["timm:test_vit", "33"]),
}


@pytest.fixture
def modules(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "networks.py").write_text(FACTORIES)
    (folder / "lacking.py").write_text("import absent_package\n")
    (folder / "broken.py").write_text("def make(:\n")
    (folder / "raising.py").write_text("raise ValueError('at import')\n")
    tiny.save_external(tiny.mlp(), folder / "external.onnx")
    monkeypatch.setattr(sys, "path", list(sys.path))  # the front end adds the current folder
    monkeypatch.delitem(sys.modules, "networks", raising=False)  # that of an earlier folder


@pytest.mark.parametrize("model", MODELS)
def test_models_that_cannot_be_had(refused: Callable[..., None], modules: None, model: str) -> None:
    code, words = MODELS[model]
    refused(COMPILE.format(model), code, *words)
