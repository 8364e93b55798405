"""Image folders, data files and contexts that the trainer's tests make."""

from __future__ import annotations

import math
import os
import resource
import signal
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trainer import EpochReport, StopReason
from trainer.__main__ import main
from trainer.config import TrainConfig
from trainer.context import Calibration
from trainer.models import ConvNet


def save_image(path: Path, pixels: np.ndarray) -> None:
    """Write [H, W] as a grey PNG or [H, W, 3] as a colour one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def flat(shade: int, shape: tuple[int, ...] = (32, 32)) -> np.ndarray:
    return np.full(shape, shade, np.uint8)


def make_imagefolder(root: Path, per_class: int = 4, shape: tuple[int, ...] = (32, 32)) -> Path:
    """An image folder of dark cats and bright dogs; every image has one shade, all different."""
    for part, first in (("train", 0), ("test", 40)):
        for offset, name in ((0, "cat"), (200, "dog")):
            for number in range(per_class):
                save_image(root / part / name / f"{number}.png", flat(first + offset + number, shape))
    return root


def write_idx(path: Path, array: np.ndarray) -> None:
    """The format of MNIST's files: a magic number (8 is uint8), the sizes, the bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.tobytes())


def make_mnist(root: Path, train: int = 40, test: int = 20) -> dict[str, np.ndarray]:
    """Random MNIST files under `root`; returns what is in them."""
    generator = np.random.default_rng(0)
    arrays = {}
    for part, prefix, count in (("train", "train", train), ("test", "t10k", test)):
        arrays[f"{part}_images"] = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{part}_labels"] = (np.arange(count) % 10).astype(np.uint8)
        raw = root / "MNIST" / "raw"
        write_idx(raw / f"{prefix}-images-idx3-ubyte", arrays[f"{part}_images"])
        write_idx(raw / f"{prefix}-labels-idx1-ubyte", arrays[f"{part}_labels"])
    return arrays


@dataclass
class ScriptedContext:
    """A context that remembers every report and asks to stop where the test says."""

    folder: Path | None = None
    deadline: float = math.inf
    wants_calibration: bool = False
    alternatives: dict[int, TrainConfig] = field(default_factory=dict)
    stop_after: dict[int, StopReason] = field(default_factory=dict)  # by epoch
    checks_before_stop: int | None = None  # how often stop_requested says no
    reason: StopReason = StopReason.INTERRUPTED
    crash_at_check: int | None = None
    error: BaseException = field(default_factory=lambda: RuntimeError("the process dies here"))
    reports: list[EpochReport] = field(default_factory=list)
    looks: list[tuple[int, int, float]] = field(default_factory=list)  # epoch, step and mean of each running loss
    checks: int = 0

    def calibrated(self, calibration: Calibration) -> None:
        raise AssertionError("nobody asked for a calibration")

    def report(self, epoch: EpochReport) -> StopReason | None:
        self.reports.append(epoch)
        return self.stop_after.get(epoch.epoch)

    def running_loss(self, epoch: int, step: int, loss: float) -> None:
        self.looks.append((epoch, step, loss))

    def stop_requested(self) -> StopReason | None:
        self.checks += 1
        if self.checks == self.crash_at_check:
            raise self.error
        stop = self.checks_before_stop is not None and self.checks > self.checks_before_stop
        return self.reason if stop else None


class SlowNet(ConvNet):
    """A network that takes its time over every batch, in training or in evaluation."""

    training_seconds = 0.0
    evaluation_seconds = 0.0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        time.sleep(self.training_seconds if self.training else self.evaluation_seconds)
        return super().forward(images)


@contextmanager
def full_disk(largest_file: int) -> Iterator[None]:
    """Let no file grow beyond `largest_file` bytes: every write past it fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)


def files_below(folder: Path) -> list[str]:
    """Every file under the folder, relative to it."""
    return sorted(os.path.relpath(path, folder) for path in folder.rglob("*") if path.is_file())


def outcome(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str], str]:
    """The exit status of `python -m trainer`, the lines printed and the mistakes."""
    handler = signal.getsignal(signal.SIGINT)  # a run takes Ctrl-C for itself
    try:
        status = main(list(words))
    finally:
        signal.signal(signal.SIGINT, handler)
    captured = capsys.readouterr()
    return status, captured.out.splitlines(), captured.err


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What is said of words that are no command."""
    with pytest.raises(SystemExit) as caught:
        main(list(words))
    assert caught.value.code == 2
    return capsys.readouterr().err


def rows(lines: list[str]) -> list[list[str]]:
    """The cells of a printed table, row by row, without its heading."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
