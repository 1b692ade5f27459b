"""Real English sentences that come with what is installed: nothing is downloaded, no text is kept in the repository.

They are taken from the descriptions of scikit-learn's data sets (BSD licence), the module docstrings of Python's
standard library and the topics of Python's ``help()`` (both PSF licence).
"""

import ast
import re
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from itertools import zip_longest
from pathlib import Path

from spikec.errors import EnvironmentMissing, UsageError

WORDS = range(6, 31)  # in a sentence
_BETWEEN = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_PLAIN = re.compile(r"[A-Z][A-Za-z0-9 ,;:'’()\-]*[a-z)][.?!]")  # neither markup nor code


@dataclass(frozen=True)
class Texts:
    """Sentences to test on, and others to calibrate on."""

    test: list[str]
    calibration: list[str]

    @property
    def digest(self) -> str:
        """Names the choice: it changes with the releases of Python and scikit-learn."""
        return sha256("\n".join([*self.test, "", *self.calibration]).encode()).hexdigest()


def choose(test: int, calibration: int) -> Texts:
    """The same sentences each time: ``test`` of them, and ``calibration`` others.

    Raises:
        UsageError: there are fewer.
    """
    found = in_turn([by_digest(text) for text in (descriptions(), docstrings(), topics())])
    if test < 2 or calibration < 1 or test + calibration > len(found):
        raise UsageError(
            f"{test} test and {calibration} calibration sentences asked; there are {len(found)}, "
            "and at least 2 and 1 are needed"
        )
    return Texts(found[:test], found[test : test + calibration])


def sentences(text: str) -> list[str]:
    """The plain sentences of a text whose paragraphs have empty lines between them."""
    paragraphs = (" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text))
    parts = (part for paragraph in paragraphs for part in _BETWEEN.split(paragraph))
    return [part for part in parts if _PLAIN.fullmatch(part) and len(part.split()) in WORDS]


def by_digest(texts: Iterable[str]) -> list[str]:
    """Their sentences in an order that owes nothing to the texts' own, and keeps when a sentence comes or goes."""
    return sorted({s for text in texts for s in sentences(text)}, key=lambda s: sha256(s.encode()).hexdigest())


def in_turn(sources: list[list[str]]) -> list[str]:
    """One of each source after the other, each sentence once."""
    return list(dict.fromkeys(s for group in zip_longest(*sources) for s in group if s is not None))


def descriptions() -> Iterator[str]:
    """What scikit-learn says of its data sets.

    Raises:
        EnvironmentMissing: scikit-learn is not installed.
    """
    try:
        folder = resources.files("sklearn.datasets.descr")
    except ImportError as error:
        raise EnvironmentMissing("the sentences come with scikit-learn; install it with '.[sentences]'") from error
    for file in folder.iterdir():
        if file.name.endswith(".rst"):
            yield file.read_text(encoding="utf-8")


def docstrings() -> Iterator[str]:
    """What the modules of Python's standard library say of themselves."""
    for path in Path(sysconfig.get_path("stdlib")).glob("*.py"):
        yield ast.get_docstring(ast.parse(path.read_bytes())) or ""


def topics() -> Iterable[str]:
    """What Python's ``help()`` says of the language."""
    from pydoc_data.topics import topics as by_name

    return [str(text) for text in by_name.values()]
