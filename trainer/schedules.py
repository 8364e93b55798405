"""Learning-rate schedules by name: the rate of a step as a pure function of the recipe."""

from __future__ import annotations

import math

from trainer.config import TrainConfig

# Peak rates under a one-cycle schedule at REFERENCE_BATCH, each a round number near the best of a coarse
# grid with the reference ConvNet (benchmarks/reference_rates.py); a study searches multiples of them (`lr_scale`).
REFERENCE_LR = {
    "sgd": 0.2,
    "momentum": 0.03,
    "nesterov": 0.03,
    "adam": 0.003,
    "adamw": 0.003,
    "rmsprop": 0.003,
    "adadelta": 1.0,
    "muon": 0.005,
}
REFERENCE_BATCH = 50


def peak_lr(config: TrainConfig) -> float:
    """The recipe's (peak) learning rate.

    Without an explicit `lr` it is the optimizer's reference rate, scaled with the square root of the batch
    size so that the variance of an update stays the same (Krizhevsky 2014, arXiv:1404.5997, section 5).
    """
    if config.lr is not None:
        return config.lr * config.lr_scale
    return REFERENCE_LR[config.optimizer] * math.sqrt(config.batch_size / REFERENCE_BATCH) * config.lr_scale


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """The learning rate of step `step` (0-based) of `steps`.

    Every schedule first climbs linearly from a 25th of the peak, for the `warmup` share of the steps. Then
    constant stays; step falls by `gamma` every `step_epochs` epochs; linear falls to zero; cosine and one_cycle
    fall along a half cosine (Smith and Topin 2018, arXiv:1708.07120).
    """
    peak = peak_lr(config)
    warmup = config.warmup if config.warmup is not None else 0.25 if config.schedule == "one_cycle" else 0.0
    warmup_steps = warmup * steps
    if step < warmup_steps:
        return peak * (0.04 + 0.96 * step / warmup_steps)
    if config.schedule == "constant":
        return peak
    if config.schedule == "step":
        epoch = step * config.epochs // steps
        falls: float = config.gamma ** (epoch // config.step_epochs)
        return peak * falls
    progress = (step - warmup_steps) / max(1.0, steps - warmup_steps)
    return peak * (1 - progress if config.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * progress)))
