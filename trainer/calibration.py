"""A few timed steps before the first epoch, at two batch sizes: what a walltime model needs to start with."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from statistics import median

import torch

from trainer.augment import epoch_batches
from trainer.config import TrainConfig
from trainer.context import Calibration
from trainer.data import TrainingData
from trainer.devices import Autocast, device_name, synchronize
from trainer.evaluation import evaluate
from trainer.losses import make_loss
from trainer.network import make_network
from trainer.steps import Learner

STEPS = 12
PART = 512  # of the validation images
STEP_SECONDS = 0.5  # at each batch size, however few steps that are


def calibrate(
    config: TrainConfig, data: TrainingData, device: torch.device, autocast: Autocast, *, startup_seconds: float
) -> Calibration:
    """Time steps of a network of its own; the run that follows is the same, bit for bit, as without.

    The batch sizes are the recipe's and a quarter of it, which fit the memory anyway. `startup_seconds` is what
    the run has taken so far.
    """
    sizes = sorted({config.batch_size, max(1, config.batch_size // 4)})
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        points = []
        for batch_size in sizes:
            tried = config.model_copy(update={"batch_size": batch_size, "weights": ""})
            learner = Learner(tried, make_network(tried, data, device), make_loss(tried), device, autocast)
            train_seconds = step_seconds(tried, data, learner, device) * math.ceil(len(data.train) / batch_size)
            points.append((batch_size, train_seconds + validation_seconds(data, learner)))
    return Calibration(device_name(device), startup_seconds, tuple(points))


def step_seconds(config: TrainConfig, data: TrainingData, learner: Learner, device: torch.device) -> float:
    """Median seconds of a step, making its batch included; the first, which is slow, is left out."""
    seconds: list[float] = []
    batches = epoch_batches(config, data, 0, 0)
    synchronize(device)
    began = last = time.monotonic()
    for images, labels in batches:
        learner.step(images, labels, config.lr or 1e-4)
        synchronize(device)
        now = time.monotonic()
        seconds.append(now - last)
        last = now
        if len(seconds) > STEPS or now - began > STEP_SECONDS:
            break
    return median(seconds[1:] or seconds)


def validation_seconds(data: TrainingData, learner: Learner) -> float:
    """Seconds to evaluate the validation split, from a part of it."""
    split = data.validation
    if len(split) == 0:
        return 0.0
    part = replace(split, rows=split.rows[:PART])
    began = time.monotonic()
    evaluate(learner.evaluated, data, part, learner.loss, learner.autocast)
    return (time.monotonic() - began) * len(split) / len(part)
