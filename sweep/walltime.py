"""The walltime model: seconds of an epoch by batch size, learned from the timings seen so far."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from sweep.timings import Timing, Traits

UNTIMED_EPOCHS = 3  # proposed at most while nothing has been timed
MARGIN = 1.1  # a shared machine is seldom as quick as its quickest epoch
NEWEST = 100  # timings to learn from
WEIGHTS = {
    0: 0.05,
    1: 0.3,
}  # of a calibration's steps and of a lone epoch, warm-up and all, against several epochs
YOUNG = 3  # trials that have to be timed before a model may rule a recipe out
DOUBT = 1.0  # how many timings it takes before half of what sets alike recipes apart is believed
QUANTILE = 0.95  # of the errors that the margin covers


@dataclass(frozen=True)
class WalltimeModel:
    """Epoch seconds are `constant + per_batch / batch_size`, both coefficients non-negative.

    With n images, `constant` is n times the cost of an image and `per_batch` n times the cost of a step. What the
    timings of alike recipes (batch size and traits) leave unexplained corrects the prediction.
    """

    constant: float
    per_batch: float
    startup_seconds: float
    margin: float  # times the prediction is enough, 19 times of 20
    lone_batch: float | None = None  # the only batch size seen: the two coefficients cannot be told apart
    seen: tuple[Timing, ...] = ()
    # What was told so far; a copy with other coefficients begins anew.
    paces: dict[tuple[float, Traits], float] = field(default_factory=dict, init=False, compare=False, repr=False)

    def epoch_seconds(self, batch_size: float, traits: Traits = ()) -> float:
        """Predicted seconds of one epoch; with one batch size seen, the most that any split would give."""
        alike = batch_size, traits
        if alike not in self.paces:
            self.paces[alike] = self._law(batch_size) * math.exp(self._correction(batch_size, traits))
        return self.paces[alike]

    def trial_seconds(self, batch_size: float, epochs: int, traits: Traits = ()) -> float:
        """Predicted wall seconds of a whole trial."""
        return self.startup_seconds + epochs * self.epoch_seconds(batch_size, traits)

    def enough_seconds(self, batch_size: float, epochs: int, traits: Traits = ()) -> float:
        """Wall seconds that will do for a whole trial, 19 times of 20."""
        return self.startup_seconds + epochs * self.epoch_seconds(batch_size, traits) * self.margin

    @property
    def is_young(self) -> bool:
        """Whether so few trials were timed that one bad moment may mislead it."""
        return sum(timing.epochs > 0 for timing in self.seen) < YOUNG

    def fitting_epochs(self, batch_size: float, limit_seconds: float, traits: Traits = ()) -> int:
        """The most epochs that fit `limit_seconds`; 0 if not even one does, and the model is not young."""
        per_epoch = self.epoch_seconds(batch_size, traits) * self.margin
        least = 1 if self.seen and self.is_young else 0
        return max(least, math.floor((limit_seconds - self.startup_seconds) / per_epoch))

    def _law(self, batch_size: float) -> float:
        if self.lone_batch is not None:
            return self.constant * max(1.0, self.lone_batch / batch_size)
        return self.constant + self.per_batch / batch_size

    def _correction(self, batch_size: float, traits: Traits, left_out: int = -1) -> float:
        """The mean log error of the timings seen, each counted by its likeness, and shrunk towards none."""
        total, weight = 0.0, DOUBT
        for index, timing in enumerate(self.seen):
            if index != left_out:
                near = likeness(timing, batch_size, traits) * _weight(timing)
                total += near * math.log(timing.epoch_seconds / self._law(timing.batch_size))
                weight += near
        return total / weight

    def errors(self) -> list[float]:
        """Of each timing seen, the log of actual over predicted as if it had not been seen."""
        return [
            math.log(timing.epoch_seconds / self._law(timing.batch_size))
            - self._correction(timing.batch_size, timing.traits, left_out=index)
            for index, timing in enumerate(self.seen)
        ]


def likeness(timing: Timing, batch_size: float, traits: Traits) -> float:
    """1 for the same batch size and traits, 0.6 for twice the batch size, half for each word that differs."""
    octaves = math.log2(timing.batch_size / batch_size)
    differing = len(set(timing.traits) - set(traits))
    return math.exp(-0.5 * octaves**2) * 0.5**differing


WalltimeModels = Mapping[str, WalltimeModel]  # by setting_of; settings have nothing in common


def fit_all(timings: Iterable[Timing]) -> WalltimeModels:
    """A model for every setting that was timed, on the device that was timed last."""
    found: dict[str, list[Timing]] = {}
    for timing in timings:
        found.setdefault(timing.setting, []).append(timing)
    models = {}
    for setting, seen in found.items():
        device = next((timing.device for timing in reversed(seen) if timing.device), "")
        models[setting] = fit([timing for timing in seen if timing.device in ("", device)][-NEWEST:])
    return models


def fit(seen: Sequence[Timing]) -> WalltimeModel:
    """Least squares on relative errors with non-negative coefficients, from at least one timing."""
    startup = median(timing.startup_seconds for timing in seen)
    batches = {timing.batch_size for timing in seen}
    if len(batches) == 1:
        real = [timing for timing in seen if timing.epochs] or seen
        model = WalltimeModel(
            median(timing.epoch_seconds for timing in real), 0.0, startup, MARGIN, batches.pop(), tuple(seen)
        )
    else:
        rows = [(1 / t.epoch_seconds, 1 / (t.batch_size * t.epoch_seconds), _weight(t)) for t in seen]
        constant, per_batch = _nnls(rows)
        model = WalltimeModel(constant, per_batch, startup, MARGIN, seen=tuple(seen))
    errors = sorted(error for error, timing in zip(model.errors(), seen, strict=True) if timing.epochs)
    few = 1 + 0.5 / (len(errors) + 1)
    high = math.exp(errors[min(len(errors) - 1, math.floor(QUANTILE * len(errors)))]) if errors else few
    return replace(model, margin=max(MARGIN, few, high))


def _weight(timing: Timing) -> float:
    return WEIGHTS.get(timing.epochs, 1.0)


def _nnls(rows: list[tuple[float, float, float]]) -> tuple[float, float]:
    """x, y >= 0 that minimise the sum of w (a x + b y - 1)^2 over the rows (a, b, w), in closed form."""
    aa, ab, bb = (sum(r[i] * r[j] * r[2] for r in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
    a1, b1 = (sum(r[i] * r[2] for r in rows) for i in (0, 1))
    determinant = aa * bb - ab * ab
    if determinant > 1e-12 * aa * bb:
        x, y = (a1 * bb - b1 * ab) / determinant, (b1 * aa - a1 * ab) / determinant
        if x >= 0 and y >= 0:
            return x, y
    candidates = [(a1 / aa, 0.0), (0.0, b1 / bb)]
    return min(candidates, key=lambda xy: sum(w * (a * xy[0] + b * xy[1] - 1) ** 2 for a, b, w in rows))
