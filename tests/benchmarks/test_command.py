"""What the commands of the benchmarks have in common."""

import pytest
import torch

from benchmarks.accuracy.__main__ import main as accuracy
from benchmarks.speed.__main__ import main as speed

ONE_ROW = ["--only", "default"]  # other rows need SpikingJelly


@pytest.mark.parametrize("command", [accuracy, speed])
def test_a_device_of_no_known_kind(command, capsys):
    assert command(["--device", "abacus", *(ONE_ROW if command is accuracy else [])]) == 2
    assert "write cpu, cuda or cuda:N" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a CUDA device")
@pytest.mark.parametrize("command", [accuracy, speed])
def test_a_device_that_is_not_there(command, capsys):
    assert command(["--device", "cuda", *(ONE_ROW if command is accuracy else [])]) == 5
    assert "no CUDA device" in capsys.readouterr().err
