"""Optimizers by name, stepping without torch's wrappers."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from trainer.config import TrainConfig
from trainer.errors import ConfigError
from trainer.schedules import peak_lr


class Optimizer:
    """One or two torch optimizers that share a learning rate and step as one."""

    def __init__(self, parts: list[torch.optim.Optimizer]) -> None:
        self.parts = parts
        self._groups = [group for part in parts for group in part.param_groups]
        self._parameters = [parameter for group in self._groups for parameter in group["params"]]
        self._steps = [plain_step(part) for part in parts]

    @property
    def lr(self) -> float:
        """The rate that was last set."""
        return float(self._groups[0]["lr"])

    def set_lr(self, lr: float) -> None:
        """Set the rate of the next step; where it is a tensor (a recorded step reads it), in place."""
        for group in self._groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    def step(self) -> None:
        """Update every parameter from its gradient."""
        for step in self._steps:
            step()

    def state_dict(self) -> list[dict[str, Any]]:
        """What `load_state_dict` takes, part by part."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Take over moments and counts; how to step (rates, fused, capturable) stays as built for this device."""
        for part, state in zip(self.parts, states, strict=True):
            built = [
                {key: value for key, value in group.items() if key != "params"} for group in part.param_groups
            ]
            part.load_state_dict(state)
            for group, options in zip(part.param_groups, built, strict=True):
                group.update(options)
                if options.get("capturable"):  # torch leaves the counts where the saved options had them
                    for parameter in group["params"]:
                        if "step" in (kept := part.state.get(parameter, {})):  # none before the first step
                            kept["step"] = torch.as_tensor(kept["step"], device=parameter.device)
        self._groups = [group for part in self.parts for group in part.param_groups]


def make_optimizer(
    config: TrainConfig, model: nn.Module, device: torch.device, *, recorded: bool = False
) -> Optimizer:
    """The recipe's optimizer; one fused kernel per step where the device has it.

    With `recorded` its steps can be captured in a CUDA graph: the rate is a tensor, the counts stay on the device.
    """
    skip_compiler_import()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    rate = peak_lr(config)
    lr: Any = torch.tensor(rate, device=device) if recorded else rate
    decay, name, first = config.weight_decay, config.optimizer, config.momentum
    fused = {"fused": device.type in ("cpu", "cuda")}
    if name == "muon":
        return _muon(config, parameters, fused)
    part: torch.optim.Optimizer
    if name in ("adam", "adamw"):
        kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
        part = kind(parameters, lr, (first, 0.999), weight_decay=decay, capturable=recorded, **fused)
    elif name == "rmsprop":
        part = torch.optim.RMSprop(parameters, lr, weight_decay=decay, capturable=recorded)
    elif name == "adadelta":
        part = torch.optim.Adadelta(parameters, lr, weight_decay=decay, capturable=recorded)
    else:
        momentum = 0.0 if name == "sgd" else first
        nesterov = name == "nesterov" and momentum > 0
        part = torch.optim.SGD(parameters, lr, momentum, weight_decay=decay, nesterov=nesterov, **fused)
    return Optimizer([part])


def _muon(config: TrainConfig, parameters: list[nn.Parameter], fused: dict[str, bool]) -> Optimizer:
    """Muon for the hidden matrices, at rates that match AdamW's updates; AdamW for the head and all else.

    (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; Liu et al. 2025, arXiv:2502.16982.)
    """
    if not hasattr(torch.optim, "Muon"):
        raise ConfigError(f"optimizer muon needs PyTorch 2.9 or newer; this is {torch.__version__}")
    matrices = [parameter for parameter in parameters if parameter.ndim == 2]
    hidden = {id(parameter) for parameter in matrices[:-1]}
    lr, decay, momentum = peak_lr(config), config.weight_decay, config.momentum
    others = [parameter for parameter in parameters if id(parameter) not in hidden]
    parts: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(others, lr, (momentum, 0.999), weight_decay=decay, **fused)
    ]
    if hidden:
        options = {"momentum": momentum, "weight_decay": decay, "adjust_lr_fn": "match_rms_adamw"}
        parts.append(torch.optim.Muon(matrices[:-1], lr, **options))  # type: ignore[arg-type]  # a mixed dict
    return Optimizer(parts)


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
