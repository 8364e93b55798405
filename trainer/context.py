"""What passes between a training run and whoever started it.

Plain dataclasses without torch or pydantic: a worker imports this module before it knows what it will train.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol


class Ended(StrEnum):
    """Why a training run returned."""

    COMPLETED = "completed"  # every epoch was trained
    TARGET = "target"  # told to stop: the accuracy asked for is reached
    DEADLINE = "deadline"  # stopped itself before the walltime ran out
    PRUNED = "pruned"  # told to stop: not worth its time
    INTERRUPTED = "interrupted"  # told to leave; the checkpoint lets a later attempt go on
    DIVERGED = "diverged"  # the loss became NaN or infinite
    OUT_OF_MEMORY = "out_of_memory"  # the batch does not fit the device


class StopReason(StrEnum):
    """Why a run is asked to stop before its last epoch; each is the `Ended` of the same name."""

    TARGET = "target"
    PRUNED = "pruned"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class EpochReport:
    """One finished epoch. Seconds are cumulative over the run, earlier attempts included."""

    epoch: int  # 1-based
    epochs: int
    train_loss: float  # mean over the epoch's images
    validation_loss: float | None
    validation_accuracy: float | None  # in [0, 1]; None without a validation split
    lr: float  # at the epoch's last step
    train_seconds: float  # between device synchronisations; no evaluation, no loading
    wall_seconds: float  # everything since the run began
    train_accuracy: float | None = None  # on the epoch's batches, while the weights were changing
    test_loss: float | None = None  # only where the recipe asks for it
    test_accuracy: float | None = None


@dataclass(frozen=True)
class TrainResult:
    """What a training run gives back.

    `accuracy` is the validation accuracy of the weights as they are at the end (not the best epoch's), None
    if nothing was measured. `test_accuracy` is None unless the recipe asked for the test set.
    """

    ended: Ended
    epochs: int  # finished ones
    accuracy: float | None
    train_seconds: float
    wall_seconds: float
    eval_seconds: float = 0.0
    load_seconds: float = 0.0
    test_accuracy: float | None = None
    device: str = ""
    detail: str = ""  # a sentence for people, e.g. which step diverged
    metrics: dict[str, float] = field(default_factory=dict)  # anything more worth a column


@dataclass(frozen=True)
class Calibration:
    """A few steps timed before the first epoch: what the seconds of the epochs to come are predicted from."""

    device: str
    startup_seconds: float
    epoch_seconds: tuple[tuple[int, float], ...]  # (batch size, seconds of an epoch, evaluation included)
    alternative: int | None = None  # its number among the context's; None for the run's own recipe
    took_seconds: float = 0.0  # before the first epoch, and no part of a start without calibration


class RunContext(Protocol):
    """The surroundings of a training run, as the run sees them."""

    @property
    def folder(self) -> Path | None:
        """Where checkpoints are kept; None to keep none."""

    @property
    def deadline(self) -> float:
        """The `time.monotonic()` by which the run must have returned; `math.inf` for none."""

    @property
    def wants_calibration(self) -> bool:
        """Whether too little is known yet of how long this recipe takes here."""

    @property
    def alternatives(self) -> Mapping[int, Any]:
        """Recipes, of the kind that the run got, of which as little is known: a calibration may time them too."""

    def calibrated(self, calibration: Calibration) -> None:
        """Called before the first epoch, if a calibration is wanted, once for each recipe that was timed."""

    def report(self, epoch: EpochReport) -> StopReason | None:
        """Called after each epoch; an answer asks the run to stop."""

    def running_loss(self, epoch: int, step: int, loss: float) -> None:
        """Called now and then within an epoch, with the mean loss since it was last called or the epoch began."""

    def stop_requested(self) -> StopReason | None:
        """Called between steps, so it must be cheap."""


@dataclass(frozen=True)
class QuietContext:
    """A context for tests and notebooks: no deadline, no stop, checkpoints only if a folder is given."""

    folder: Path | None = None
    deadline: float = math.inf
    wants_calibration: bool = False
    alternatives: Mapping[int, Any] = field(default_factory=dict)

    def calibrated(self, calibration: Calibration) -> None:
        return None

    def report(self, epoch: EpochReport) -> StopReason | None:
        return None

    def running_loss(self, epoch: int, step: int, loss: float) -> None:
        return None

    def stop_requested(self) -> StopReason | None:
        return None
