"""The learning curves of a run's trials as a table: what simulations are made of.

    python benchmarks/collect_curves.py runs/surrogate > benchmarks/cifar10_curves.csv

`cifar10_curves.csv` comes from 160 random trials of the reference network on CIFAR-10 (image folder, 45,000
training images), one thread of a shared CPU, 90 s each:

    sweep launch cifar10_60 --set name=surrogate --set goal=accuracy --set sampler=random \\
        --set fixed.dataset=imagefolder:/data/cifar10 --set limits.trial=90s --set limits.trials=160 \\
        --set limits.gpu_hours=4 --set space.epochs.up_to=12 --set profile.slots=1 --set profile.standby=0 \\
        --set 'space.optimizer.choices=["sgd", "momentum", "nesterov", "adam", "muon"]'

A row per epoch. A trial whose loss diverged in an epoch has a last row without an accuracy.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from sweep.paths import RunPaths
from sweep.records import TrialState
from sweep.run import open_run


def main() -> None:
    run = open_run(RunPaths(Path(sys.argv[1])))
    rows = []
    for number, record in run.trials.items():
        recipe = {key: record.spec.recipe[key] for key in run.spec.space if key in record.spec.recipe}
        rows += [
            {
                "trial": number,
                **recipe,
                "epoch": epoch.epoch,
                "validation_accuracy": round(epoch.validation_accuracy or 0.0, 4),
                "train_seconds": round(epoch.train_seconds, 3),
                "wall_seconds": round(epoch.wall_seconds, 3),
            }
            for epoch in record.epochs
        ]
        if record.state == TrialState.DIVERGED and record.outcome is not None:
            seconds = record.outcome.train_seconds, record.outcome.wall_seconds
            ended = {"epoch": len(record.epochs) + 1, "train_seconds": seconds[0], "wall_seconds": seconds[1]}
            rows.append({"trial": number, **recipe, **ended})
    table = pd.DataFrame(rows)
    for key in ("lr_scale", "weight_decay"):
        table[key] = table[key].map("{:.5g}".format)
    table.to_csv(sys.stdout, index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
