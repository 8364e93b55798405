"""The calibration before the first epoch: timings for the model, and the run that follows is the same."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from trainer.config import TrainConfig
from trainer.context import Calibration, QuietContext
from trainer.training import train

CONFIG = TrainConfig(epochs=1, batch_size=64)


@dataclass(frozen=True)
class Curious(QuietContext):
    """A context that wants a calibration and keeps it."""

    wants_calibration: bool = True
    alternatives: tuple[TrainConfig, ...] = ()
    seen: list[Calibration] = field(default_factory=list)

    def calibrated(self, calibration: Calibration) -> None:
        self.seen.append(calibration)


def test_a_calibration_times_the_batch_size_and_a_quarter_of_it() -> None:
    context = Curious()
    result = train(CONFIG, context)
    (seen,) = context.seen
    assert [size for size, _ in seen.epoch_seconds] == [16, 64]
    assert all(seconds > 0 for _, seconds in seen.epoch_seconds)
    assert seen.device == result.device
    assert seen.startup_seconds == pytest.approx(result.load_seconds)
    assert 0 < seen.took_seconds < result.wall_seconds


def test_alternatives_are_timed_at_the_smaller_batch_size() -> None:
    others = tuple(CONFIG.model_copy(update={"optimizer": name}) for name in ("sgd", "adam", "muon"))
    context = Curious(alternatives=others)
    train(CONFIG, context)
    assert [seen.alternative for seen in context.seen] == [None, 0, 1, 2]
    assert [size for seen in context.seen[1:] for size, _ in seen.epoch_seconds] == [16, 16, 16]


def test_alternatives_get_a_small_share_of_the_time_that_is_left() -> None:
    others = (CONFIG.model_copy(update={"optimizer": "adam"}),) * 100_000
    context = Curious(alternatives=others, deadline=time.monotonic() + 10)
    result = train(CONFIG, context)
    assert result.epochs == 1
    assert 0 < sum(seen.took_seconds for seen in context.seen[1:]) < 2


def test_an_alternative_with_a_mistake_is_left_out() -> None:
    broken = CONFIG.model_copy(update={"model": "nowhere:Network"})
    context = Curious(alternatives=(broken, CONFIG.model_copy(update={"optimizer": "adam"})))
    assert train(CONFIG, context).epochs == 1
    assert [seen.alternative for seen in context.seen] == [None, 1]


def test_the_run_is_the_same_with_a_calibration_before_it(tmp_path: Path) -> None:
    folders = [tmp_path / "with", tmp_path / "without"]
    for folder, context in zip(folders, (Curious, QuietContext), strict=True):
        folder.mkdir()
        train(
            CONFIG.model_copy(update={"model": "mnist_cnn"}), context(folder)
        )  # its dropout draws random numbers
    ours, theirs = (torch.load(folder / "weights.pt", weights_only=True) for folder in folders)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_nothing_is_calibrated_unasked_or_in_a_later_attempt(tmp_path: Path) -> None:
    train(CONFIG, QuietContext(tmp_path))
    context = Curious(tmp_path)
    train(CONFIG, context)
    assert context.seen == []
