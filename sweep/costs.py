"""What an image and a step cost: the most probable costs given the timings, and how sure that is.

An epoch takes `image + step / batch_size` seconds. The logarithms of both costs are sums of effects: of the
setting, and of each word of the recipe. What a word costs is shared by all settings, so a network that was never
timed with Muon is expected to pay for it about what others do. Effects have normal priors, errors a Student-t
distribution, and around the most probable effects the posterior is taken to be normal (Gelman et al., Bayesian
Data Analysis, 3rd ed., 2013, 4.1 and 17.2). What recipes of like batch size and words still have in common
corrects the prediction.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from sweep.timings import Timing, Traits

Array = NDArray[Any]
Effect = tuple[str, str]  # its kind, and the setting or word that has it

SPREADS = {  # standard deviations of the effects' priors, all of them of logarithms
    "level": 5.0,  # an image of a setting
    "ratio": 1.0,  # a step in terms of an image, anywhere
    "own ratio": 2.0,  # what sets a setting's apart: decades
    "image": 0.1,  # a word's image: flips and crops
    "step": 0.7,  # a word's step: optimizers
    "calibration": 0.3,  # a few steps of a young process against whole epochs
}
STEP_OF_IMAGES = 30.0  # what the ratio is about: 5 on a CPU, hundreds on a GPU
ERRORS = {0: 0.2, 1: 0.12}  # of a calibration's steps and of a lone epoch, warm-up and all
ERROR = 0.08  # of several epochs, from trial to trial
LOCAL = 0.1  # what recipes of like batch size and words have in common beyond all this
DIFFERENT = 0.7  # likeness that is left by a word which only one of two recipes has
FREEDOM = 4.0  # of the Student-t distribution
USUAL = 5.0  # how many timings it takes before half of what they say about the errors is believed
STEPS, CLOSE = 50, 1e-6  # of the search for the most probable effects
ROUNDS = 4  # of that search, each followed by another look at how large errors are


@dataclass(frozen=True)
class Rows:
    """Which of p effects are part of n epochs, and how many images a step of each has."""

    image: Array  # (n, p), of ones and zeros
    step: Array  # (n, p)
    words: Array  # (n, p): which effects are of words, on images
    log_batch_sizes: Array  # (n,)
    settings: Array  # (n,)

    def predict(self, logs: Array) -> tuple[Array, Array]:
        """Log seconds of the epochs (n,), and their slopes in the effects (n, p)."""
        image, step = self.image @ logs, self.step @ logs - self.log_batch_sizes
        both = np.logaddexp(image, step)
        return both, np.exp(image - both)[:, None] * self.image + np.exp(step - both)[:, None] * self.step

    def likeness(self, other: Rows) -> Array:
        """(n, m): 1 for the same batch size and words, 0.6 for twice the batch size, 0 for another setting."""
        octaves = (self.log_batch_sizes[:, None] - other.log_batch_sizes[None, :]) / math.log(2)
        mine, theirs = self.words, other.words
        differing = mine.sum(axis=1)[:, None] + theirs.sum(axis=1)[None, :] - 2 * mine @ theirs.T
        same = self.settings[:, None] == other.settings[None, :]
        return np.asarray(same * np.exp(-0.5 * octaves**2) * DIFFERENT**differing)


@dataclass(frozen=True)
class Costs:
    """The most probable of p effects, given n timings, and what is uncertain about them."""

    columns: Mapping[Effect, int]
    logs: Array  # (p,)
    covariance: Array  # (p, p)
    scale: float  # of the errors; 1 is usual
    seen: Rows  # n of them
    pulls: Array  # (n,): how much each timing moves a prediction that is like it

    def log_epoch_seconds(self, setting: str, batch_size: float, traits: Traits) -> tuple[float, float]:
        """The most probable logarithm of an epoch's seconds, and its standard deviation from trial to trial."""
        asked = _rows([Timing(batch_size, 1.0, 0.0, traits=traits, setting=setting)], self.columns)
        (predicted,), (slope,) = asked.predict(self.logs)
        variance = float(slope @ self.covariance @ slope) + (self.scale * ERROR) ** 2
        unknown = sum(("image", word) not in self.columns for word in traits)
        share = float(slope[self.columns["ratio", ""]])  # of the steps in the epoch
        spread = math.hypot((1 - share) * SPREADS["image"], share * SPREADS["step"])
        alike = asked.likeness(self.seen)[0] * DIFFERENT**unknown
        return float(predicted + alike @ self.pulls), math.sqrt(variance + unknown * spread**2)


@dataclass(frozen=True)
class Posterior:
    """How probable effects are, given timings whose errors are `scale` times the usual."""

    rows: Rows
    log_seconds: Array  # (n,)
    errors: Array  # (n,)
    means: Array  # (p,): of the priors
    spreads: Array  # (p,)
    scale: float = 1.0

    def loss(self, logs: Array) -> float:
        """The negative logarithm of the density, without its constant."""
        off = self.off(logs) / self.errors / self.scale
        unlikely = (FREEDOM + 1) / 2 * np.log1p(off**2 / FREEDOM)
        return float(unlikely.sum() + 0.5 * (((logs - self.means) / self.spreads) ** 2).sum())

    def off(self, logs: Array) -> Array:
        """(n,): how far the predictions are below the timings."""
        return np.asarray(self.log_seconds - self.rows.predict(logs)[0])

    def trust(self, logs: Array) -> Array:
        """(n,): one over the variance of each timing; the further off one is, the less it counts."""
        errors = self.errors * self.scale
        return np.asarray((FREEDOM + 1) / (FREEDOM + (self.off(logs) / errors) ** 2) / errors**2)

    def information(self, logs: Array) -> Array:
        """(p, p): what the timings tell of the effects. With the priors' it is the precision."""
        slopes = self.rows.predict(logs)[1]
        return np.asarray(slopes.T @ (slopes * self.trust(logs)[:, None]))

    def precision(self, logs: Array) -> Array:
        """(p, p): the inverse of the covariance."""
        return self.information(logs) + np.diag(1 / self.spreads**2)

    def most_probable(self, logs: Array) -> Array:
        """The effects of least loss, looked for downhill from `logs` by Gauss and Newton's steps."""
        for _ in range(STEPS):
            slopes = self.rows.predict(logs)[1]
            slope = slopes.T @ (self.trust(logs) * self.off(logs)) - (logs - self.means) / self.spreads**2
            step, loss = np.linalg.solve(self.precision(logs), slope), self.loss(logs)
            while self.loss(logs + step) > loss and np.abs(step).max() > CLOSE:
                step /= 2
            logs = logs + step
            if np.abs(step).max() <= CLOSE:
                break
        return logs


def learn(timings: Sequence[Timing]) -> Costs:
    """The costs that timings of any settings tell, from at least one timing."""
    with threadpool_limits(1):  # for matrices this small, more are slower, and login nodes are shared
        return _learn(timings)


def _learn(timings: Sequence[Timing]) -> Costs:
    effects = dict.fromkeys(effect for timing in timings for costs in _effects(timing) for effect in costs)
    columns = {effect: index for index, effect in enumerate(effects)}
    log_seconds = np.log([timing.epoch_seconds for timing in timings])
    means = {"level": float(np.median(log_seconds)), "ratio": math.log(STEP_OF_IMAGES)}
    posterior = Posterior(
        _rows(timings, columns),
        log_seconds,
        np.array([ERRORS.get(timing.epochs, ERROR) for timing in timings]),
        np.array([means.get(kind, 0.0) for kind, _ in columns]),
        np.array([SPREADS[kind] for kind, _ in columns]),
    )
    logs = posterior.means
    for _ in range(ROUNDS):
        logs = posterior.most_probable(logs)
        posterior = replace(posterior, scale=_scale(posterior, logs))
    alike = LOCAL**2 * posterior.rows.likeness(posterior.rows)
    pulls = LOCAL**2 * np.linalg.solve(alike + np.diag(1 / posterior.trust(logs)), posterior.off(logs))
    covariance = np.linalg.inv(posterior.precision(logs))
    return Costs(columns, logs, covariance, posterior.scale, posterior.rows, pulls)


def _scale(posterior: Posterior, logs: Array) -> float:
    """How large errors are, in terms of the usual; what the effects follow does not show."""
    squares = (posterior.off(logs) * posterior.scale) ** 2 * posterior.trust(logs)
    followed = float(np.trace(np.linalg.solve(posterior.precision(logs), posterior.information(logs))))
    return math.sqrt((USUAL + float(squares.sum())) / (USUAL + max(0.0, len(squares) - followed)))


def _effects(timing: Timing) -> tuple[list[Effect], list[Effect]]:
    """What makes up the cost of an image, and of a step."""
    both = [("level", timing.setting)] + ([("calibration", timing.setting)] if timing.epochs == 0 else [])
    image = [*both, *(("image", word) for word in timing.traits)]
    step = [*both, ("ratio", ""), ("own ratio", timing.setting), *(("step", word) for word in timing.traits)]
    return image, step


def _rows(timings: Iterable[Timing], columns: Mapping[Effect, int]) -> Rows:
    """Effects without a column are left out."""
    listed = list(timings)
    designs = np.zeros((2, len(listed), len(columns)))
    for row, timing in enumerate(listed):
        for design, effects in zip(designs, _effects(timing), strict=True):
            design[row, [columns[effect] for effect in effects if effect in columns]] = 1.0
    log_batch_sizes = np.log([timing.batch_size for timing in listed])
    settings = np.array([timing.setting for timing in listed])
    image, step = designs
    return Rows(image, step, image * (step == 0), log_batch_sizes, settings)
