"""A trainer that only sleeps: what is left of the slots' time is what the sweep itself costs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from trainer import Ended, EpochReport, RunContext, TrainResult

DURATIONS = (2, 2, 2, 3, 3, 4, 6, 12)  # seconds; many short trials and a few long ones, as in a real search


def sleep(config: Mapping[str, Any], context: RunContext) -> TrainResult:
    """Sleep one of DURATIONS, picked by `draw` in [0, 1)."""
    seconds = float(DURATIONS[int(float(config["draw"]) * len(DURATIONS))])
    time.sleep(seconds)
    context.report(EpochReport(1, 1, 0.0, 0.0, 0.5, 0.0, seconds, seconds))
    return TrainResult(Ended.COMPLETED, 1, 0.5, train_seconds=seconds, wall_seconds=seconds)


def nap(config: Mapping[str, Any], context: RunContext) -> TrainResult:
    """Sleep a second per epoch, so that a walltime model has something to learn."""
    epochs = int(config["epochs"])
    for epoch in range(1, epochs + 1):
        time.sleep(1.0)
        context.report(EpochReport(epoch, epochs, 0.0, 0.0, 0.5, 0.0, float(epoch), float(epoch)))
    return TrainResult(Ended.COMPLETED, epochs, 0.5, train_seconds=float(epochs), wall_seconds=float(epochs))
