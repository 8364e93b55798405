"""A sampler that learns from every epoch: it predicts learning curves, and knows what an epoch costs.

Other samplers hear one value of a trial, at its end. This one sees all of the curve, also of a trial that was
stopped or still runs, and gets the seconds from the walltime model: only the accuracy is left to be predicted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from scipy.special import ndtr
from threadpoolctl import threadpool_limits

from sweep.records import TrialRecord, TrialState
from sweep.search.drawing import draw_anywhere, draw_near, draw_start
from sweep.search.features import Features
from sweep.search.gaussian_process import Array, GaussianProcess, fit
from sweep.search.proposals import Goal, Params, distributions, epoch_seconds
from sweep.search.samplers import CURVES, STARTS
from sweep.spec import StudySpec
from sweep.walltime import WalltimeModels

CANDIDATES = 1500
BEST = 5  # recipes of which two thirds of the candidates are changes
POINTS, POINTS_OF_A_TRIAL = 240, 4  # to learn from
FLOOR = 0.3  # of accuracy below the best: what is worse is simply bad


@dataclass(frozen=True)
class Lessons:
    """What a proposal may know."""

    spec: StudySpec
    goal: Goal
    trials: Sequence[TrialRecord]  # ended or under way, of this study or another
    recipe_of: Callable[[Params], Params | None]  # None for one that is not wanted
    models: WalltimeModels


class CurveSampler(BaseSampler):
    """Proposes what is expected to improve most on the best trial: in accuracy, or in seconds to the target.

    Also for speed, accuracy is what counts until a first trial has reached the target.
    """

    def __init__(self, lessons: Lessons, seed: int) -> None:
        self.lessons, self.random = lessons, np.random.default_rng(seed)
        paces = [epoch_seconds(lessons.models, record.spec.recipe) for record in lessons.trials]
        self.typical_pace = median([pace for pace in paces if pace is not None] or [1.0])

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return distributions(self.lessons.spec)

    def sample_relative(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Params:
        """The most promising of many candidates; nothing while too little is known."""
        known = [record for record in self.lessons.trials if curve(record)]
        if len(known) < STARTS[CURVES]:
            return {}
        candidates = self._candidates(search_space, sorted(known, key=self._merit, reverse=True)[:BEST])
        if not candidates:
            return {}
        with threadpool_limits(1):  # for matrices this small, more are slower, and login nodes are shared
            gains = self._gains([recipe for _, recipe in candidates], known)
        return candidates[int(np.argmax(gains))][0]

    def sample_independent(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return draw_start(param_name, param_distribution, self.random)

    def _candidates(
        self, space: dict[str, BaseDistribution], best: Sequence[TrialRecord]
    ) -> list[tuple[Params, Params]]:
        """Parameters and recipes of the candidates that are wanted."""
        drawn = (
            draw_near(best[index % len(best)].spec.params, space, self.random)
            if index % 3
            else draw_anywhere(space, self.random)
            for index in range(CANDIDATES)
        )
        pairs = ((params, self.lessons.recipe_of(params)) for params in drawn)
        return [(params, recipe) for params, recipe in pairs if recipe is not None]

    def _gains(self, recipes: Sequence[Params], known: Sequence[TrialRecord]) -> Array:
        """What each recipe is expected to be better by than the best so far."""
        features = Features(self.lessons.spec)
        process = learn(features, known)
        waiting = [record.spec.recipe for record in self.lessons.trials if not record.state.is_final]
        if waiting:  # lest what runs already is proposed a second time
            process = process.believing(_ends(features, waiting))
        means, spreads = process.predict(_ends(features, recipes))
        hits = [hit for record in known if (hit := self._hit_seconds(record)) is not None]
        if self.lessons.goal == "accuracy" or not hits:  # before anything is fast, something must get there
            return expected_excess(means, spreads, max(record.accuracy or 0.0 for record in known))
        reaches = ndtr((means - self.lessons.spec.target) / spreads)
        seconds = np.array([recipe["epochs"] * self._pace(recipe) for recipe in recipes])
        return expected_saving(reaches, seconds, min(hits))

    def _merit(self, record: TrialRecord) -> tuple[float, float]:
        hit = self._hit_seconds(record) if self.lessons.goal == "speed" else None
        return (-math.inf if hit is None else -hit, record.accuracy or 0.0)

    def _hit_seconds(self, record: TrialRecord) -> float | None:
        """Seconds to the target as the walltime model sees them, which has no good or bad moments."""
        reached = (epoch for epoch, _, accuracy in curve(record) if accuracy >= self.lessons.spec.target)
        first = next(reached, None)
        return None if first is None else first * self._pace(record.spec.recipe)

    def _pace(self, recipe: Params) -> float:
        """Seconds of an epoch; a network that was never timed is taken to be like the others."""
        known = epoch_seconds(self.lessons.models, recipe)
        return self.typical_pace if known is None else known


def curve(record: TrialRecord) -> list[tuple[int, int, float]]:
    """What a trial shows of its recipe: (epoch, epochs of the recipe, validation accuracy)."""
    if record.state.is_failure:
        return []
    epochs = int(record.spec.recipe["epochs"])
    seen = [
        (report.epoch, epochs, report.validation_accuracy)
        for report in record.epochs
        if report.validation_accuracy is not None
    ]
    if record.state == TrialState.DIVERGED:
        seen.append((epochs, epochs, 0.0))
    elif not seen and record.outcome is not None and record.outcome.accuracy is not None:
        seen.append((epochs, epochs, record.outcome.accuracy))  # of a trainer that does not report epochs
    return seen


def learn(features: Features, trials: Sequence[TrialRecord]) -> GaussianProcess:
    """A process of the accuracies of these trials, some epochs of each, the last one always."""
    if len(trials) > POINTS:  # the best of them and the newest
        best = sorted(trials, key=lambda record: record.accuracy or 0.0)[-POINTS // 2 :]
        numbers = {record.number for record in best}
        trials = [*best, *[record for record in trials if record.number not in numbers][-POINTS // 2 :]]
    count = max(1, min(POINTS_OF_A_TRIAL, POINTS // len(trials)))
    points, values = [], []
    for record in trials:
        seen = curve(record)
        for index in sorted({round(len(seen) / share) - 1 for share in np.geomspace(1, len(seen), count)}):
            epoch, epochs, accuracy = seen[index]
            points.append(features.point(record.spec.recipe, epoch, epochs))
            values.append(accuracy)
    floor = max(values) - FLOOR
    return fit(np.array(points), np.maximum(values, floor), features.groups)


def _ends(features: Features, recipes: Sequence[Params]) -> Array:
    """The points at which these recipes have all their epochs."""
    return np.array([features.point(recipe, recipe["epochs"], recipe["epochs"]) for recipe in recipes])


def expected_excess(means: Array, spreads: Array, best: float) -> Array:
    """How far normal values are expected to be above `best`, counting those below as nothing.

    Expected improvement, as in Jones, Schonlau & Welch, Efficient Global Optimization (1998), (15).
    """
    over = (means - best) / spreads
    density = np.exp(-(over**2) / 2) / math.sqrt(2 * math.pi)
    return np.asarray(spreads * (over * ndtr(over) + density))


def expected_saving(reaches: Array, seconds: Array, best_seconds: float) -> Array:
    """By how much the logarithm of the seconds to the target is expected to fall below the best, counting no rise.

    `reaches` are the chances that recipes reach the target at all, in `seconds`, which are known.
    """
    return np.asarray(reaches * np.maximum(0.0, math.log(best_seconds) - np.log(seconds)))
