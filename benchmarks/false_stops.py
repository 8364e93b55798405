"""How often a trial that would have reached its target is stopped as hopeless, and what stopping saves.

    python benchmarks/false_stops.py

Replays the 160 real curves of `cifar10_curves.csv` with several targets, each trial up to its own last epoch. The
rule was chosen by looking at these curves, so fresh ones may fare a little worse.
"""

from __future__ import annotations

from pathlib import Path

from sweep.curves import LOOK_SHARE, is_hopeless
from sweep.surrogate import Curve, read_curves

TARGETS = (0.4, 0.5, 0.55, 0.6, 0.62)


def stopped_after(curve: Curve, target: float) -> int | None:
    """The epoch after which the trial is stopped as hopeless, if it is."""
    accuracies = [accuracy for accuracy, _, _ in curve.epochs]
    planned = int(curve.recipe["epochs"])
    for epoch in range(1, len(accuracies) + 1):
        if accuracies[epoch - 1] >= target:
            return None
        if epoch >= LOOK_SHARE * planned and is_hopeless(accuracies[:epoch], planned - epoch, target):
            return epoch
    return None


def main() -> None:
    curves = read_curves(Path(__file__).parent / "cifar10_curves.csv")
    print("| target | trials that reach it | of them stopped | epochs of all trials saved |\n|---|---|---|---|")
    for target in TARGETS:
        reach = [curve for curve in curves if max(accuracy for accuracy, _, _ in curve.epochs) >= target]
        wrong = sum(stopped_after(curve, target) is not None for curve in reach)
        trained = saved = 0
        for curve in curves:
            hits = [epoch for epoch, (accuracy, _, _) in enumerate(curve.epochs, 1) if accuracy >= target]
            end = hits[0] if hits else len(curve.epochs)
            trained += end
            saved += end - (stopped_after(curve, target) or end)
        print(f"| {target:.0%} | {len(reach)} | {wrong} | {saved / trained:.0%} |")


if __name__ == "__main__":
    main()
