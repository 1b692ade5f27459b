"""Where a neuron's output estimate starts: v(0)."""

from spikec.dead_zones import KINDS
from spikec.errors import UsageError

# Rows and softmaxes start from zero: their news is what others wait for, and from the mean they begin with an answer
# that is right on average and late in every single case. A ViT at few steps ends farther off with either of them.
FITTED = tuple(kind for kind in KINDS if kind not in ("row", "softmax"))


def fitted_kinds(initial: str) -> tuple[str, ...]:
    """The kinds of neurons whose channels choose between zero and their mean; none for ``zero`` and ``mean``.

    Args:
        initial: ``zero``, ``mean``, ``fit`` or ``fit:KIND,...``.

    Raises:
        UsageError: it is none of these, or a kind is unknown.
    """
    name, _, rest = initial.partition(":") if isinstance(initial, str) else ("", "", "")
    kinds = tuple(rest.split(",")) if rest else FITTED
    if initial not in ("zero", "mean", "fit") and not (name == "fit" and rest and set(kinds) <= set(KINDS)):
        raise UsageError(
            f"initial is '{initial}'; write zero, mean, fit, or fit:KIND,... with kinds among {', '.join(KINDS)}"
        )
    return kinds if name == "fit" else ()
