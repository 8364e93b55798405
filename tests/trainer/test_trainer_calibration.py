"""The calibration before the first epoch: timings for the model, and the run that follows is the same."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from trainer.calibration import smaller_batch_size
from trainer.config import TrainConfig
from trainer.context import Calibration, QuietContext, StopReason
from trainer.training import train

CONFIG = TrainConfig(epochs=1, batch_size=64)
OPTIMIZERS = ("sgd", "adam", "muon")


@dataclass(frozen=True)
class Curious(QuietContext):
    """A context that wants a calibration and keeps it."""

    wants_calibration: bool = True
    alternatives: Mapping[int, TrainConfig] = field(default_factory=dict)
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
    others = {3 * index: CONFIG.model_copy(update={"optimizer": name}) for index, name in enumerate(OPTIMIZERS)}
    context = Curious(alternatives=others)
    train(CONFIG, context)
    assert [seen.alternative for seen in context.seen] == [None, 0, 3, 6]
    assert [size for seen in context.seen[1:] for size, _ in seen.epoch_seconds] == [16, 16, 16]


def test_alternatives_get_a_small_share_of_the_time_that_is_left() -> None:
    others = dict.fromkeys(range(100_000), CONFIG.model_copy(update={"optimizer": "adam"}))
    context = Curious(alternatives=others, deadline=time.monotonic() + 10)
    result = train(CONFIG, context)
    assert result.epochs == 1
    assert 0 < sum(seen.took_seconds for seen in context.seen[1:]) < 2


@pytest.mark.parametrize("error", [ValueError, AssertionError, RuntimeError])
def test_an_alternative_that_goes_wrong_is_left_out(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"import torch\nclass Broken(torch.nn.Module):\n    def __init__(self): raise {error.__name__}('no')\n"
    (tmp_path / f"broken_{error.__name__}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    broken = CONFIG.model_copy(update={"model": f"broken_{error.__name__}:Broken"})
    context = Curious(alternatives={0: broken, 1: CONFIG.model_copy(update={"optimizer": "adam"})})
    assert train(CONFIG, context).epochs == 1
    assert [seen.alternative for seen in context.seen] == [None, 1]
    assert "alternative 0 cannot be timed" in capsys.readouterr().out


def test_a_run_that_is_to_stop_times_no_alternatives() -> None:
    class Stopped(Curious):
        def stop_requested(self) -> StopReason | None:
            return StopReason.INTERRUPTED

    context = Stopped(alternatives={0: CONFIG})
    train(CONFIG, context)
    assert [seen.alternative for seen in context.seen] == [None]


@pytest.mark.parametrize(
    ("batch_size", "images", "smaller"),
    [(64, 1000, 16), (6, 1000, 2), (3, 1000, 2), (2, 1000, 2), (1, 1000, 1), (64, 1601, 17), (4, 1001, 3)],
)
def test_the_smaller_batch_size_never_leaves_a_single_image(batch_size: int, images: int, smaller: int) -> None:
    assert smaller_batch_size(batch_size, images) == smaller


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
