"""Products of integers that this machine's CPU is fast at, and what precisions they serve."""

import torch

from spikec.runtime.errors import DeviceError

_OPERATORS = ("qconv2d_pointwise", "qconv_prepack", "qlinear_pointwise", "qlinear_prepack")


def weight_planes(precision: str, device: torch.device) -> int:
    """How many planes of 8 bits make a weight where spikes are taken as integers; 0 where they are not.

    One with the precision ``int8``. In ``float32`` three, which have its 24 bits, if the CPU has instructions for sums
    of products of bytes (VNNI or AMX): without them three integer convolutions take longer than one in float32.

    Raises:
        DeviceError: precision ``int8`` is not to be had here.
    """
    served = device.type == "cpu" and all(hasattr(torch.ops.onednn, name) for name in _OPERATORS)
    if precision == "int8" and not served:
        raise DeviceError(
            f"precision int8 needs the integer products of torch on an x86 CPU, which device {device} does not have; "
            "use bfloat16 or float32"
        )
    return {"int8": 1, "float32": 3 * _adds_products_of_bytes()}.get(precision, 0) if served else 0


def _adds_products_of_bytes() -> bool:
    known = getattr(torch.cpu, "_is_vnni_supported", None)  # torch has no public word for it, and older ones have none
    return bool(known and known())
