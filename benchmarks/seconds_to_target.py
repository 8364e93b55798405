"""Training seconds to a test accuracy on CIFAR-10: a starting recipe, a recipe that a search found, their ratio.

    python benchmarks/seconds_to_target.py --dataset imagefolder:/data/cifar10
    python benchmarks/seconds_to_target.py --device cuda --targets 0.6 0.7 --found runs/cifar10_60/trials/00033

Both train on all 50,000 images and are measured after every epoch; the first epoch at the target counts.
Evaluation is not in the seconds. The recipes take turns, seed by seed. `--found` takes the folder of a trial: the
recipe is known from its validation accuracy alone, so the test set chose nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from trainer.config import TrainConfig
from trainer.context import Calibration, EpochReport, StopReason
from trainer.devices import choose_device, device_name
from trainer.training import train

START = {"epochs": 30, "batch_size": 4, "optimizer": "sgd", "lr": 0.001, "schedule": "constant"}
# Among 160 random trials of the space of `cifar10_60` (`--set sampler=random --set goal=accuracy`), one of those
# that passed 60 % validation accuracy soonest, with room to spare.
FOUND: dict[str, Any] = {
    "epochs": 5,
    "batch_size": 25,
    "optimizer": "momentum",
    "schedule": "one_cycle",
    "lr_scale": 0.532,
    "weight_decay": 3.4e-05,
}


@dataclass
class UntilTheLast:
    """A context that notes when each target is first reached on the test set, and stops at the last."""

    targets: tuple[float, ...]
    reached: dict[float, float] = field(default_factory=dict)
    folder: Path | None = None
    deadline: float = math.inf
    wants_calibration: bool = False
    alternatives: dict[int, TrainConfig] = field(default_factory=dict)

    def calibrated(self, calibration: Calibration) -> None:
        return None

    def report(self, epoch: EpochReport) -> StopReason | None:
        for target in self.targets:
            if (epoch.test_accuracy or 0) >= target:
                self.reached.setdefault(target, epoch.train_seconds)
        return StopReason.TARGET if len(self.reached) == len(self.targets) else None

    def running_loss(self, epoch: int, step: int, loss: float) -> None:
        return None

    def stop_requested(self) -> StopReason | None:
        return None


def measure(recipe: dict[str, Any], given: argparse.Namespace, seed: int) -> dict[float, float]:
    """Seconds to each target that was reached."""
    keys = {"dataset": given.dataset, "data_dir": given.data_dir, "device": given.device, "seed": seed}
    config = TrainConfig.model_validate({**recipe, **keys, "validation_fraction": 0, "test_epochs": True})
    context = UntilTheLast(tuple(given.targets))
    train(config, context)
    return context.reached


def found_recipe(folder: Path | None) -> dict[str, Any]:
    """The recipe of a trial's folder, or the one above."""
    if folder is None:
        return FOUND
    recipe = json.loads((folder / "trial.json").read_text())["recipe"]
    return {key: value for key, value in recipe.items() if key not in ("test", "split_seed")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--targets", type=float, nargs="+", default=[0.6])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--found", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    recipes = {"start": START, "found": found_recipe(given.found)}
    for name, recipe in recipes.items():
        print(f"{name}: {recipe}")
    print(f"{device_name(choose_device(given.device))}, {given.threads} thread(s)\n")
    print("| seed | target | start | found | ratio |\n|---|---|---|---|---|")
    ratios: dict[float, list[float]] = {target: [] for target in given.targets}
    for seed in range(given.seeds):
        seconds = {name: measure(recipe, given, seed) for name, recipe in recipes.items()}
        for target in given.targets:
            start, found = (seconds[name].get(target) for name in ("start", "found"))
            ratio = start / found if start and found else None
            ratios[target] += [ratio] if ratio else []
            cells = [f"{value:.1f} s" if value else "not reached" for value in (start, found)]
            print(
                f"| {seed} | {target:.0%} | {' | '.join(cells)} | {f'{ratio:.1f}' if ratio else ''} |", flush=True
            )
    for target, values in ratios.items():
        if values:
            spread = f"{min(values):.1f} to {max(values):.1f}"
            print(f"\n{target:.0%}: median ratio {statistics.median(values):.1f} ({spread})")


if __name__ == "__main__":
    main()
