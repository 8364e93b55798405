"""A trainer for tests: it sleeps instead of training, and does as its recipe says."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer import Ended, EpochReport, RunContext, TrainResult


def sleep(config: Mapping[str, Any], context: RunContext) -> TrainResult:
    """Sleep `seconds` per epoch; the accuracy is `1 - abs(x - 0.3)`; `fault` makes it fail in some way.

    With `tells_environment`, it writes its variables into the trial's folder as environment.json.
    `marker` names a folder in which each call leaves a file `<x>-<pid>`, to count calls from outside.
    """
    seconds, epochs = float(config.get("seconds", 0.05)), int(config.get("epochs", 1))
    accuracy = 1 - abs(float(config.get("x", 0.0)) - 0.3)
    if marker := config.get("marker"):
        (Path(str(marker)) / f"{config.get('x')}-{os.getpid()}").touch()
    if config.get("tells_environment") and context.folder is not None:
        (context.folder / "environment.json").write_text(json.dumps(dict(os.environ)))
    if config.get("fault") == "raise":
        raise ValueError("this recipe cannot work")
    if config.get("fault") == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if config.get("fault") == "overstay":  # heeds neither its deadline nor SIGTERM
        time.sleep(60)
        time.sleep(60)
    began = time.monotonic()
    ended, done = Ended.COMPLETED, 0
    for epoch in range(1, epochs + 1):
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if time.monotonic() > context.deadline:
                return _result(Ended.DEADLINE, done, accuracy, began)
            if reason := context.stop_requested():
                return _result(Ended(reason.value), done, accuracy, began)
            time.sleep(min(0.02, left))
        done = epoch
        spent = time.monotonic() - began
        if reason := context.report(EpochReport(epoch, epochs, 1.0, 1.0, accuracy, 0.1, spent, spent)):
            ended = Ended(reason.value)
            break
    return _result(ended, done, accuracy, began)


def _result(ended: Ended, epochs: int, accuracy: float, began: float) -> TrainResult:
    spent = time.monotonic() - began
    return TrainResult(ended, epochs, accuracy, train_seconds=spent, wall_seconds=spent, device="cpu")


def count(config: Mapping[str, Any], context: RunContext) -> TrainResult:
    """As `sleep`, but with a checkpoint: a later attempt goes on after the epochs that are done."""
    assert context.folder is not None
    checkpoint, epochs = context.folder / "checkpoint.pt", int(config.get("epochs", 1))
    done, spent = json.loads(checkpoint.read_text()) if checkpoint.exists() else (0, 0.0)
    while done < epochs:
        began = time.monotonic()
        while (left := float(config.get("seconds", 0.05)) - (time.monotonic() - began)) > 0:
            if time.monotonic() > context.deadline:
                return TrainResult(
                    Ended.DEADLINE, done, 0.5, train_seconds=spent, wall_seconds=spent, device="cpu"
                )
            if reason := context.stop_requested():
                return TrainResult(Ended(reason.value), done, 0.5, train_seconds=spent, wall_seconds=spent)
            time.sleep(min(0.02, left))
        done, spent = done + 1, spent + time.monotonic() - began
        checkpoint.write_text(json.dumps([done, spent]))
        context.report(EpochReport(done, epochs, 1.0, 1.0, 0.5, 0.1, spent, spent))
    return TrainResult(Ended.COMPLETED, done, 0.5, train_seconds=spent, wall_seconds=spent, device="cpu")


def hoard(config: Mapping[str, Any], context: RunContext) -> TrainResult:
    """Take `mb` megabytes of memory and keep them for `seconds`."""
    block = bytearray(int(config.get("mb", 0)) * 2**20)
    block[::4096] = b"x" * len(block[::4096])  # pages count once they are touched
    time.sleep(float(config.get("seconds", 1.0)))
    return TrainResult(Ended.COMPLETED, 1, 0.5, train_seconds=1.0, wall_seconds=1.0, device="cpu")
