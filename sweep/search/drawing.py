"""Values of Optuna's distributions by where they lie between their ends, and random recipes made of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sweep.search.proposals import EPOCHS_SHARE, Params

# Beta distributions of where a search begins: near the middle of a range, with most of the epochs that fit.
MIDDLE, MOST = (3.0, 3.0), (2.0, 1.0)
MOVES, STRIDE = 0.6, 0.1  # the chance that a number changes, and by how much of its range
SWITCHES = 0.2  # the chance that a choice is drawn anew

Numbers = FloatDistribution | IntDistribution


def draw_anywhere(space: Mapping[str, BaseDistribution], random: np.random.Generator) -> Params:
    """A recipe from the whole space."""
    return {name: value_at(distribution, random.random()) for name, distribution in space.items()}


def draw_start(name: str, distribution: BaseDistribution, random: np.random.Generator) -> Any:
    """A value as good as any while nothing is known: choices alike, numbers near the middle."""
    if isinstance(distribution, CategoricalDistribution):
        return value_at(distribution, random.random())
    return value_at(distribution, random.beta(*(MOST if name == EPOCHS_SHARE else MIDDLE)))


def draw_near(params: Params, space: Mapping[str, BaseDistribution], random: np.random.Generator) -> Params:
    """A recipe that differs from another in some of its values, in numbers by little."""
    return {name: _changed(params.get(name), distribution, random) for name, distribution in space.items()}


def _changed(value: Any, distribution: BaseDistribution, random: np.random.Generator) -> Any:
    chance, anywhere = random.random(), value_at(distribution, random.random())
    if value is None:
        return anywhere
    if isinstance(distribution, CategoricalDistribution):
        return anywhere if chance < SWITCHES else value
    assert isinstance(distribution, Numbers)
    step = 1 / max(1, distribution.high - distribution.low) if isinstance(distribution, IntDistribution) else 0.0
    share = share_of(distribution, value) + random.normal() * max(STRIDE, step)
    return value_at(distribution, min(1.0, max(0.0, share))) if chance < MOVES else value


def value_at(distribution: BaseDistribution, share: float) -> Any:
    """The value at a share in [0, 1] of a range, on its scale, or of a list of choices."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[min(int(share * len(distribution.choices)), len(distribution.choices) - 1)]
    assert isinstance(distribution, Numbers)
    low, high = _ends(distribution)
    between = low + share * (high - low)
    value = math.exp(between) if distribution.log else between
    kept = min(distribution.high, max(distribution.low, value))
    return round(kept) if isinstance(distribution, IntDistribution) else kept


def share_of(distribution: Numbers, value: float) -> float:
    """Where a value lies in its range: `value_at` the other way round."""
    low, high = _ends(distribution)
    return ((math.log(value) if distribution.log else value) - low) / (high - low) if high > low else 0.0


def _ends(distribution: Numbers) -> tuple[float, float]:
    ends = distribution.low, distribution.high
    return (math.log(ends[0]), math.log(ends[1])) if distribution.log else ends
