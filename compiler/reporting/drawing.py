"""Pictures as SVG text that stands inside a page and takes its colour of text."""

import importlib.util
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from spikec.errors import EnvironmentMissing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#010203"  # what is drawn in it takes the page's colour of text, so that one picture serves light and dark
COLOURS = ("#2f7ed8", "#d1701f", "#4f9d3a", "#b02a5c", "#8e4fa8", "#6b7a8f")
_INKED = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")


def check_installed() -> None:
    """Look for what draws a page before anything else is done.

    Raises:
        EnvironmentMissing: it is not there.
    """
    missing = [name for name in ("matplotlib", "jinja2") if importlib.util.find_spec(name) is None]
    if missing:
        raise EnvironmentMissing(f"reports need {' and '.join(missing)}; install with: pip install 'spikec[report]'")


class Drawing:
    """One picture: ``axes`` to draw on, and after the ``with`` block of ``drawing`` its ``svg``."""

    def __init__(self, figure: "Figure", axes: "Axes") -> None:
        self.figure, self.axes, self.svg = figure, axes, ""


@contextmanager
def drawing(width: float, height: float, salt: str) -> Iterator[Drawing]:
    """A picture of ``width`` x ``height`` inches; ``salt`` keeps the ids of several pictures in one page apart."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # any names: newer matplotlib types each setting by its name, older ones none
    style: Any = dict.fromkeys(_INKED, INK) | {"svg.fonttype": "none", "svg.hashsalt": salt, "font.size": 9}
    style |= {"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
    with mpl.rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        picture = Drawing(figure, figure.subplots())
        yield picture
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    picture.svg = _inline(buffer.getvalue(), salt)


def _inline(text: str, salt: str) -> str:
    """The svg element alone, as wide as its place allows, with ids of its own."""
    text = text[text.index("<svg") :]
    text = re.sub(r'<svg([^>]*?) width="[^"]*"', r"<svg\1", text, count=1)
    text = re.sub(r'<svg([^>]*?) height="[^"]*"', r"<svg\1", text, count=1)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{salt}-', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{salt}-", text)
    return text.replace(INK, "currentColor")
