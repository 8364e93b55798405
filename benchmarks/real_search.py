"""Searches that really train: ours, plain TPE and random, on CIFAR-10 under the same budget.

    python benchmarks/real_search.py --dataset imagefolder:/data/cifar10 --seeds 0 1 2

One GPU or one CPU thread, trials of at most 40 s, 15 minutes of job time in all, target 60 % validation accuracy.
Ours is `sweep launch` with goal speed, jobs, ledger and all. The plain loops call the same trainer in this
process, with the data loaded, so that start-up costs them nothing; a trial is cut at its limit and its last epoch
counts.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.samplers import RandomSampler, TPESampler
from sample_efficiency import SPACE, TARGET, Loop, by_accuracy, suggest

import sweep
from sweep.paths import RunPaths
from sweep.run import open_run
from sweep.search.proposals import seconds_to_target
from trainer.config import TrainConfig
from trainer.context import Calibration, EpochReport, StopReason
from trainer.training import train

SEARCHES = ("ours", "tpe", "random")
STUDY = """
name = "real"
goal = "speed"
target = {target}
seed = {seed}
[limits]
trials = 1000
trial = {limit}
gpu_hours = {hours}
[fixed]
model = "convnet"
dataset = "{dataset}"
[space]
"""


@dataclass
class Kept:
    """A context with a deadline that keeps the epochs."""

    deadline: float
    folder: Path | None = None
    wants_calibration: bool = False
    alternatives: dict[int, TrainConfig] = field(default_factory=dict)
    epochs: list[EpochReport] = field(default_factory=list)

    def calibrated(self, calibration: Calibration) -> None:
        return None

    def report(self, epoch: EpochReport) -> StopReason | None:
        self.epochs.append(epoch)
        return None

    def running_loss(self, epoch: int, step: int, loss: float) -> None:
        return None

    def stop_requested(self) -> StopReason | None:
        return None


def ours(given: argparse.Namespace, seed: int) -> tuple[float, float, float, int]:
    """Job seconds to the first trial at the target, its best training seconds, the best accuracy, trials."""
    with tempfile.TemporaryDirectory() as folder:
        text = STUDY.format(
            target=TARGET, seed=seed, limit=given.limit, hours=given.budget / 3600, dataset=given.dataset
        )
        tables = "\n".join(f"{key} = {_inline(form)}" for key, form in SPACE.items())
        study = Path(folder) / "real.toml"
        study.write_text(text + tables + "\n")
        root = sweep.launch(study, changes={"profile.slots": 1, "profile.standby": 0}, runs=Path(folder) / "runs")
        run = open_run(RunPaths(root))
        spent, first, best = 0.0, math.inf, math.inf
        for job in run.jobs.values():
            spent += job.end.gpu_seconds if job.end else 0.0
            record = run.trials[job.bundle.attempts[0].trial]
            if (seconds := seconds_to_target(run.spec, record)) is not None:
                first, best = min(first, spent), min(best, seconds)
        return first, best, max(record.accuracy or 0.0 for record in run.trials.values()), len(run.trials)


def plain(make: Any, given: argparse.Namespace, seed: int) -> tuple[float, float, float, int]:
    """An Optuna loop as it is usually written."""
    made: Loop = make(seed)
    study, tell = made
    spent, first, best, top = 0.0, math.inf, math.inf, 0.0
    while spent + given.limit <= given.budget:
        trial = study.ask()
        began = time.monotonic()
        context = Kept(began + given.limit)
        keys = {**suggest(trial), "model": "convnet", "dataset": given.dataset, "seed": seed + trial.number}
        result = train(TrainConfig.model_validate(keys), context)
        spent += time.monotonic() - began
        hits = [epoch.train_seconds for epoch in context.epochs if (epoch.validation_accuracy or 0.0) >= TARGET]
        if hits:
            first, best = min(first, spent), min(best, hits[0])
        top = max(top, result.accuracy or 0.0)
        tell(study, trial, result.accuracy or 0.0, result.train_seconds, False)
    return first, best, top, len(study.trials)


def _inline(form: dict[str, Any]) -> str:
    facts = (f"{key} = {str(value).lower() if isinstance(value, bool) else value}" for key, value in form.items())
    return "{ " + ", ".join(facts).replace("'", '"') + " }"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--limit", type=float, default=40.0, help="seconds of a trial")
    parser.add_argument("--budget", type=float, default=900.0, help="seconds of all jobs")
    parser.add_argument("--searches", nargs="+", choices=SEARCHES, default=SEARCHES)
    given = parser.parse_args()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows = {
        "ours": partial(ours, given),
        "tpe": partial(plain, partial(by_accuracy, lambda seed: TPESampler(seed=seed), ""), given),
        "random": partial(plain, partial(by_accuracy, lambda seed: RandomSampler(seed=seed), ""), given),
    }
    print("| search | seed | to first hit | best time | best accuracy | trials |\n|---|---|---|---|---|---|")
    for seed in given.seeds:
        for name in given.searches:
            first, best, top, trials = rows[name](seed)
            shown = [f"{seconds:.0f} s" if seconds < math.inf else "never" for seconds in (first, best)]
            print(f"| {name} | {seed} | {shown[0]} | {shown[1]} | {top:.2%} | {trials} |", flush=True)


if __name__ == "__main__":
    main()
