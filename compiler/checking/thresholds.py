"""What a check asks for, read from TOML: the most specific line that fits wins.

A file has a table ``[defaults]`` and tables ``[models."NAME"]``, ``[outputs."NAME"]`` and ``[steps.T]``, which may
stand inside each other in any order (``[models."m.onnx".outputs."y".steps.16]``). NAME of a model is its name, the
artifact's, or the start of the SHA-256 of either file. The line with more conditions wins; of equally many a model
beats an output, and an output a number of steps.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spikec.checking.kinds import CHOICES, CLASSES, EMBEDDING, REGRESSION
from spikec.checking.threshold_keys import KEYS, KIND, check_setting, nearest
from spikec.errors import UsageError

BUILT_IN = {  # where there is no file: at the artifact's T
    CLASSES: ("min_agreement", 0.99),
    CHOICES: ("min_agreement", 0.99),
    REGRESSION: ("max_relative_l2", 0.05),
    EMBEDDING: ("max_relative_l2", 0.05),
}
BUILT_IN_ORIGIN = "built in"
_PREFIX = 8  # hexadecimal digits that tell files apart
_TABLES = {"models": "model", "outputs": "output", "steps": "steps"}


@dataclass(frozen=True)
class Identity:
    """What a thresholds file may call the network: its names, and the SHA-256 of the model and of the artifact."""

    names: tuple[str, ...]
    hashes: tuple[str, ...]

    def match(self, name: str) -> int:
        """0: another network; 1: this one by name; 2: by hash."""
        if len(name) >= _PREFIX and any(digest.startswith(name.lower()) for digest in self.hashes):
            return 2
        return int(name in self.names)


@dataclass(frozen=True)
class Scope:
    """When a line counts; None: always."""

    model: str | None = None
    output: str | None = None
    steps: int | None = None

    def rank(self, identity: Identity, output: str | None, steps: int | None) -> tuple[int, ...] | None:
        """How specific it is, or None where it does not fit."""
        model = 0 if self.model is None else identity.match(self.model)
        if self.model is not None and not model:
            return None
        if self.output not in (None, output) or self.steps not in (None, steps):
            return None
        conditions = (model > 0, self.output is not None, self.steps is not None)
        return (sum(conditions), model, *map(int, conditions[1:]))

    def __str__(self) -> str:
        parts = [("models", self.model), ("outputs", self.output), ("steps", self.steps)]
        return ".".join(f"{table}.{name}" for table, name in parts if name is not None) or "defaults"


@dataclass(frozen=True)
class Line:
    """One ``key = value`` of the file."""

    scope: Scope
    key: str
    value: Any


@dataclass(frozen=True)
class Thresholds:
    """All lines of a file, or none: then what is built in counts.

    Attributes:
        origin: the file's name, or ``built in``.
        document: the file as TOML reads it.
        header: the comment that it begins with.
        comments: whether there are others.
    """

    lines: tuple[Line, ...] = ()
    origin: str = BUILT_IN_ORIGIN
    document: dict[str, Any] | None = None
    header: str = ""
    comments: bool = False

    def find(self, key: str, identity: Identity, output: str | None, steps: int | None) -> Line | None:
        """The line that counts for ``key`` at an output (None: the whole network) after so many steps."""
        fitting = [(line.scope.rank(identity, output, steps), line) for line in self.lines if line.key == key]
        ranked = [(rank, line) for rank, line in fitting if rank is not None]
        return max(ranked, key=lambda pair: pair[0])[1] if ranked else None

    def kind(self, identity: Identity, output: str) -> str | None:
        """The kind that the file gives an output."""
        line = self.find(KIND, identity, output, None)
        return None if line is None else str(line.value)

    def check_outputs(self, identity: Identity, outputs: list[str]) -> list[str]:
        """Look for outputs that are not there: a warning for each that may be another model's.

        Raises:
            UsageError: one is named for this very model.
        """
        warnings = []
        for scope in dict.fromkeys(line.scope for line in self.lines if line.scope.output not in (None, *outputs)):
            told = f"{self.origin}: {scope}: there is no output '{scope.output}'; the nearest is "
            told += f"'{nearest(str(scope.output), outputs)}'"
            if scope.model is not None and identity.match(scope.model):
                raise UsageError(told)
            warnings += [told] if scope.model is None else []
        return warnings


def read_thresholds(path: Path | None, *, may_be_new: bool = False) -> Thresholds:
    """The thresholds in the file ``path``; what is built in where there is none given, or it ``may_be_new`` and is.

    Raises:
        UsageError: the file is missing, is no TOML, or holds a line that means nothing.
    """
    if path is None or (may_be_new and not path.exists()):
        return Thresholds()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is no text'}") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    header, comments = _comments(text)
    return Thresholds(tuple(read_lines(document, str(path))), str(path), document, header, comments)


def read_lines(document: dict[str, Any], origin: str) -> Iterator[Line]:
    """The lines of a thresholds file, in its order; errors are those of ``read_thresholds``."""
    for name, value in document.items():
        if name == "defaults":
            yield from _table(_checked(value, f"{origin}: defaults"), Scope(), origin, inner=False)
        elif name in _TABLES:
            yield from _table({name: value}, Scope(), origin)
        elif name in (*KEYS, KIND):
            raise UsageError(f"{origin}: {name} stands outside of any table; put it below a line [defaults]")
        else:
            near = nearest(name, ["defaults", *_TABLES])
            raise UsageError(f"{origin}: there is no table '{name}'; the nearest is {near}")


def _table(table: dict[str, Any], scope: Scope, origin: str, *, inner: bool = True) -> Iterator[Line]:
    where = f"{origin}: {scope}"
    for name, value in table.items():
        if inner and name in _TABLES:
            for narrower, lines in _narrower(name, value, scope, where):
                yield from _table(lines, narrower, origin)
            continue
        check_setting(name, value, where)
        _check_place(name, scope, where)
        yield Line(scope, name, value)


def _narrower(name: str, value: Any, scope: Scope, where: str) -> Iterator[tuple[Scope, dict[str, Any]]]:
    """The tables in ``models``, ``outputs`` or ``steps``, each with one more condition."""
    condition = _TABLES[name]
    if getattr(scope, condition) is not None:
        raise UsageError(f"{where}: '{name}' stands within '{name}'; name each once")
    for inner, lines in _checked(value, f"{where}: {name}").items():
        if name == "steps" and not (inner.isascii() and inner.isdigit() and int(inner)):
            raise UsageError(f"{where}: steps.{inner} is no number of steps; write [steps.16]")
        chosen: dict[str, Any] = {condition: int(inner) if name == "steps" else inner}
        yield replace(scope, **chosen), _checked(lines, f"{where}: {name}.{inner}")


def _check_place(name: str, scope: Scope, where: str) -> None:
    if name == KIND and scope.steps is not None:
        raise UsageError(f"{where}: an output is of one kind at all steps; put kind outside of steps")
    if name != KIND and not KEYS[name].kinds and scope.output is not None:
        raise UsageError(f"{where}: {name} is of the whole network; put it outside of outputs")


def _checked(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{where} is {value!r}, which is no table")
    return value


def _comments(text: str) -> tuple[str, bool]:
    """The comment that a file begins with, and whether it has others."""
    lines = text.splitlines(keepends=True)
    end = next((i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), len(lines))
    return "".join(lines[:end]), any("#" in line for line in lines[end:])
