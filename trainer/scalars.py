"""Scalars for TensorBoard, where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from trainer.context import EpochReport
from trainer.errors import ConfigError


def scalar_writer(folder: Path) -> Callable[[EpochReport], None]:
    """A function that appends an epoch to folder/tensorboard.

    `tensorboard --logdir` on the folder above shows all runs together.

    Raises:
        ConfigError: tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            f"tensorboard = true needs it: pip install 'slurm-sweep[tensorboard]' ({error})"
        ) from error

    def write(report: EpochReport) -> None:
        named = {
            "loss/train": report.train_loss,
            "loss/validation": report.validation_loss,
            "loss/test": report.test_loss,
            "accuracy/train": report.train_accuracy,
            "accuracy/validation": report.validation_accuracy,
            "accuracy/test": report.test_accuracy,
            "lr": report.lr,
            "train_seconds": report.train_seconds,
        }
        with SummaryWriter(folder / "tensorboard") as writer:
            for name, value in named.items():
                if value is not None:
                    writer.add_scalar(name, value, report.epoch)

    return write
