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
from trainer.errors import TrainerError
from trainer.evaluation import evaluate
from trainer.losses import make_loss
from trainer.network import make_network
from trainer.steps import Learner, make_step

STEPS = 12
PART = 512  # of the validation images
STEP_SECONDS = 0.5  # at each batch size, however few steps that are
SHARE = 0.05  # of the time that is left, for the alternatives


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

    Of the recipe at its batch size and a quarter of it; of each alternative at the smaller, which tells what sets
    them apart. They fit the memory anyway, unless an alternative keeps more beside its weights: it is left out.
    `startup_seconds` is what the run has taken so far.
    """
    name, quarter = device_name(device), max(1, config.batch_size // 4)
    enough = time.monotonic() + SHARE * (context.deadline - time.monotonic())
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        began = time.monotonic()
        sizes = sorted({config.batch_size, quarter})
        points = tuple((size, epoch_seconds(config, size, data, device, autocast)) for size in sizes)
        yield Calibration(name, startup_seconds, points, took_seconds=time.monotonic() - began)
        for index, other in enumerate(context.alternatives):
            if (began := time.monotonic()) > enough:
                return
            try:
                seconds = epoch_seconds(other, quarter, data, device, autocast)
            except (TrainerError, RuntimeError, MemoryError) as error:  # a mistake is for its own trial to tell
                if not isinstance(error, TrainerError) and not is_out_of_memory(error):
                    raise
                continue
            took = time.monotonic() - began
            yield Calibration(name, startup_seconds, ((quarter, seconds),), alternative=index, took_seconds=took)


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
