"""How far the walltime model is off, by how many trials it has seen; and how requests fared.

    python benchmarks/model_error.py runs/two_networks

Replays the trials of a finished run: the model is fitted to the first n of them, in ORDERS random orders, and
predicts the rest of those that trained all their epochs. What was calibrated of a network counts with its first
trial in each order, as it does in a study. The last line is what happened live: each trial predicted when it was
proposed, each job with the request that it made.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import numpy as np

from sweep.paths import RunPaths
from sweep.records import TrialRecord, TrialState
from sweep.reporting.predictions import prediction_quality
from sweep.run import open_run
from sweep.search.proposals import predict
from sweep.timings import Timing, setting_of, timings_of
from sweep.walltime import fit_all

SEEN = (3, 5, 10, 20)
ORDERS = 30


def told_by(seen: list[TrialRecord], calibrated: Mapping[str, list[Timing]]) -> list[Timing]:
    """The timings that a study of these trials would have."""
    trained = [timing for record in seen for timing in timings_of(record) if timing.epochs]
    networks = {setting_of(record.spec.recipe) for record in seen}
    return [*(timing for network in sorted(networks) for timing in calibrated.get(network, [])), *trained]


def errors(timings: list[Timing], rest: list[TrialRecord]) -> list[float]:
    """|predicted - actual| / actual of the rest, where the model has anything to say."""
    models = fit_all(timings)
    found = []
    for record in rest:
        prediction = predict(models, record.spec.recipe)
        if prediction is not None and record.state == TrialState.COMPLETED and record.outcome is not None:
            calibrating = sum(calibration.took_seconds for calibration in record.calibrations)
            found.append(abs(prediction[0] / (record.outcome.wall_seconds - calibrating) - 1))
    return found


def main() -> None:
    run = open_run(RunPaths(Path(sys.argv[1])))
    trials = [record for record in run.trials.values() if record.epochs]
    calibrated: dict[str, list[Timing]] = {}
    for record in trials:
        for timing in timings_of(record):
            if not timing.epochs:
                calibrated.setdefault(timing.setting, []).append(timing)
    print(f"{len(trials)} trials\n")
    print("| trials seen | median error | 90th percentile | medians of the orders |\n|---|---|---|---|")
    for count in SEEN:
        medians, pooled = [], []
        for order in range(ORDERS):
            shuffled = random.Random(order).sample(trials, len(trials))
            found = errors(told_by(shuffled[:count], calibrated), shuffled[count:])
            if found:
                medians.append(median(found))
                pooled += found
        spread = f"{min(medians):.1%} to {max(medians):.1%}"
        print(f"| {count} | {median(pooled):.1%} | {np.percentile(pooled, 90):.1%} | {spread} |")
    print(f"\nlive: {prediction_quality(run.trials.values(), run.jobs.values())}")


if __name__ == "__main__":
    main()
