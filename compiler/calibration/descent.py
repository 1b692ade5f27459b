"""A neuron in the value domain: its output over time from the course of its f."""

from collections.abc import Iterator, Sequence

import torch

Tensor = torch.Tensor


def descend(f: Sequence[Tensor], initial: Tensor, amplitude: Tensor, eta: Tensor, theta: Tensor) -> Iterator[Tensor]:
    """v after each step, v(t+1) = v(t) - eta(t)*a*s(t) with s = sign(v - f), or 0 within the dead zone.

    Args:
        f: what f says at each step, T tensors, or a single one where it does not change.
        initial, amplitude: v(0) and a; they broadcast against f.
        eta, theta: step sizes and dead zones, (T,); where theta is 0 the neuron is binary and sign(0) is +1.
    """
    v = initial
    for t, (step, zone) in enumerate(zip(eta, theta, strict=True)):
        error = v - _at(f, t)
        size = step * amplitude
        down = torch.where(error >= 0, size, -size)
        v = v - (torch.where(error.abs() <= zone * size, 0.0, down) if zone else down)
        yield v


def follow(f: Sequence[Tensor], eta: Tensor) -> Iterator[Tensor]:
    """v after each step of a neuron with float coding, from v(0) = 0: v(t+1) = v(t) + eta(t)*(f - v(t))."""
    v = torch.zeros(())
    for t, step in enumerate(eta):
        v = v + step * (_at(f, t) - v)
        yield v


def _at(f: Sequence[Tensor], t: int) -> Tensor:
    return f[t] if len(f) > 1 else f[0]
