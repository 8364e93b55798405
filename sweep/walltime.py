"""The walltime model: seconds of an epoch by batch size, learned from the epochs seen so far."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from sweep.records import TrialRecord

UNTIMED_EPOCHS = 3  # proposed at most while nothing has been timed
MARGIN = 1.1  # a shared machine is seldom as quick as its quickest epoch


@dataclass(frozen=True)
class Timing:
    """One trial's pace: seconds of wall time per epoch, evaluation included, and of its start-up."""

    batch_size: float
    epoch_seconds: float
    startup_seconds: float
    epochs: int = 2  # how many the pace was taken from


@dataclass(frozen=True)
class WalltimeModel:
    """Epoch seconds are `constant + per_batch / batch_size`, both coefficients non-negative.

    With n images, `constant` is n times the cost of an image and `per_batch` n times the cost of a step.
    """

    constant: float
    per_batch: float
    startup_seconds: float
    margin: float
    lone_batch: float | None = None  # the only batch size seen: the two coefficients cannot be told apart

    def epoch_seconds(self, batch_size: float) -> float:
        """Predicted seconds of one epoch; with one batch size seen, the most that any split would give."""
        if self.lone_batch is not None:
            return self.constant * max(1.0, self.lone_batch / batch_size)
        return self.constant + self.per_batch / batch_size

    def trial_seconds(self, batch_size: float, epochs: int) -> float:
        """Predicted wall seconds of a whole trial, margin included."""
        return self.startup_seconds + epochs * self.epoch_seconds(batch_size) * self.margin

    def fitting_epochs(self, batch_size: float, limit_seconds: float) -> int:
        """The most epochs that fit `limit_seconds`; 0 if not even one does."""
        per_epoch = self.epoch_seconds(batch_size) * self.margin
        return max(0, math.floor((limit_seconds - self.startup_seconds) / per_epoch))


WalltimeModels = Mapping[str, WalltimeModel]  # by network_of; networks have nothing in common


def fit_all(records: Iterable[TrialRecord]) -> WalltimeModels:
    """A model for every network of which an epoch was seen."""
    seen: dict[str, list[Timing]] = {}
    for record in records:
        if record.epochs:
            seen.setdefault(network_of(record.spec.recipe), []).append(timing(record))
    return {network: fit(timings) for network, timings in seen.items()}


def timing(record: TrialRecord) -> Timing:
    """The pace of a trial that has finished an epoch."""
    walls = [epoch.wall_seconds for epoch in record.epochs]
    steps = [late - early for early, late in pairwise(walls)]
    pace = max(median(steps) if steps else record.epochs[0].train_seconds, 1e-6)
    startup = max(0.0, walls[0] - pace)
    return Timing(batch_size_of(record.spec.recipe), pace, startup, epochs=len(walls))


def network_of(recipe: Mapping[str, Any]) -> str:
    """What tells one network's timings from another's, whatever a trainer means by `model`."""
    return repr(recipe.get("model"))


def batch_size_of(recipe: Mapping[str, Any]) -> float:
    """The recipe's batch size; 1 where a trainer of the user's own has none, or means something else by it."""
    value = recipe.get("batch_size")
    return float(value) if isinstance(value, int | float) and value >= 1 else 1.0


def fit(seen: Sequence[Timing]) -> WalltimeModel:
    """Least squares on relative errors with non-negative coefficients, from at least one timing."""
    seen = [timing for timing in seen if timing.epochs > 1] or seen  # a lone epoch includes every warm-up
    startup = median(timing.startup_seconds for timing in seen)
    batches = {timing.batch_size for timing in seen}
    if len(batches) == 1:
        pace = median(timing.epoch_seconds for timing in seen)
        constant, per_batch, lone = pace, 0.0, batches.pop()
    else:
        constant, per_batch = _nnls([(1 / t.epoch_seconds, 1 / (t.batch_size * t.epoch_seconds)) for t in seen])
        lone = None
    model = WalltimeModel(constant, per_batch, startup, MARGIN, lone)
    ratios = sorted(timing.epoch_seconds / model.epoch_seconds(timing.batch_size) for timing in seen)
    high = ratios[min(len(ratios) - 1, math.floor(0.9 * len(ratios)))]
    return WalltimeModel(constant, per_batch, startup, max(MARGIN, high), lone)


def _nnls(rows: list[tuple[float, float]]) -> tuple[float, float]:
    """x, y >= 0 that minimise the sum of (a x + b y - 1)^2 over the rows (a, b), in closed form."""
    aa, ab, bb = (sum(r[i] * r[j] for r in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
    a1, b1 = (sum(r[i] for r in rows) for i in (0, 1))
    determinant = aa * bb - ab * ab
    if determinant > 1e-12 * aa * bb:
        x, y = (a1 * bb - b1 * ab) / determinant, (b1 * aa - a1 * ab) / determinant
        if x >= 0 and y >= 0:
            return x, y
    candidates = [(a1 / aa, 0.0), (0.0, b1 / bb)]
    return min(candidates, key=lambda xy: sum((a * xy[0] + b * xy[1] - 1) ** 2 for a, b in rows))
