"""A network that is ready to be compiled for any number of steps, and what comes of it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import onnx

from spikec.advice import fit_warnings, readout_warnings, saturation_warnings, size_warnings
from spikec.artifact import assemble, write_model
from spikec.artifact.manifest import attach, build_manifest
from spikec.calibration import Dataset, NeuronSetting, Observation, calibrate
from spikec.calibration.fitting import fit_amplitudes, is_fitted
from spikec.errors import UsageError
from spikec.frontends.source import Source
from spikec.lowering import Recurrent, lower
from spikec.lowering.network import Network
from spikec.options import Options, check_names, is_fit
from spikec.pipeline import Levels
from spikec.schedules import make_schedule
from spikec.sizes import within_protobuf
from spikec.tables import Tables, tables_of
from spikec.tuning import DEFAULT_BUDGET, Tuning, tune

# what the preparation does not rest on
CHOSEN_LATE = {"steps", "schedule", "dead_zone", "early_dead_zone", "correction", "readout", "form", "ranges"}


@dataclass
class Progress:
    """Callbacks of a long compilation: the stage it is in, samples calibrated, trials made and their least distance."""

    stage: Callable[[str], None] = lambda text: None
    samples: Callable[[int, int], None] = lambda done, total: None
    trials: Callable[[int, float], None] = lambda done, best: None


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

    @within_protobuf
    def tune(self, *, budget: float = DEFAULT_BUDGET, trials: int | None = None, **chosen: Any) -> Tuning:
        """Search the settings that serve T steps best, for ``budget`` seconds; see ``spikec.tuning.tune``.

        ``chosen`` is as for ``compile``, which takes what comes back: ``compile(tuning=...)``.
        """
        options = self.chosen(**chosen)
        self.progress.stage(f"tuning for T = {options.steps}")
        return tune(self, options, budget=budget, trials=trials, progress=self.progress.trials)

    @within_protobuf
    def compile(self, *, tuning: Tuning | None = None, **chosen: Any) -> Artifact:
        """The artifact, with the settings in ``chosen`` put over those it was prepared with.

        With a ``tuning`` those that it found, for its number of steps, come first.

        Raises:
            UsageError: a setting in ``chosen`` is wrong, or is one that the preparation rests on.
        """
        options = self.chosen(**({"steps": tuning.steps, **tuning.chosen} if tuning else {}) | chosen)
        tables = tables_of(self.network, options)
        fitted = self._fitted(options, tables)
        calibrated, settings = calibrate(self.network, options, tables[0], fitted)
        self.progress.stage("lowering to time steps")
        offsets = {setting.neuron.name: setting.offset for setting in settings if setting.offset is not None}
        recurrent = lower(calibrated, tables[0], options.dynamics, tables[1], offsets, fitted.corrections)
        artifact = assemble(recurrent, options.form)
        warnings = self.warnings + fit_warnings(fitted) + saturation_warnings(settings)
        warnings += readout_warnings(options, recurrent) + size_warnings(artifact, recurrent)
        manifest = self._manifest(recurrent, settings, options, warnings)
        manifest |= {"tuning": tuning.as_dict()} if tuning else {}
        attach(artifact, manifest)
        self.progress.stage("done")
        levels = replace(self.levels, models={**self.levels.models, "neurons": calibrated})
        return Artifact(artifact, manifest, levels, recurrent, warnings)

    def chosen(self, **chosen: Any) -> Options:
        """The options of the preparation with ``chosen`` put over them; errors as for ``compile``."""
        check_names(chosen)
        fixed = set(chosen) - CHOSEN_LATE
        if is_fit(self.options.range_rule) and is_fit(chosen.get("range_rule", "")):
            fixed -= {"range_rule"}  # one fit rests on the same observation as another
        if fixed:
            raise UsageError(f"{', '.join(sorted(fixed))} cannot change after the preparation; prepare the model anew")
        options = replace(self.options, **chosen)
        make_schedule(options.schedule, options.steps)  # as in prepare: checked even where there is no neuron
        return options

    def _fitted(self, options: Options, tables: Tables) -> Observation:
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
