"""Optimizers and learning-rate schedules by name."""

from __future__ import annotations

import functools
import inspect
import math
import sys
from collections.abc import Callable, Iterable

import torch
from torch import nn

from trainer.config import TrainConfig

# Peak rates under a one-cycle schedule at REFERENCE_BATCH, each a round number near the best of a coarse
# grid with the reference ConvNet; a study searches multiples of them (`lr_scale`).
REFERENCE_LR = {"sgd": 0.2, "momentum": 0.03, "nesterov": 0.03, "adam": 0.002}
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

    one_cycle climbs linearly from a 25th of the peak for the first `warmup` share of the steps, then falls
    along a half cosine towards zero (Smith and Topin 2018, arXiv:1708.07120).
    """
    peak = peak_lr(config)
    if config.schedule == "constant":
        return peak
    warmup_steps = config.warmup * steps
    if step < warmup_steps:
        return peak * (0.04 + 0.96 * step / warmup_steps)
    progress = (step - warmup_steps) / max(1.0, steps - warmup_steps)
    return peak * 0.5 * (1 + math.cos(math.pi * progress))


def skip_compiler_import() -> None:
    """Keep `torch.optim` from importing torch's compiler, a second per process, only to exclude itself from it.

    torch wraps some optimizer methods so that their first call imports `torch._dynamo` and remembers the excluded
    method in an attribute. Nothing here is compiled, so the method itself is remembered. Where torch does without
    the wrapper this does nothing.
    """
    if "torch._dynamo" not in sys.modules:
        for method in vars(torch.optim.Optimizer).values():
            plain = getattr(method, "__wrapped__", None)
            if plain is not None:
                setattr(plain, "__dynamo_disable", plain)


def plain_step(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """The optimizer's step without the wrappers for hooks, profiler and compiler, which cost time at every call.

    The wrappers also import the compiler, see `skip_compiler_import`.
    """
    step = inspect.unwrap(type(optimizer).step)
    return functools.partial(torch.no_grad()(step), optimizer)


def make_optimizer(
    config: TrainConfig, parameters: Iterable[nn.Parameter], device: torch.device
) -> torch.optim.Optimizer:
    """The recipe's optimizer; one fused kernel per step where the device has it."""
    skip_compiler_import()
    parameters = list(parameters)
    lr, decay = peak_lr(config), config.weight_decay
    fused = device.type in ("cpu", "cuda")
    if config.optimizer == "adam":
        betas = (config.momentum, 0.999)
        return torch.optim.Adam(parameters, lr, betas=betas, weight_decay=decay, fused=fused)
    momentum = 0.0 if config.optimizer == "sgd" else config.momentum
    nesterov = config.optimizer == "nesterov" and momentum > 0
    return torch.optim.SGD(parameters, lr, momentum=momentum, nesterov=nesterov, weight_decay=decay, fused=fused)
