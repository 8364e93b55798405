"""Averaged weights: an exponential moving average of a network along its training."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class WeightAverage:
    """A copy of a network whose weights follow it slowly (Polyak and Juditsky 1992).

    After step t it moves by 1 - min(decay, (1 + t) / (10 + t)), so that the first steps are soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.decay = decay
        self._averaged: list[Tensor] = list(self.model.parameters())  # tied ones once
        self._current: list[Tensor] = list(model.parameters())
        self._buffers = [  # of the network by name, as it may put another tensor there
            (kept, model.get_submodule(path.rpartition(".")[0]), path.rpartition(".")[2])
            for path, kept in self.model.named_buffers()
        ]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the network after its step `step` (0-based)."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        averaged, current = [*self._averaged], [*self._current]
        for kept, owner, name in self._buffers:
            if kept.is_floating_point():
                averaged.append(kept)
                current.append(getattr(owner, name))
            else:
                kept.copy_(getattr(owner, name))
        torch._foreach_lerp_(averaged, current, share)
