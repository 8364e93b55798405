"""The device of a run: which, how it is waited for, and in which precision it computes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch

from trainer.errors import ConfigError

AHEAD_STEPS = 4  # enough to hide what the host does between two launches

Autocast = Callable[[], AbstractContextManager[object]]


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` takes CUDA (torch calls ROCm that too), then MPS, then the CPU.

    Raises:
        ConfigError: the device asked for is not available.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, present in available.items() if present))
    if not available[name]:
        there = ", ".join(kind for kind, present in available.items() if present)
        raise ConfigError(f"device {name!r} is not available here; available: {there}")
    return torch.device(name)


def device_name(device: torch.device) -> str:
    """What the hardware calls itself, for the walltime model and the report."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def synchronize(device: torch.device) -> None:
    """Wait for the device, so that seconds measure work and not its queue."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    elif device.type == "mps":
        torch.mps.synchronize()


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether memory ran out, in this error or in one it came after: ending a recording fails once more."""
    told = ("out of memory", "can't allocate memory", "STATUS_ALLOC_FAILED")  # by CUDA and ROCm, the CPU, cuBLAS
    while error is not None:
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in str(error) for words in told):
            return True
        error = error.__cause__ or error.__context__
    return False


def make_autocast(precision: str, device: torch.device) -> Autocast:
    """A maker of contexts in which the network computes in the recipe's precision.

    Raises:
        ConfigError: the device does not have it.
    """
    if precision == "fp32":
        return contextlib.nullcontext
    supported = {
        "cuda": ["fp16", *(["bf16"] if device.type == "cuda" and torch.cuda.is_bf16_supported() else [])],
        "mps": ["fp16"],
        "cpu": ["bf16"],
    }[device.type]
    if precision not in supported:
        names = ", ".join(["fp32", *supported])
        raise ConfigError(f"precision {precision} is not supported on {device_name(device)}; supported: {names}")
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    context = torch.autocast(device.type, kind, cache_enabled=False)  # each weight is used once a step
    return lambda: context


class Pace:
    """Keeps the host `ahead` steps ahead of a GPU and no more, so that the deadline it sees holds for the GPU.

    It never waits for the queue to drain. Other devices are waited for by the step itself: `ahead` is 0.
    """

    def __init__(self, device: torch.device) -> None:
        self.ahead = AHEAD_STEPS if device.type == "cuda" else 0
        self._marks = [torch.cuda.Event() for _ in range(self.ahead)]  # type: ignore[no-untyped-call]  # torch's

    def keep(self, step: int) -> None:
        """Call after every step; step - ahead has then been done."""
        if self.ahead:
            mark = self._marks[step % self.ahead]
            mark.synchronize()  # of `ahead` steps before; at once if there was none
            mark.record()
