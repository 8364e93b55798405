"""The teaching systems, run as their authors ran them: what they report, what this trainer reaches.

    python benchmarks/reference_systems.py --data-dir data --seeds 3
    python benchmarks/reference_systems.py --cifar10 imagefolder:/data/cifar10 --data-dir /data --only bn_cnn

One thread by default, as a trial of a sweep would have. Each line of the first table is one run; the second table
is Markdown. Seconds are training only: no loading, no evaluation.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch

from trainer.config import TrainConfig
from trainer.context import QuietContext, TrainResult
from trainer.recipes import RECIPES
from trainer.training import train

# What a row adds to a recipe, and what the recipe's authors report.
SYSTEMS: dict[str, tuple[str, dict[str, Any], str]] = {
    "frontier_challenge": ("frontier_challenge", {"epochs": 18}, "60 % within an hour"),
    "bn_cnn": ("bn_cnn", {}, "73.58 %"),
    "bn_cnn_cosine": ("bn_cnn", {"schedule": "cosine"}, "73.58 %"),
    "bn_cnn_averaged": ("bn_cnn", {"ema": 0.999}, "73.58 %"),
    "classifier_lab": ("classifier_lab", {}, "54 %"),
    "first_network_mlp": ("first_network_mlp", {}, "none"),
    "first_network_cnn": ("first_network_cnn", {}, "none"),
}


def run(name: str, seed: int, arguments: argparse.Namespace) -> TrainResult:
    """One run of a system's recipe."""
    recipe, added, _ = SYSTEMS[name]
    keys = {**RECIPES[recipe].keys, **added, "seed": seed, "data_dir": arguments.data_dir}
    if keys["dataset"] == "cifar10":
        keys["dataset"] = arguments.cifar10
    result = train(TrainConfig.model_validate(keys), QuietContext())
    row = {
        "system": name,
        "seed": seed,
        "ended": result.ended,
        "test_accuracy": result.test_accuracy,
        "train_seconds": round(result.train_seconds, 1),
        "wall_seconds": round(result.wall_seconds, 1),
    }
    print(json.dumps(row), flush=True)
    return result


def table(name: str, results: list[TrainResult]) -> str:
    """A row of Markdown: mean, and least to most over the seeds."""
    accuracies = [100 * (result.test_accuracy or 0) for result in results]
    seconds = [result.train_seconds for result in results]
    recipe, added, reported = SYSTEMS[name]
    extra = "".join(f", {key} {value}" for key, value in added.items())
    return (
        f"| `{recipe}`{extra} | {reported} | {statistics.mean(accuracies):.2f} % "
        f"({min(accuracies):.2f} to {max(accuracies):.2f}) | {statistics.mean(seconds):.0f} s "
        f"({min(seconds):.0f} to {max(seconds):.0f}) |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--cifar10", default="cifar10", help="the data set key to use for CIFAR-10")
    parser.add_argument("--data-dir", default="", help="where cifar10 and mnist lie")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write the table here too")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = [
        table(name, [run(name, seed, arguments) for seed in range(arguments.seeds)]) for name in arguments.only
    ]
    text = "\n".join(["| system | reported | test accuracy | training |", "|---|---|---|---|", *rows])
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
