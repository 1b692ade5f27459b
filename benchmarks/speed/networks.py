"""The networks that are timed, and the folder of their files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikec.errors import EnvironmentMissing, UsageError

FOLDER = Path(__file__).parents[2] / "build" / "speed"
INPUT = (3, 224, 224)
# by their names in timm; weights are random: time does not depend on them
NETWORKS = {
    "resnet18": "resnet18",
    "resnet50": "resnet50",
    "mobilenetv2": "mobilenetv2_100",
    "convnext_t": "convnext_tiny",
    "mixer_s": "mixer_s16_224",
    "vit_s": "vit_small_patch16_224",
}


@dataclass(frozen=True)
class Files:
    """A network's files in ``folder``: the trained network, and one artifact for each T."""

    folder: Path
    network: str

    @property
    def source(self) -> Path:
        """The trained network as ONNX."""
        return self.folder / f"{self.network}.onnx"

    def artifact(self, steps: int) -> Path:
        """The converted network with ``steps`` time steps."""
        return self.folder / f"{self.network}.T{steps}.onnx"

    def required(self, path: Path) -> Path:
        """``path``, which is one of these files.

        Raises:
            EnvironmentMissing: it is not there.
        """
        if not path.is_file():
            raise EnvironmentMissing(
                f"there is no {path}; make it with: python -m benchmarks.speed --make {self.folder} "
                f"--network {self.network} --steps T"
            )
        return path


def known(names: list[str] | None) -> list[str]:
    """The networks asked for; all of them by default.

    Raises:
        UsageError: there is no such network.
    """
    unknown = [name for name in names or () if name not in NETWORKS]
    if unknown:
        raise UsageError(f"there is no network {', '.join(unknown)}; choose among {', '.join(NETWORKS)}")
    return list(dict.fromkeys(names or NETWORKS))


def torch_module(network: str) -> Any:
    """The network in torch, with random weights."""
    import timm
    import torch

    torch.manual_seed(0)
    return timm.create_model(NETWORKS[network]).eval()


def samples(count: int, shape: tuple[int, ...] = INPUT, seed: int = 0) -> np.ndarray:
    """Standard normal numbers (count, *shape), float32."""
    return np.random.default_rng(seed).standard_normal((count, *shape), np.float32)


def feeds(path: Path, count: int) -> dict[str, np.ndarray]:
    """Samples by the name of the one input that the ONNX file has, in its shape."""
    import onnx

    info = onnx.load(path, load_external_data=False).graph.input[0]
    return {info.name: samples(count, tuple(dim.dim_value for dim in info.type.tensor_type.shape.dim[1:]))}
