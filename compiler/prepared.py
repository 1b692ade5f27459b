"""A network that is ready to be compiled for any number of steps, and what comes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from spikec.advice import saturation_warnings, size_warnings
from spikec.artifact import assemble, write_model
from spikec.artifact.manifest import attach, build_manifest
from spikec.calibration import Dataset, NeuronSetting, Observation, calibrate
from spikec.calibration.fitting import fit_amplitudes, is_fitted
from spikec.dead_zones import dead_zone_tables
from spikec.errors import UsageError
from spikec.frontends.source import Source
from spikec.lowering import Recurrent, lower
from spikec.lowering.depth import relative_depths
from spikec.lowering.network import Network
from spikec.options import Options, check_names
from spikec.pipeline import Levels
from spikec.schedules import make_schedule

CHOSEN_LATE = {"steps", "schedule", "dead_zone", "early_dead_zone", "form", "ranges"}  # the preparation uses none


@dataclass
class Progress:
    """Callbacks of a long compilation: the stage it is in, and samples calibrated."""

    stage: Callable[[str], None] = lambda text: None
    samples: Callable[[int, int], None] = lambda done, total: None


@dataclass
class Artifact:
    """A compiled network: the ONNX model with its manifest, and every level on the way to it."""

    model: onnx.ModelProto
    manifest: dict[str, Any]
    levels: Levels
    recurrent: Recurrent
    warnings: list[str] = field(default_factory=list)

    def save(self, path: str | Path) -> Path:
        """Write the artifact in one move (an older file stays intact until then) and return its path."""
        write_model(self.model, Path(path))
        return Path(path)


@dataclass
class Prepared:
    """A network at level 3 with what calibration saw: ready to be compiled for any number of steps."""

    source: Source
    options: Options
    levels: Levels
    network: Network
    seen: Observation
    data: Dataset
    fixed_batch: int | None
    warnings: list[str]
    progress: Progress

    def compile(self, **chosen: Any) -> Artifact:
        """The artifact, with the settings in ``chosen`` put over those it was prepared with.

        Raises:
            UsageError: a setting in ``chosen`` is wrong, or is one that the preparation rests on.
        """
        options = self.chosen(**chosen)
        tables = tables_of(self.network, options)
        calibrated, settings = calibrate(self.network, options, tables[0], self._fitted(options, tables))
        self.progress.stage("lowering to time steps")
        recurrent = lower(calibrated, tables[0], options.dynamics, tables[1])
        artifact = assemble(recurrent, options.form)
        warnings = self.warnings + saturation_warnings(settings) + size_warnings(artifact, recurrent)
        manifest = self._manifest(recurrent, settings, options, warnings)
        attach(artifact, manifest)
        self.progress.stage("done")
        levels = replace(self.levels, models={**self.levels.models, "neurons": calibrated})
        return Artifact(artifact, manifest, levels, recurrent, warnings)

    def chosen(self, **chosen: Any) -> Options:
        """The options of the preparation with ``chosen`` put over them; errors as for ``compile``."""
        check_names(chosen)
        fixed = set(chosen) - CHOSEN_LATE
        if fixed:
            raise UsageError(f"{', '.join(sorted(fixed))} cannot change after the preparation; prepare the model anew")
        options = replace(self.options, **chosen)
        make_schedule(options.schedule, options.steps)  # as in prepare: checked even where there is no neuron
        return options

    def _fitted(self, options: Options, tables: "Tables") -> Observation:
        if not is_fitted(options):
            return self.seen
        self.progress.stage("fitting amplitudes layer by layer")
        batch, bar = self.fixed_batch, self.progress.samples
        return fit_amplitudes(self.network, options, tables, self.seen, self.data, fixed_batch=batch, progress=bar)

    def _manifest(
        self, recurrent: Recurrent, settings: list[NeuronSetting], options: Options, warnings: list[str]
    ) -> dict[str, Any]:
        about: dict[str, Any] = {
            "source": self.source.describe(),
            "calibration": {"origin": Path(self.data.origin).name, "samples": len(self.data)},
            "warnings": warnings,
        }
        return build_manifest(recurrent, settings, options, **about)


Tables = tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]


def tables_of(network: Network, options: Options) -> Tables:
    """eta(t) and theta(t), (T,), of every neuron of a level-3 network, by its name."""
    # integrate-and-fire is rate coding: its step sizes are those of a running mean
    spec = "inverse:scale=1" if options.dynamics == "subgradient" else options.schedule
    depths = relative_depths(network)
    etas = {name: make_schedule(spec, options.steps, depth) for name, depth in depths.items()}
    neurons = network.neurons.values()
    return etas, dead_zone_tables(neurons, options.steps, options.dead_zone, options.early_dead_zone)
