"""The walltime model: seconds of an epoch by batch size, learned from the timings seen so far."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import NamedTuple

from sweep.costs import Costs, learn
from sweep.timings import Timing, Traits

UNTIMED_EPOCHS = 3  # proposed at most while nothing has been timed
MARGIN = 1.1  # a shared machine is seldom as quick as its quickest epoch
# Standard deviations. What is proposed may now and then be cut by its limit: short trials find nothing. A request
# should do. Errors have heavier tails than a normal distribution.
LIKELY, ENOUGH = 1.0, 2.0
NEWEST, NEWEST_ALIKE = 240, 12  # timings to learn from, and how many of those with the same words
TOGETHER = 12  # settings that learn from each other
YOUNG = 3  # trials that have to be timed before a model may rule a recipe out


class Pace(NamedTuple):
    """Seconds of an epoch."""

    seconds: float  # as predicted
    likely_seconds: float  # enough 5 times of 6
    enough_seconds: float  # 19 times of 20


@dataclass(frozen=True)
class WalltimeModel:
    """Seconds of the trials of one setting."""

    pace: Callable[[float, Traits], Pace]  # by batch size and traits
    startup_seconds: float
    timed: int = YOUNG  # trials, calibrations left aside
    words: frozenset[str] = frozenset()  # that were timed, by calibrations too

    def epoch_seconds(self, batch_size: float, traits: Traits = ()) -> float:
        """Predicted seconds of one epoch."""
        return self.pace(batch_size, traits).seconds

    def trial_seconds(self, batch_size: float, epochs: int, traits: Traits = ()) -> float:
        """Predicted wall seconds of a whole trial."""
        return self.startup_seconds + epochs * self.pace(batch_size, traits).seconds

    def enough_seconds(self, batch_size: float, epochs: int, traits: Traits = ()) -> float:
        """Wall seconds that will do for a whole trial, 19 times of 20."""
        return self.startup_seconds + epochs * self.pace(batch_size, traits).enough_seconds

    def likely_seconds(self, batch_size: float, epochs: int, traits: Traits = ()) -> float:
        """Wall seconds that will do 5 times of 6: what fits a limit is told by them."""
        return self.startup_seconds + epochs * self.pace(batch_size, traits).likely_seconds

    @property
    def is_young(self) -> bool:
        """Whether so few trials were timed that one bad moment may mislead it."""
        return self.timed < YOUNG

    def fitting_epochs(self, batch_size: float, limit_seconds: float, traits: Traits = ()) -> int:
        """The most epochs that fit `limit_seconds`; 0 if not even one does, and the model is not young."""
        least = 1 if self.is_young else 0
        pace = self.pace(batch_size, traits).likely_seconds
        return max(least, math.floor((limit_seconds - self.startup_seconds) / pace))


WalltimeModels = Mapping[str, WalltimeModel]  # by setting_of


def fit_all(timings: Iterable[Timing]) -> WalltimeModels:
    """A model for every setting that was timed lately, on the device that was timed last.

    They learn from each other, those timed about the same time.
    """
    told = _on_last_devices(list(timings))
    by_setting: dict[str, list[Timing]] = {}
    for timing in told:
        by_setting.setdefault(timing.setting, []).append(timing)
    window = _window(told)
    settings = list(dict.fromkeys(timing.setting for timing in reversed(window)))  # those timed last first
    models: dict[str, WalltimeModel] = {}
    for first in range(0, len(settings), TOGETHER):
        together = settings[first : first + TOGETHER]
        costs = learn([timing for timing in window if timing.setting in together])
        models |= {setting: _model(setting, by_setting[setting], costs) for setting in together}
    return models


def _on_last_devices(timings: Sequence[Timing]) -> list[Timing]:
    devices = {timing.setting: timing.device for timing in timings if timing.device}
    return [timing for timing in timings if timing.device in ("", devices.get(timing.setting))]


def _window(timings: Sequence[Timing]) -> list[Timing]:
    """The newest timings; a few of each kind, so that one that became rare is not forgotten."""
    kept: list[Timing] = []
    count: Counter[tuple[str, Traits]] = Counter()
    for timing in reversed(timings):
        kind = timing.setting, timing.traits
        if count[kind] < NEWEST_ALIKE and len(kept) < NEWEST:
            count[kind] += 1
            kept.append(timing)
    return kept[::-1]


def _model(setting: str, seen: Sequence[Timing], costs: Costs) -> WalltimeModel:
    @cache
    def pace(batch_size: float, traits: Traits) -> Pace:
        log_seconds, spread = costs.log_epoch_seconds(setting, batch_size, traits)
        seconds = math.exp(log_seconds)
        likely, enough = (seconds * max(MARGIN, math.exp(doubt * spread)) for doubt in (LIKELY, ENOUGH))
        return Pace(seconds, likely, enough)

    return WalltimeModel(
        pace,
        startup_seconds=median(timing.startup_seconds for timing in seen),
        timed=sum(timing.epochs > 0 for timing in seen),
        words=frozenset(word for timing in seen for word in timing.traits),
    )
