"""The search itself: optuna proposes settings, layer-wise calibration fits them, samples held back judge them."""

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from spikec.calibration.fitting import run_fit, split_batches
from spikec.calibration.in_time import NetworkInTime, distance
from spikec.calibration.readout import corrected, fit_readout
from spikec.errors import EnvironmentMissing, UsageError
from spikec.options import Options, is_fit
from spikec.tables import tables_of
from spikec.tuning.record import Trial, Tuning
from spikec.tuning.space import Space

if TYPE_CHECKING:
    from spikec.prepared import Prepared

DEFAULT_BUDGET = 120.0  # seconds
Batches = list[dict[str, np.ndarray]]


def tune(
    prepared: "Prepared",
    options: Options,
    *,
    budget: float = DEFAULT_BUDGET,
    trials: int | None = None,
    progress: Callable[[int, float], None] = lambda done, best: None,
) -> Tuning:
    """Search settings that bring the outputs after T steps nearest to the ANN's; no labels are needed.

    Args:
        prepared: the network, with its calibration data.
        options: ``steps`` and what is not searched; ``seed`` starts the search.
        budget: seconds; the trial that runs when they are over is finished.
        trials: stop after so many, too. Only a number of trials gives the same result twice.
        progress: told (trials done, least distance so far).

    Raises:
        UsageError: ``budget`` or ``trials`` is not above 0, the dynamics is not signGD, or ranges are not fitted.
        EnvironmentMissing: optuna is not installed.
    """
    _check(options, budget, trials)
    search = _Search(prepared, options)
    study, start = _study(options.seed), perf_counter()
    for point in (search.space.default(), *search.space.neighbours()):
        study.enqueue_trial(point)
    while not search.trials or (perf_counter() - start < budget and len(search.trials) != trials):
        trial = study.ask()
        settings = search.space.suggest(trial) if search.trials else _without_search(search, trial)
        study.tell(trial, search.measure(settings))
        progress(len(search.trials), min(found.distance for found in search.trials))
    return search.result()


class _Search:
    """Measures settings on the samples of one preparation."""

    def __init__(self, prepared: "Prepared", options: Options) -> None:
        self.prepared, self.options = prepared, options
        self.space = Space(prepared.network.neurons.values(), options.steps, ternary=options.dead_zone > 0)
        self.in_time = NetworkInTime(prepared.network)
        self.fitting, self.judging, self.confirming = split_batches(
            self.in_time, prepared.data, options.steps, prepared.fixed_batch
        )
        self.trials: list[Trial] = []

    def measure(self, settings: dict[str, str | float]) -> float:
        """The distance on the judging samples, noted as a trial."""
        start = perf_counter()
        distance = self._distance(settings, self.judging)
        self.trials.append(Trial(len(self.trials), settings, distance, perf_counter() - start))
        return distance

    def result(self) -> Tuning:
        """The best trial, if it is confirmed."""
        best = min(self.trials, key=lambda trial: trial.distance)
        default = self._distance({}, self.confirming)
        tuned = self._distance(best.settings, self.confirming) if best.settings else default
        sizes = tuple(sum(len(next(iter(b.values()))) for b in part) for part in self._parts)
        chosen = best.settings if tuned < default else {}
        return Tuning(self.options.steps, chosen, default, min(tuned, default), self.trials, sizes, self.options.seed)  # type: ignore[arg-type]

    @property
    def _parts(self) -> tuple[Batches, Batches, Batches]:
        return self.fitting, self.judging, self.confirming

    def _distance(self, settings: dict[str, str | float], batches: Batches) -> float:
        options = self.prepared.chosen(**{**_late(self.options), **settings})
        tables = tables_of(self.prepared.network, options)
        fit, fitted = run_fit(self.in_time, options, tables, self.prepared.seen, self.fitting)
        outputs = fit.run(batches)
        affine = options.readout == "affine"
        return distance(corrected(outputs, fit_readout(self.prepared.network, fitted)) if affine else outputs)


def _late(options: Options) -> dict[str, Any]:
    names = ("steps", "schedule", "dead_zone", "early_dead_zone", "range_rule", "correction", "readout")
    return {name: getattr(options, name) for name in names}


def _without_search(search: _Search, trial: Any) -> dict[str, str | float]:
    """The first trial is the preparation as it is: suggesting tells the study where in the space it lies."""
    search.space.suggest(trial)
    return {}


def _study(seed: int) -> Any:
    try:
        import optuna
    except ImportError as error:
        raise EnvironmentMissing("tuning needs optuna; install it with: pip install 'spikec[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=1, multivariate=True))


def _check(options: Options, budget: float, trials: int | None) -> None:
    if not budget > 0 or (trials is not None and trials < 1):
        raise UsageError("the tuning budget is a number of seconds above 0, and the number of trials 1 or more")
    if options.dynamics != "signgd" or not is_fit(options.range_rule):
        raise UsageError("tuning needs the dynamics signgd and amplitudes fitted layer by layer: use --range-rule fit")
