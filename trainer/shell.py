"""The surroundings of a run in a terminal, and what it says there."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from trainer.config import TrainConfig
from trainer.context import Calibration, Ended, EpochReport, StopReason, TrainResult
from trainer.explore import Exploration
from trainer.outputs import PROGRESS, Tested


@dataclass
class ShellContext:
    """A run in a terminal: a bar moves with the epochs, Ctrl-C leaves a checkpoint, the target may end it."""

    folder: Path | None
    deadline: float
    stop_at: float | None
    bar: Progress
    wants_calibration: bool = False
    alternatives: Mapping[int, TrainConfig] = field(default_factory=dict)
    interrupted: bool = field(default=False, init=False)
    epochs_told: int = field(default=0, init=False)  # of this attempt

    def __post_init__(self) -> None:
        self.task = self.bar.add_task("starting", total=None)
        signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        self.interrupted = True

    def calibrated(self, calibration: Calibration) -> None:
        return None

    def report(self, epoch: EpochReport) -> StopReason | None:
        self.epochs_told += 1
        text = f"loss {epoch.train_loss:.3f}"
        for split, accuracy in (("validation", epoch.validation_accuracy), ("test", epoch.test_accuracy)):
            text += "" if accuracy is None else f"  {split} {accuracy:.2%}"
        self.bar.update(self.task, description=text, completed=epoch.epoch, total=epoch.epochs)
        self.bar.console.print(f"epoch {epoch.epoch:3d}/{epoch.epochs}  {text}  {epoch.train_seconds:.1f} s")
        if self.folder is not None:
            with (self.folder / PROGRESS).open("a") as file:
                file.write(json.dumps(asdict(epoch)) + "\n")
        reached = epoch.validation_accuracy is not None and epoch.validation_accuracy >= (self.stop_at or 2)
        return StopReason.TARGET if reached else None

    def running_loss(self, epoch: int, step: int, loss: float) -> None:
        self.bar.console.print(f"  epoch {epoch}  step {step:6,}  loss {loss:.3f}")

    def stop_requested(self) -> StopReason | None:
        return StopReason.INTERRUPTED if self.interrupted else None


def ending(result: TrainResult, epochs: int, going_on: str) -> str:
    """What cut a run of so many `epochs` short, empty if nothing did; `going_on` says how to go on with it."""
    if result.ended == Ended.DEADLINE:
        return f"Stopped by --limit after {result.epochs} of {epochs} epochs{going_on}."
    mend = {Ended.DIVERGED: "try a lower lr", Ended.OUT_OF_MEMORY: "try a smaller one"}.get(result.ended)
    return f"{result.ended}: {result.detail}; {mend}" if mend else ""


def verdict(result: TrainResult, target: float, limit_seconds: float) -> str:
    """Success or try again, in one sentence. The test accuracy counts where it was measured."""
    measured = [(result.test_accuracy, "test"), (result.accuracy, "validation")]
    accuracy, split = next(((value, name) for value, name in measured if value is not None), (None, ""))
    if result.ended == Ended.DEADLINE and result.epochs == 0:
        return "No verdict: no epoch was finished; give it more time."
    if accuracy is None and result.ended == Ended.COMPLETED:
        return "No verdict: no images were held out to validate with; add --test to measure the test set."
    if accuracy is None:
        return f"No verdict: no accuracy was measured ({result.ended})."
    facts = f"{accuracy:.2%} {split} accuracy in {result.train_seconds:.1f} s of training"
    within = result.train_seconds <= limit_seconds
    if accuracy >= target and within and result.ended != Ended.DIVERGED:
        return f"Success: {facts}, target {100 * target:.4g}%."
    return f"Try again: {facts}, target {100 * target:.4g}%" + ("." if within else f" within {limit_seconds:g} s.")


def show_classes(console: Console, tested: Tested) -> None:
    """Overall accuracy, and of each class how often it was identified and how often a guess of it was right."""
    table = Table(title=f"{tested.evaluation.accuracy:.2%} overall, {tested.split} images", title_justify="left")
    table.add_column("Class")
    table.add_column("Identification success", justify="right")
    table.add_column("Prediction success", justify="right")
    rows = zip(
        tested.classes,
        tested.evaluation.identification_success.tolist(),
        tested.evaluation.prediction_success.tolist(),
        strict=True,
    )
    for name, identified, predicted in rows:
        table.add_row(name, f"{identified:.1%}", "never guessed" if math.isnan(predicted) else f"{predicted:.1%}")
    console.print(table)


def show_data(console: Console, found: Exploration) -> None:
    """Sizes, class balance and channel statistics of a data set."""
    info = found.info
    shape = " x ".join(map(str, info.image_shape))
    console.print(
        f"{info.name}: {info.train_count:,} training and {info.test_count:,} test images of {shape} "
        f"(channels x height x width), {len(info.classes)} classes, 8 bits a value"
    )
    for channel, (mean, std) in enumerate(zip(found.mean, found.std, strict=True)):
        used = f"trained on as (value - {info.mean[channel]:g}) / {info.std[channel]:g} (fixed constants)"
        console.print(f"channel {channel}: mean {mean:.4f}, std {std:.4f} of values in [0, 1]; {used}")
    table = Table()
    for heading in ("Class", "Training", "Test", "Share of training"):
        table.add_column(heading, justify="left" if heading == "Class" else "right")
    for name, train, test in zip(info.classes, found.train_counts, found.test_counts, strict=True):
        table.add_row(name, f"{train:,}", f"{test:,}", f"{train / info.train_count:.1%}")
    console.print(table)
