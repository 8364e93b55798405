"""A stand-in for training: learning curves predicted from the trials of an earlier search."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesRegressor

from sweep.records import TrialRecord
from sweep.timings import SETTING, Timing, batch_size_of, setting_of, traits_of
from sweep.walltime import fit_all
from trainer.context import EpochReport

TREES = 100
ACCURACY_NOISE = 0.007  # standard deviation between two seeds of a recipe
SECONDS_NOISE = 0.05  # of the logarithm, between two trials of a recipe
DIVERGED = 0.0  # accuracy of an epoch whose loss was no number
CURVE_COLUMNS = ("trial", "epoch", "validation_accuracy", "train_seconds", "wall_seconds")


@dataclass(frozen=True)
class Curve:
    """A recipe and what its epochs reached: (accuracy, training seconds, wall seconds), cumulative."""

    recipe: Mapping[str, Any]
    epochs: tuple[tuple[float, float, float], ...]


class CurveSurrogate:
    """Randomised trees over recipe and epoch for the accuracy, the walltime model for the seconds.

    The same recipe always gets the same curve, noise included; another `seed` draws other noise.
    """

    def __init__(self, curves: Sequence[Curve], seed: int = 0) -> None:
        """Raises ValueError if there is no curve to learn from."""
        curves = [curve for curve in curves if curve.epochs]
        if not curves:
            raise ValueError("a simulation needs finished epochs to learn from, and there are none")
        self.seed = seed
        keys = sorted({key for curve in curves for key in curve.recipe})
        values = {key: [curve.recipe[key] for curve in curves if key in curve.recipe] for key in keys}
        self.keys = {
            key: sorted(map(str, set(seen))) for key, seen in values.items() if len(set(map(str, seen))) > 1
        }
        self.numbers = {key for key, seen in values.items() if all(_is_number(value) for value in seen)}
        self.usual = {key: max(seen, key=seen.count) for key, seen in values.items()}
        rows = [
            self._features(curve.recipe, epoch, curve.recipe.get("epochs", len(curve.epochs)))
            for curve in curves
            for epoch in range(1, len(curve.epochs) + 1)
        ]
        accuracies = [accuracy for curve in curves for accuracy, _, _ in curve.epochs]
        self.trees = ExtraTreesRegressor(TREES, min_samples_leaf=2, random_state=0).fit(rows, accuracies)
        timings = [timing_of(curve, self._setting(curve.recipe)) for curve in curves]
        self.walltimes = fit_all(timings)
        self.train_share = min(
            1.0, float(np.median([_train_share(*pair) for pair in zip(curves, timings, strict=True)]))
        )

    def __call__(self, recipe: Mapping[str, Any]) -> list[EpochReport]:
        """The whole curve of a recipe, as if no limit ended it."""
        epochs = int(recipe.get("epochs", 1))
        luck = np.random.default_rng([self.seed, zlib.crc32(repr(sorted(recipe.items())).encode())])
        rows = [self._features(recipe, epoch, epochs) for epoch in range(1, epochs + 1)]
        noise = luck.normal(0, ACCURACY_NOISE) + luck.normal(0, ACCURACY_NOISE / 2, epochs)
        accuracies = np.clip(self.trees.predict(rows) + noise, 0.0, 1.0)
        walltime = self.walltimes.get(self._setting(recipe), next(iter(self.walltimes.values())))
        pace = walltime.epoch_seconds(batch_size_of(recipe), traits_of(recipe))
        pace *= math.exp(luck.normal(0, SECONDS_NOISE))
        return [
            EpochReport(
                epoch,
                epochs,
                train_loss=1.0,
                validation_loss=None,
                validation_accuracy=float(accuracy),
                lr=0.0,
                train_seconds=epoch * pace * self.train_share,
                wall_seconds=walltime.startup_seconds + epoch * pace,
            )
            for epoch, accuracy in enumerate(accuracies, 1)
        ]

    def _setting(self, recipe: Mapping[str, Any]) -> str:
        """The network, as far as the curves are of several."""
        return setting_of({key: recipe.get(key, self.usual[key]) for key in SETTING if key in self.keys})

    def _features(self, recipe: Mapping[str, Any], epoch: int, epochs: int) -> list[float]:
        found = [math.log2(epoch), math.log2(epochs), epoch / epochs]
        for key, words in self.keys.items():
            value = recipe.get(key, self.usual[key])
            if key in self.numbers:
                found.append(math.log10(value) if _is_number(value) and value > 0 else 0.0)
            else:
                found += [float(str(value) == word) for word in words]
        return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _train_share(curve: Curve, timing: Timing) -> float:
    """Of the wall seconds of an epoch."""
    return curve.epochs[-1][1] / len(curve.epochs) / timing.epoch_seconds


def timing_of(curve: Curve, setting: str) -> Timing:
    """The pace of its epochs."""
    _, train, wall = (np.array(column) for column in zip(*curve.epochs, strict=True))
    pace = float(np.median(np.diff(wall))) if len(wall) > 1 else float(train[0])
    startup = max(0.0, float(wall[0]) - pace)
    return Timing(batch_size_of(curve.recipe), pace, startup, len(wall), traits_of(curve.recipe), setting)


def read_curves(path: Path) -> list[Curve]:
    """Curves from a table: CURVE_COLUMNS and a column per key of the recipe; an empty accuracy has diverged."""
    table = pd.read_csv(path)
    curves = []
    for _, rows in table.groupby("trial", sort=True):
        first = rows.iloc[0]
        recipe = {key: _plain(first[key]) for key in table.columns if key not in CURVE_COLUMNS}
        epochs = rows[list(CURVE_COLUMNS[2:])].fillna({"validation_accuracy": DIVERGED})
        curves.append(Curve(recipe, tuple(map(tuple, epochs.to_numpy().tolist()))))
    return curves


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def curves_of(records: Sequence[TrialRecord]) -> list[Curve]:
    """Curves from the trials of a run."""
    return [
        Curve(
            {key: value for key, value in record.spec.recipe.items() if key not in ("seed", "data_dir")},
            tuple(
                (epoch.validation_accuracy or DIVERGED, epoch.train_seconds, epoch.wall_seconds)
                for epoch in record.epochs
            ),
        )
        for record in records
        if record.epochs
    ]
