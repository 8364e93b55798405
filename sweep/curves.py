"""Whether a trial is to stop after an epoch: at its target, or when it cannot get there any more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from sweep.records import TrialSpec
from trainer.context import EpochReport, StopReason

FIRST_LOOK = 2  # epochs
LOOK_SHARE = 0.25  # of the epochs, before which nothing is given up: some curves begin flat
SLACK = 0.08  # of accuracy that a curve may gain over its extrapolation, as when the learning rate falls
HOPELESS = "its target was out of reach"


def stop_after_epoch(spec: TrialSpec, epochs: Sequence[EpochReport]) -> StopReason | None:
    """What the study's goal says to the trial after its last epoch."""
    last = epochs[-1]
    if spec.stop_at is None or last.validation_accuracy is None:
        return None
    if last.validation_accuracy >= spec.stop_at:
        return StopReason.TARGET
    accuracies = [epoch.validation_accuracy or 0.0 for epoch in epochs]
    if last.epoch < LOOK_SHARE * last.epochs:
        return None
    if spec.stop_hopeless and is_hopeless(accuracies, epochs_left(spec, epochs), spec.stop_at):
        return StopReason.PRUNED
    return None


def epochs_left(spec: TrialSpec, epochs: Sequence[EpochReport]) -> int:
    """How many more epochs the recipe has and the limit allows, at the quickest pace so far."""
    last = epochs[-1]
    walls = [epoch.wall_seconds for epoch in epochs]
    pace = min((late - early for early, late in pairwise(walls)), default=last.train_seconds)
    within_limit = math.floor((spec.limit_seconds - last.wall_seconds) / max(pace, 1e-6))
    return max(0, min(last.epochs - last.epoch, within_limit))


def expected_accuracy(epochs: Sequence[EpochReport]) -> float:
    """Where a curve that was cut off would have ended: a straight line over the logarithm of the epoch.

    The fair value of a recipe beside others that were trained to their end. At least the last accuracy.
    """
    accuracies = [epoch.validation_accuracy or 0.0 for epoch in epochs]
    last = epochs[-1]
    if len(epochs) < FIRST_LOOK or last.epoch < FIRST_LOOK:
        return accuracies[-1]
    per_log = max(0.0, accuracies[-1] - accuracies[-2]) / math.log(last.epoch / (last.epoch - 1))
    return min(1.0, accuracies[-1] + per_log * math.log(last.epochs / last.epoch))


def is_hopeless(accuracies: Sequence[float], epochs_left: int, target: float) -> bool:
    """Whether even a straight line misses the target: the best so far, rising on as steeply as of late, and SLACK.

    Learning curves bend down, so a straight line is generous; SLACK is for schedules that gain at their end.
    With no epoch left, the trial is over anyway.
    """
    if len(accuracies) < FIRST_LOOK or epochs_left < 1:
        return False
    steps = [late - early for early, late in pairwise([0.0, *accuracies])]
    return max(accuracies) + max(0.0, *steps[-2:]) * epochs_left + SLACK < target
