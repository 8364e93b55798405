"""Scalars for TensorBoard, read back with its own reader."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from trainer_helpers import ScriptedContext, files_below

from trainer import EpochReport, StopReason
from trainer.config import TrainConfig
from trainer.context import QuietContext
from trainer.errors import ConfigError
from trainer.scalars import scalar_writer
from trainer.training import train


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The points of each curve in folder/tensorboard, in the order written."""
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return {
        name: [(point.step, point.value) for point in events.Scalars(name)] for name in events.Tags()["scalars"]
    }


def test_what_is_written_can_be_read_back(tmp_path):
    scalar_writer(tmp_path)(EpochReport(3, 9, 0.5, 0.75, 0.875, 0.0625, 12.5, 13.0, train_accuracy=0.25))

    assert read(tmp_path) == {
        "loss/train": [(3, 0.5)],
        "loss/validation": [(3, 0.75)],
        "accuracy/validation": [(3, 0.875)],
        "accuracy/train": [(3, 0.25)],
        "lr": [(3, 0.0625)],
        "train_seconds": [(3, 12.5)],
    }


def test_the_test_set_is_a_curve_where_it_was_measured(tmp_path):
    scalar_writer(tmp_path)(EpochReport(1, 1, 0.5, None, None, 0.1, 1, 1, test_loss=2, test_accuracy=0.125))

    assert {"loss/test": [(1, 2.0)], "accuracy/test": [(1, 0.125)]}.items() <= read(tmp_path).items()
    assert "loss/validation" not in read(tmp_path)


def test_the_epochs_of_a_run_are_points_of_one_curve_over_its_attempts(tmp_path):
    recipe = TrainConfig(epochs=3, validation_fraction=0.5, tensorboard=True, device="cpu")
    train(recipe, first := ScriptedContext(tmp_path, stop_after={1: StopReason.INTERRUPTED}))
    train(recipe, second := ScriptedContext(tmp_path))

    reports = first.reports + second.reports
    expected = [(report.epoch, pytest.approx(report.validation_accuracy)) for report in reports]
    assert read(tmp_path)["accuracy/validation"] == expected
    assert len(expected) == 3


def test_nothing_is_written_unless_asked_for(tmp_path):
    train(TrainConfig(epochs=1, device="cpu"), QuietContext(tmp_path))

    assert not [name for name in files_below(tmp_path) if "tensorboard" in name]


def test_without_the_package_it_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)

    with pytest.raises(ConfigError, match=r"pip install 'slurm-sweep\[tensorboard\]'"):
        scalar_writer(tmp_path)


def test_a_missing_package_is_noticed_before_any_epoch_is_trained(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    context = ScriptedContext(tmp_path)

    with pytest.raises(ConfigError, match="pip install"):
        train(TrainConfig(epochs=1, tensorboard=True, device="cpu"), context)

    assert context.checks == 0
