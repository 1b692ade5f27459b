"""SpikingJelly's rate-coded conversion of the same network, in its two step modes.

Version 2 chooses the implementation of its neurons by the device: CUDA, Triton or torch. In the multi-step mode layers
without memory take all steps at once, in the single-step mode the network is called once a step.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.accuracy.spikingjelly_package import convert, package
from spikec.timing import Work

MODES = {"SpikingJelly multi-step": "m", "SpikingJelly single-step": "s"}


def converted(module: Any, calibration: np.ndarray, device: str) -> Any:
    """The network after conversion, on the device.

    Raises:
        ModelError: the package cannot take the network; its reason is passed on.
        EnvironmentMissing: it is not installed.
    """
    import torch

    batch = torch.from_numpy(calibration)
    return convert(module, package("ann2snn").RateCodingRecipe(dataloader=[batch], mode="max")).to(device)


def step_run(make: Callable[[], Any], mode: str, x: np.ndarray, steps: int, device: str) -> Work:
    """A run of ``steps`` steps of what ``make`` gives, whose readout is the mean of the outputs."""
    import torch

    functional, network = package("functional"), make()
    functional.set_step_mode(network, mode)
    batch = torch.from_numpy(x).to(device)

    @torch.inference_mode()
    def run() -> None:
        functional.reset_net(network)
        if mode == "m":
            outputs = network(batch.unsqueeze(0).expand(steps, *batch.shape)).mean(0)
        else:
            outputs = sum(network(batch) for _ in range(steps)) / steps
        outputs.cpu()  # waits for the device

    return Work(run)
