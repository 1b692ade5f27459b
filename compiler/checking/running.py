"""Carries a check out: samples through both networks, batch by batch."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import onnx

from spikec.checking.kinds import CLASSES, kind_of, labelled_output
from spikec.checking.networks import Feeds, Networks, check_provider
from spikec.checking.parallel import World
from spikec.checking.result import GOOD, CheckResult, Data, File, Spikes, Timing, outcome
from spikec.checking.settings import Settings
from spikec.checking.streams import BATCH, Stream, Where, open_stream
from spikec.checking.tally import Tally
from spikec.checking.thresholds import Identity, Thresholds
from spikec.checking.verdict import judge, measured
from spikec.errors import UsageError
from spikec.frontends import Source, load_model

Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Request:
    """What a check is asked for.

    Attributes:
        model: all that ``spikec.compile`` takes, or what a front end made of it.
        artifact: a path, the bytes of a file, or the model itself.
        command: the command line, for the reports.
        called: the name of an artifact in memory.
    """

    model: Any
    artifact: str | Path | bytes | onnx.ModelProto
    where: Where
    settings: Settings = field(default_factory=Settings)
    thresholds: Thresholds = field(default_factory=Thresholds)
    command: str = ""
    called: str = "the artifact"

    def named(self) -> dict[str, Any]:
        """Those parts of a result that are known before anything is read."""
        model = self.model.name if isinstance(self.model, Source) else self.model
        return {
            "command": self.command,
            "model": File(_name(model, "the model")),
            "artifact": File(_name(self.artifact, self.called)),
            "data": Data(str(self.where.data)),
            "requested": {n: v for n, v in asdict(self.settings).items() if n != "steps"},
            "thresholds": self.thresholds.origin,
        }


def run_check(request: Request, world: World | None = None, told: Told = lambda done, total: None) -> CheckResult:
    """Run the trained network and the artifact on the same samples, and hold their outputs against the thresholds.

    With several processes each takes its share of the batches, and every one gets the same result.

    Args:
        request: the two networks, the samples and the thresholds.
        world: this process among several.
        told: called with (samples done, samples of this process) after each batch.

    Raises:
        UsageError, InputError: options, data or thresholds do not fit.
        ModelError, ArtifactError: the model or the artifact is damaged, or they are not the same network.
        EnvironmentMissing, DeviceError: a device or provider is not there.
    """
    began, world = perf_counter(), world or World()
    check = _Check.open(request, world)
    tally, *others = world.gather(lambda: check.measure(world, told))
    for other in others:
        tally.merge(other)
    seconds = tally.seconds
    timing = Timing(perf_counter() - began, seconds.ann, seconds.snn, seconds.data, world.size)
    return check.result(tally, timing)


def identity_of(result: CheckResult) -> Identity:
    """What a thresholds file may call the network of a result."""
    typed = (result.model.name, Path(result.artifact.name).name, result.artifact.name)
    return Identity(typed, tuple(file.sha256 for file in (result.model, result.artifact) if file.sha256))


@dataclass
class _Check:
    """A check whose files are open."""

    request: Request
    networks: Networks
    steps: list[int]
    stream: Stream
    bare: CheckResult  # all that is known before anything ran

    @classmethod
    def open(cls, request: Request, world: World) -> "_Check":
        check_provider(request.settings.provider)
        source = request.model if isinstance(request.model, Source) else load_model(request.model)
        networks = Networks.open(source, request.artifact, request.called, request.settings.on(world.local))
        manifest = networks.session.manifest
        steps = _steps(request.settings.steps, manifest.steps)
        stream = open_stream(request.where, networks.specs)
        bare = CheckResult(
            GOOD, "", 0,
            **request.named() | {
                "model": File(source.name, source.sha256),
                "artifact": File(networks.artifact, networks.digest),
                "data": Data(stream.origin, stream.samples, stream.labels is not None),
            },
            actual=_actual(networks, request.settings), seed=manifest.raw["options"]["seed"],
            artifact_steps=manifest.steps, steps=tuple(steps),
        )  # fmt: skip
        notes = request.thresholds.check_outputs(identity_of(bare), networks.outputs)
        warnings = (*source.warnings, *networks.warnings, *stream.warnings, *notes)
        return cls(request, networks, steps, stream, replace(bare, warnings=warnings))

    def measure(self, world: World, told: Told) -> Tally:
        """The tally of this process's batches."""
        networks, stream, size = self.networks, self.stream, self._batch()
        named = {name: self.request.thresholds.kind(identity_of(self.bare), name) for name in networks.outputs}
        tally = Tally(named, stream.pictures)
        mine = sum(min(size, stream.samples - i * size) for i in range(-(-stream.samples // size)) if world.takes(i))
        told(0, mine)
        mark = perf_counter()
        for batch in stream.batches(size, world.takes):
            read = perf_counter()
            ann = networks.trained(batch.feeds)
            _check_labels(stream, ann, named)
            trained = perf_counter()
            snn = networks.spiking(batch.feeds, self.steps, self.request.settings.batch_size)
            spiked = perf_counter()
            tally.add(batch, ann, snn)
            tally.seconds.add(trained - read, spiked - trained, read - mark)
            told(tally.samples, mine)
            mark = perf_counter()
        return tally

    def result(self, tally: Tally, timing: Timing) -> CheckResult:
        """The tally held against the thresholds."""
        bare, asked = self.bare, self.request.thresholds
        rows = judge(
            measured(tally), asked, identity_of(bare), whole=bare.artifact_steps or 0, labels=bool(bare.data.labels)
        )
        return replace(
            bare,
            **outcome(rows),
            measurements=tuple(rows),
            spikes=tuple(Spikes(name, *counts) for name, counts in tally.spikes.items()),
            timing=timing,
            disagreements=tuple(tally.disagreements),
        )

    def _batch(self) -> int:
        """Samples read at once: as asked, in whole batches where the model fixes their size."""
        size, fixed = self.request.settings.batch_size or BATCH, self.networks.fixed or 1
        return -(-size // fixed) * fixed


def _steps(asked: tuple[int, ...] | None, limit: int) -> list[int]:
    if asked is not None and (not asked or not all(1 <= t <= limit for t in asked)):
        raise UsageError(f"steps {', '.join(map(str, asked))} asked; this artifact runs 1 to {limit}")
    return sorted(set(asked or (limit,)))


def _check_labels(stream: Stream, ann: Feeds, named: Mapping[str, str | None]) -> None:
    """Labels need an output of classes, and have to be among them."""
    if stream.labels is None:
        return
    kinds = {name: kind_of(name, value, named.get(name)) for name, value in ann.items()}
    name = labelled_output(ann, kinds)
    if name is None:
        raise UsageError(f"{stream.origin} has labels, but the model has no output of classes; leave the labels out")
    low, high, last = stream.labels.min(), stream.labels.max(), ann[name].shape[-1] - 1
    if kinds[name] == CLASSES and (low < 0 or high > last):
        raise UsageError(f"{stream.origin}: the labels go from {low} to {high}, the model knows classes 0 to {last}")


def _actual(networks: Networks, settings: Settings) -> dict[str, str]:
    """What evaluates each network in truth."""
    provider = networks.ann.get_providers()[0]
    if settings.backend == "onnxruntime":
        own = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[settings.device.partition(":")[0]]
        return {"ann": provider, "snn": own}  # the runtime's backend refuses to start on any other
    if settings.device == "cpu":
        return {"ann": provider, "snn": "torch on the CPU"}
    import torch

    return {"ann": provider, "snn": f"torch on {torch.cuda.get_device_name(settings.index)}"}


def _name(value: Any, otherwise: str) -> str:
    return str(value) if isinstance(value, (str, Path)) else otherwise
