"""A few timed steps before the first epoch: what a walltime model needs to start with."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from statistics import median

import torch

from trainer.augment import epoch_batches
from trainer.config import TrainConfig
from trainer.context import Calibration, RunContext
from trainer.data import TrainingData
from trainer.devices import Autocast, device_name, is_out_of_memory, synchronize
from trainer.evaluation import evaluate
from trainer.losses import make_loss
from trainer.network import make_network
from trainer.steps import Learner, make_step

STEPS = 12
PART = 512  # of the validation images
STEP_SECONDS = 0.5  # at each batch size, however few steps that are
SHARE = 0.05  # of the time that is left then, for the alternatives


def calibrate(
    config: TrainConfig,
    context: RunContext,
    data: TrainingData,
    device: torch.device,
    autocast: Autocast,
    *,
    startup_seconds: float,
) -> Iterator[Calibration]:
    """Time steps of networks of their own; the run that follows is the same, bit for bit, as without.

    Of the recipe at its batch size and at about a quarter of it; of each alternative at the smaller, which tells
    what sets them apart. Whatever goes wrong there is for their own trials to tell. `startup_seconds` is what the
    run has taken so far.
    """
    smaller = smaller_batch_size(config.batch_size, len(data.train))
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        began = time.monotonic()
        points = [(config.batch_size, epoch_seconds(config, config.batch_size, data, device, autocast))]
        if smaller < config.batch_size:
            points.insert(0, (smaller, epoch_seconds(config, smaller, data, device, autocast)))
        took = time.monotonic() - began
        yield Calibration(device_name(device), startup_seconds, tuple(points), took_seconds=took)
        enough = time.monotonic() + SHARE * (context.deadline - time.monotonic())
        for number, other in context.alternatives.items():
            began = time.monotonic()
            if began > enough or context.stop_requested() is not None:
                return
            try:
                points = [(smaller, epoch_seconds(other, smaller, data, device, autocast))]
            except Exception as error:  # noqa: BLE001  # of a recipe that is not this run's
                print(f"calibration: alternative {number} cannot be timed: {error}", flush=True)
                if is_out_of_memory(error):
                    return
                continue
            took = time.monotonic() - began
            yield Calibration(device_name(device), startup_seconds, tuple(points), number, took)


def smaller_batch_size(batch_size: int, images: int) -> int:
    """About a quarter, such that no batch has a single image, which batch normalisation cannot take."""
    sizes = range(max(2, batch_size // 4), batch_size)
    return next((size for size in sizes if images % size != 1), batch_size)


def epoch_seconds(
    config: TrainConfig, batch_size: int, data: TrainingData, device: torch.device, autocast: Autocast
) -> float:
    """Seconds of an epoch and its evaluation, from a few steps of a new network."""
    tried = config.model_copy(update={"batch_size": batch_size, "weights": ""})
    learner = Learner(tried, make_network(tried, data, device), make_loss(tried), device, autocast)
    train_seconds = step_seconds(tried, data, learner, device) * math.ceil(len(data.train) / batch_size)
    return train_seconds + validation_seconds(data, learner)


def step_seconds(config: TrainConfig, data: TrainingData, learner: Learner, device: torch.device) -> float:
    """Median seconds of a step, making its batch included; the first, which is slow, is left out."""
    seconds: list[float] = []
    batches, step = epoch_batches(config, data, 0, 0), make_step(learner, config, device)
    synchronize(device)
    began = last = time.monotonic()
    for images, labels in batches:
        step(images, labels, config.lr or 1e-4)
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
