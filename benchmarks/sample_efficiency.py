"""How soon searches find a recipe that reaches the target: ours against what people use today, simulated.

    python benchmarks/sample_efficiency.py --seeds 50 --workers 2

One GPU, trials of at most 25 s, 1,500 GPU-seconds in all; space and training come from `cifar10_curves.csv`
(about one random recipe in a hundred reaches 60 % in time). Our rows are whole studies: driver, ledger, walltime
model and search on a virtual clock. The others are plain Optuna loops over the same space and training, in which
epochs are an integer from 1 to 12, nothing stops a trial at the target, and a trial is cut at its limit (an
overrun; its last epoch counts, which is generous).

    solved        share of the seeds that found a recipe at the target
    to first hit  GPU-seconds spent until then, median over all seeds (never found counts as infinite)
    best time     training seconds to the target of the best recipe found, median of the solved
    best accuracy at the end of the budget, median
    overruns      trials that ran into the limit, share of all
    over budget   seeds that spent more than the budget
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler

from sweep.records import TrialState
from sweep.search.proposals import seconds_to_target
from sweep.simulation import simulate
from sweep.spec import StudySpec
from sweep.surrogate import CurveSurrogate, read_curves
from trainer.context import EpochReport

HERE = Path(__file__).parent
TARGET, LIMIT_SECONDS, BUDGET_SECONDS, UP_TO = 0.6, 25.0, 1500.0, 12
SPACE: dict[str, dict[str, Any]] = {
    "epochs": {"up_to": UP_TO},
    "batch_size": {"divisors_of": 50_000, "low": 8, "high": 1000},
    "optimizer": {"choices": ["sgd", "momentum", "nesterov", "adam", "muon"]},
    "schedule": {"choices": ["constant", "one_cycle"]},
    "lr_scale": {"low": 0.1, "high": 10.0, "log": True},
    "weight_decay": {"low": 1e-6, "high": 1e-2, "log": True},
}
BATCH_SIZES = [size for size in range(8, 1001) if 50_000 % size == 0]


@dataclass(frozen=True)
class Result:
    """What one search came to."""

    first_hit_seconds: float
    best_seconds: float
    best_accuracy: float
    trials: int
    overruns: int
    spent_seconds: float


def ours(goal: str, sampler: str, seed: int, *, hopeless: bool = True) -> Result:
    """A study of our own, from launch to its last GPU-second."""
    spec = StudySpec.model_validate(
        {
            "name": "simulated",
            "goal": goal,
            "target": TARGET,
            "seed": seed,
            "sampler": sampler,
            "stop_hopeless": hopeless,
            "limits": {"trials": 100_000, "trial": LIMIT_SECONDS, "gpu_hours": BUDGET_SECONDS / 3600},
            "fixed": {"model": "convnet"},
            "space": SPACE,
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        board, _ = simulate(spec, surrogate(seed), 1, Path(folder))
        begins: dict[int, float] = {}
        now = 0.0
        for job in board.jobs.values():
            assert job.end is not None
            for attempt in job.bundle.attempts:
                if attempt.number == 1:
                    begins[attempt.trial] = now
            now += job.end.gpu_seconds
        first, best = math.inf, math.inf
        for number, record in board.trials.items():
            if (seconds := seconds_to_target(spec, record)) is not None:
                best = min(best, seconds)
                wall = next(
                    epoch.wall_seconds for epoch in record.epochs if (epoch.validation_accuracy or 0) >= TARGET
                )
                first = min(first, begins[number] + wall)
        return Result(
            first,
            best,
            max((record.accuracy or 0.0 for record in board.trials.values()), default=0.0),
            len(board.trials),
            sum(record.state == TrialState.DEADLINE for record in board.trials.values()),
            board.ledger.spent_seconds,
        )


def surrogate(seed: int) -> CurveSurrogate:
    return CurveSurrogate(read_curves(HERE / "cifar10_curves.csv"), seed)


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """A recipe as a plain Optuna loop would ask for it."""
    return {
        "epochs": trial.suggest_int("epochs", 1, UP_TO),
        "batch_size": trial.suggest_categorical("batch_size", BATCH_SIZES),
        "optimizer": trial.suggest_categorical("optimizer", SPACE["optimizer"]["choices"]),
        "schedule": trial.suggest_categorical("schedule", SPACE["schedule"]["choices"]),
        "lr_scale": trial.suggest_float("lr_scale", 0.1, 10.0, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True),
    }


def plain(make: Callable[[int], tuple[optuna.Study, Callable[..., None]]], seed: int) -> Result:
    """An Optuna loop as it is usually written, until the budget has no room for another whole trial."""
    study, tell = make(seed)
    train = surrogate(seed)
    spent, first, best, accuracy, overruns = 0.0, math.inf, math.inf, 0.0, 0
    while spent + LIMIT_SECONDS <= BUDGET_SECONDS:
        trial = study.ask()
        recipe = suggest(trial)
        curve = train({**recipe, "model": "convnet"})
        done: list[EpochReport] = []
        pruned = False
        for epoch in curve:
            if epoch.wall_seconds > LIMIT_SECONDS:
                break
            done.append(epoch)
            if len(study.directions) == 1:
                trial.report(epoch.validation_accuracy or 0.0, epoch.epoch)
                pruned = trial.should_prune()
            if pruned:
                break
        cut = not pruned and len(done) < len(curve)
        overruns += cut
        spent += LIMIT_SECONDS if cut else done[-1].wall_seconds
        hit = next((epoch for epoch in done if (epoch.validation_accuracy or 0.0) >= TARGET), None)
        if hit is not None:
            first, best = min(first, spent), min(best, hit.train_seconds)
        reached = done[-1].validation_accuracy or 0.0 if done else 0.0
        accuracy = max(accuracy, reached)
        tell(study, trial, reached, done[-1].train_seconds if done else LIMIT_SECONDS, pruned)
    return Result(first, best, accuracy, len(study.trials), overruns, spent)


Loop = tuple[optuna.Study, Callable[..., None]]  # and how to tell it a trial


def by_accuracy(sampler: Callable[[int], BaseSampler], pruner: str, seed: int) -> Loop:
    """Maximise the accuracy."""
    made = optuna.pruners.HyperbandPruner(1, UP_TO) if pruner else optuna.pruners.NopPruner()
    study = optuna.create_study(direction="maximize", sampler=sampler(seed), pruner=made)

    def tell(study: optuna.Study, trial: optuna.Trial, accuracy: float, seconds: float, pruned: bool) -> None:
        if pruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, accuracy)

    return study, tell


def by_both(seed: int) -> Loop:
    """Optuna's defaults with two objectives."""
    study = optuna.create_study(directions=["maximize", "minimize"])
    study.sampler = type(study.sampler)(seed=seed)

    def tell(study: optuna.Study, trial: optuna.Trial, accuracy: float, seconds: float, pruned: bool) -> None:
        study.tell(trial, [accuracy, seconds])

    return study, tell


def constrained(seed: int) -> Loop:
    """Minimise the seconds, subject to the accuracy."""

    def missing(trial: optuna.trial.FrozenTrial) -> tuple[float]:
        return (TARGET - trial.user_attrs["accuracy"],)

    study = optuna.create_study(sampler=TPESampler(seed=seed, constraints_func=missing))

    def tell(study: optuna.Study, trial: optuna.Trial, accuracy: float, seconds: float, pruned: bool) -> None:
        trial.set_user_attr("accuracy", accuracy)
        study.tell(trial, seconds)

    return study, tell


ROWS: dict[str, Callable[[int], Result]] = {
    "ours, goal speed": partial(ours, "speed", "auto"),
    "ours, goal accuracy": partial(ours, "accuracy", "auto"),
    "ours, goal both": partial(ours, "both", "auto"),
    "ours, goal speed, GP": partial(ours, "speed", "gp"),
    "ours, goal accuracy, GP": partial(ours, "accuracy", "gp"),
    "ours, goal both, GP": partial(ours, "both", "gp"),
    "ours, goal speed, TPE": partial(ours, "speed", "tpe"),
    "ours, goal speed, random": partial(ours, "speed", "random"),
    "ours, goal speed, without stop_hopeless": partial(ours, "speed", "auto", hopeless=False),
    "random": partial(plain, partial(by_accuracy, lambda seed: RandomSampler(seed=seed), "")),
    "Optuna's defaults, two objectives": partial(plain, by_both),
    "TPE, seconds subject to accuracy": partial(plain, constrained),
    "TPE, accuracy": partial(plain, partial(by_accuracy, lambda seed: TPESampler(seed=seed), "")),
    "TPE + Hyperband": partial(plain, partial(by_accuracy, lambda seed: TPESampler(seed=seed), "hyperband")),
    "GP, accuracy": partial(plain, partial(by_accuracy, lambda seed: GPSampler(seed=seed), "")),
}


def run(row: str, seed: int) -> Result:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    return ROWS[row](seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    given = parser.parse_args()
    print("| search | solved | to first hit | best time | best accuracy | trials | overruns | over budget |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    with ProcessPoolExecutor(given.workers) as pool:
        for row in given.rows:
            began = time.monotonic()
            print(line(row, list(pool.map(partial(run, row), range(given.seeds)))), flush=True)
            print(f"<!-- {time.monotonic() - began:.0f} s -->", flush=True)


def line(row: str, results: list[Result]) -> str:
    solved = [result for result in results if result.best_seconds < math.inf]
    first = statistics.median(result.first_hit_seconds for result in results)
    return (
        f"| {row} | {len(solved) / len(results):.0%} "
        f"| {f'{first:.0f} s' if first < math.inf else 'never'} "
        f"| {statistics.median(result.best_seconds for result in solved) if solved else math.nan:.1f} s "
        f"| {statistics.median(result.best_accuracy for result in results):.2%} "
        f"| {statistics.median(result.trials for result in results):.0f} "
        f"| {sum(result.overruns for result in results) / sum(result.trials for result in results):.1%} "
        f"| {sum(result.spent_seconds > BUDGET_SECONDS for result in results)} |"
    )


if __name__ == "__main__":
    main()
