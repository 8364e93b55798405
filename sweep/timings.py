"""Timings: what trials have told about the seconds of an epoch, kept from study to study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from sweep.files import append_line, publish, read_lines, to_json
from sweep.records import TrialRecord, TrialSpec

# What makes two recipes too different to learn one's seconds from the other's.
SETTING = ("model", "precision", "dataset", "image_size")

Traits = tuple[str, ...]


@dataclass(frozen=True)
class Timing:
    """One trial's pace: seconds of wall time per epoch, evaluation included, and of its start and end."""

    batch_size: float
    epoch_seconds: float
    startup_seconds: float
    epochs: int = 2  # how many the pace was taken from; 0 for a calibration's few steps
    traits: Traits = ()  # the recipe's words: optimizer=adam, flip=True
    setting: str = ""  # of `setting_of`
    device: str = ""  # empty while unknown


def timings_of(record: TrialRecord) -> list[Timing]:
    """What a trial tells: what it calibrated before the first epoch, and the pace of its epochs."""
    devices = [calibration.device for calibration in record.calibrations]
    device = record.outcome.device if record.outcome else next(iter(devices), "")
    timed = [
        Timing(float(size), seconds, calibration.startup_seconds, 0, **_kind(recipe), device=calibration.device)
        for calibration in record.calibrations
        for recipe in (_recipe_of(record.spec, calibration.alternative),)
        for size, seconds in calibration.epoch_seconds
    ]
    return [*timed, *([_timing(record, device)] if record.epochs else [])]


def _recipe_of(spec: TrialSpec, alternative: int | None) -> Mapping[str, Any]:
    return spec.recipe if alternative is None else spec.alternatives[alternative]


def _kind(recipe: Mapping[str, Any]) -> dict[str, Any]:
    return {"traits": traits_of(recipe), "setting": setting_of(recipe)}


def _timing(record: TrialRecord, device: str) -> Timing:
    walls = [epoch.wall_seconds for epoch in record.epochs]
    steps = [late - early for early, late in pairwise(walls)]
    pace = max(median(steps) if steps else record.epochs[0].train_seconds, 1e-6)
    whole = record.outcome is not None and record.outcome.epochs == len(walls)
    after = max(0.0, record.outcome.wall_seconds - walls[-1]) if record.outcome and whole else 0.0
    startup = max(0.0, walls[0] - pace - record.calibrating_seconds) + after
    recipe = record.spec.recipe
    return Timing(batch_size_of(recipe), pace, startup, epochs=len(walls), **_kind(recipe), device=device)


def setting_of(recipe: Mapping[str, Any]) -> str:
    """What tells one network's timings from another's, whatever a trainer means by `model`."""
    return repr([recipe.get(key) for key in SETTING])


def batch_size_of(recipe: Mapping[str, Any]) -> float:
    """The recipe's batch size; 1 where a trainer of the user's own has none, or means something else by it."""
    value = recipe.get("batch_size")
    return float(value) if isinstance(value, int | float) and value >= 1 else 1.0


def traits_of(recipe: Mapping[str, Any]) -> Traits:
    """The words of a recipe: the more two recipes share, the more one's pace tells of the other's."""
    words = {key: value for key, value in recipe.items() if isinstance(value, str | bool) and key not in SETTING}
    return tuple(f"{key}={value}" for key, value in sorted(words.items()) if key != "data_dir")


@dataclass(frozen=True)
class TimingsFile:
    """The file that studies share: one line for each timing. `source` is profile and trainer."""

    path: Path
    run_id: str
    source: str

    def remember(self, timings: Iterable[Timing]) -> None:
        """Add what a finished trial told."""
        for timing in timings:
            append_line(self.path, {"run": self.run_id, "source": self.source, **asdict(timing)})

    def recall_once(self, snapshot: Path) -> list[Timing]:
        """What `recall` said the first time: a study that is resumed proposes as it would have."""
        if not snapshot.exists():
            lines = (to_json({"run": "", "source": self.source, **asdict(timing)}) for timing in self.recall())
            publish(snapshot, "".join(f"{line}\n" for line in lines))
        return replace(self, path=snapshot).recall()

    def recall(self) -> list[Timing]:
        """What other runs have left under the same profile and trainer, oldest first."""
        names = {field.name for field in fields(Timing)}
        lines = (line for line in read_lines(self.path) if line.get("source") == self.source)
        others = ({name: line.get(name) for name in names} for line in lines if line.get("run") != self.run_id)
        whole = (facts for facts in others if None not in facts.values())
        return [Timing(**{**facts, "traits": tuple(facts["traits"])}) for facts in whole]
