"""The reference learning rates: a coarse grid per optimizer, on validation accuracy.

    python benchmarks/reference_rates.py --dataset imagefolder:/data/cifar10 --optimizers rmsprop muon

The reference network on CIFAR-10, batch 50, two epochs of one-cycle, means over `--seeds`.
"""

from __future__ import annotations

import argparse
import statistics
from typing import get_args

import torch

from trainer.config import OptimizerName, TrainConfig
from trainer.context import QuietContext
from trainer.schedules import REFERENCE_LR
from trainer.training import train

FACTORS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--data-dir", default="")
    parser.add_argument(
        "--optimizers", nargs="+", choices=get_args(OptimizerName), default=get_args(OptimizerName)
    )
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| optimizer | reference | " + " | ".join(f"x {factor:g}" for factor in FACTORS) + " |")
    print("|---|---" + "|---" * len(FACTORS) + "|")
    for optimizer in given.optimizers:
        cells = []
        for factor in FACTORS:
            accuracies = []
            for seed in range(given.seeds):
                config = TrainConfig(
                    dataset=given.dataset,
                    data_dir=given.data_dir,
                    epochs=2,
                    batch_size=50,
                    optimizer=optimizer,
                    lr_scale=factor,
                    seed=seed,
                )
                accuracies.append(train(config, QuietContext()).accuracy or 0.0)
            cells.append(f"{statistics.mean(accuracies):.1%}")
        print(f"| {optimizer} | {REFERENCE_LR[optimizer]:g} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
