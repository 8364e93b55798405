"""How far the walltime model is off, by how many trials it has seen; and how requests fared.

    sweep launch benchmarks/two_networks.toml --set fixed.dataset=imagefolder:/data/cifar10 \\
        --set profile.slots=1 --set profile.threads=1
    python benchmarks/model_error.py runs/two_networks
    python benchmarks/model_error.py benchmarks/cifar10_curves.csv

Replays the trials of a finished run, or of a table of curves: the model is fitted to the first n of them, in
ORDERS random orders, and predicts the rest of those that trained all their epochs. What was calibrated of a
network counts with its first trial in each order, as it does in a study. The last line is what happened live: each
trial predicted when it was proposed, each job with the request that it made.
"""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from sweep.paths import RunPaths
from sweep.records import TrialRecord, TrialState
from sweep.reporting.predictions import prediction_quality
from sweep.run import open_run
from sweep.search.proposals import predict
from sweep.surrogate import Curve, read_curves, timing_of
from sweep.timings import Timing, setting_of, timings_of
from sweep.walltime import fit_all

SEEN = (3, 5, 10, 20)
ORDERS = 30


@dataclass(frozen=True)
class Trained:
    """A trial as far as seconds go."""

    recipe: dict[str, Any]
    setting: str
    calibrated: tuple[Timing, ...]
    timings: tuple[Timing, ...]
    wall_seconds: float | None  # without its calibration; None if it did not train all its epochs


def of_record(record: TrialRecord) -> Trained:
    """A trial of a run."""
    told, recipe = timings_of(record), record.spec.recipe
    whole = record.outcome if record.state == TrialState.COMPLETED else None
    return Trained(
        recipe,
        setting_of(recipe),
        tuple(timing for timing in told if not timing.epochs),
        tuple(timing for timing in told if timing.epochs),
        None if whole is None else whole.wall_seconds - record.calibrating_seconds,
    )


def of_curve(curve: Curve) -> Trained:
    """A trial of the table, up to its last epoch."""
    recipe = {**curve.recipe, "epochs": len(curve.epochs)}
    setting = setting_of(recipe)
    return Trained(recipe, setting, (), (timing_of(curve, setting),), curve.epochs[-1][2])


def errors(seen: list[Trained], rest: list[Trained], calibrated: dict[str, tuple[Timing, ...]]) -> list[float]:
    """|predicted - actual| / actual of the rest, where the model has anything to say."""
    settings = sorted({trial.setting for trial in seen})
    models = fit_all(
        [
            *(timing for setting in settings for timing in calibrated.get(setting, ())),
            *(timing for trial in seen for timing in trial.timings),
        ]
    )
    found = []
    for trial in rest:
        prediction = predict(models, trial.recipe)
        if prediction is not None and trial.wall_seconds is not None:
            found.append(abs(prediction[0] / trial.wall_seconds - 1))
    return found


def main() -> None:
    source = Path(sys.argv[1])
    live = None
    if source.suffix == ".csv":
        trials = [of_curve(curve) for curve in read_curves(source)]
    else:
        run = open_run(RunPaths(source))
        trials = [of_record(record) for record in run.trials.values() if record.epochs]
        live = prediction_quality(run.trials.values(), run.jobs.values())
    calibrated = {trial.setting: trial.calibrated for trial in reversed(trials) if trial.calibrated}
    print(f"{len(trials)} trials\n")
    print("| trials seen | median error | 90th percentile | medians of the orders |\n|---|---|---|---|")
    for count in SEEN:
        medians, pooled = [], []
        for order in range(ORDERS):
            shuffled = random.Random(order).sample(trials, len(trials))
            if found := errors(shuffled[:count], shuffled[count:], calibrated):
                medians.append(median(found))
                pooled += found
        spread = f"{min(medians):.1%} to {max(medians):.1%}"
        print(f"| {count} | {median(pooled):.1%} | {np.percentile(pooled, 90):.1%} | {spread} |")
    if live is not None:
        print(f"\nlive: {live}")


if __name__ == "__main__":
    main()
