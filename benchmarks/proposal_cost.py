"""Seconds per proposal and driver CPU per trial, by how many trials are finished.

    python benchmarks/proposal_cost.py

Proposals of the default sampler on a space of six keys after n finished trials; then whole studies of n random
trials on a virtual clock, of which everything that is not the simulated training is the driver's: collecting,
telling, booking, refitting the walltime model, writing files.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from sweep.records import Outcome, TrialRecord, TrialSpec, TrialState
from sweep.search import Search
from sweep.search.samplers import sampler_name
from sweep.simulation import simulate
from sweep.spec import StudySpec
from sweep.timings import timings_of
from sweep.walltime import fit_all
from trainer.context import EpochReport

ASKS = 5
SPACE = {
    "epochs": {"up_to": 20},
    "batch_size": {"divisors_of": 50_000, "low": 8, "high": 1000},
    "optimizer": {"choices": ["sgd", "momentum", "nesterov", "adam"]},
    "schedule": {"choices": ["constant", "one_cycle"]},
    "lr_scale": {"low": 0.1, "high": 10.0, "log": True},
    "weight_decay": {"low": 1e-6, "high": 1e-2, "log": True},
}


def spec_of(trials: int, sampler: str) -> StudySpec:
    limits = {"trials": trials, "trial": 60}
    facts = {
        "name": "cost",
        "goal": "speed",
        "target": 0.6,
        "sampler": sampler,
        "limits": limits,
        "space": SPACE,
    }
    return StudySpec.model_validate(facts)


def curve(recipe: Any) -> list[EpochReport]:
    """Seconds and accuracy from the recipe by a formula, at no cost."""
    pace, top = 0.5 + 10 / recipe["batch_size"], 0.7 - abs(recipe["lr_scale"] - 1) / 20
    return [
        EpochReport(n, recipe["epochs"], 1.0, None, top * (1 - 0.6**n), 0.1, n * pace, 1 + n * pace)
        for n in range(1, recipe["epochs"] + 1)
    ]


def seconds_per_proposal(trials: int, folder: Path) -> tuple[str, float]:
    """The sampler's name and the median of a few proposals, each told before the next."""
    random = Search(spec_of(trials + ASKS, "random"), folder / "random.log")
    records: dict[int, TrialRecord] = {}
    for _ in range(trials):
        new = random.ask({}, 60.0)
        records[new.number] = finished(new)
    spec = spec_of(trials + ASKS, "auto")
    search = Search(spec, folder / "auto.log")
    search.reconcile(records)
    models = fit_all(timing for record in records.values() for timing in timings_of(record))
    taken = []
    for _ in range(ASKS):
        began = time.perf_counter()
        new = search.ask(models, 60.0)
        taken.append(time.perf_counter() - began)
        search.tell(finished(new))
    return sampler_name(spec, trials), median(taken)


def finished(new: Any) -> TrialRecord:
    epochs = tuple(curve(new.recipe))
    last = epochs[-1]
    outcome = Outcome(
        TrialState.COMPLETED, 1, last.epoch, last.validation_accuracy, None, last.train_seconds, last.wall_seconds
    )
    spec = TrialSpec(new.number, "m:f", new.recipe, new.params, 60.0, None, None)
    return TrialRecord(spec, TrialState.COMPLETED, 1, epochs=epochs, outcome=outcome)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 100, 1000, 5000])
    given = parser.parse_args()
    print("| finished trials | sampler | per proposal | driver CPU per trial |\n|---|---|---|---|")
    for trials in given.trials:
        with tempfile.TemporaryDirectory() as folder:
            sampler, seconds = seconds_per_proposal(trials, Path(folder))
            began = time.process_time()
            simulate(spec_of(trials, "random"), curve, 8, Path(folder))
            cpu = (time.process_time() - began) / trials
        print(f"| {trials:,} | {sampler} | {seconds * 1000:.0f} ms | {cpu * 1000:.1f} ms |", flush=True)


if __name__ == "__main__":
    main()
