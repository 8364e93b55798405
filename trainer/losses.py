"""Losses by name: (logits [B, classes], labels [B]) -> the mean over the batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from trainer.config import TrainConfig

Loss = Callable[[Tensor, Tensor], Tensor]


def make_loss(config: TrainConfig) -> Loss:
    """The recipe's loss.

    nll is the negative log likelihood of a log-softmax, in two parts what cross_entropy is in one; mse is the mean
    squared difference between the logits and the one-hot labels.
    """
    smoothing = config.label_smoothing

    def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(logits, labels, label_smoothing=smoothing)

    def nll(logits: Tensor, labels: Tensor) -> Tensor:
        log_probabilities = functional.log_softmax(logits, dim=1, dtype=torch.float32)
        likelihood = functional.nll_loss(log_probabilities, labels)
        return likelihood if smoothing == 0 else torch.lerp(likelihood, -log_probabilities.mean(), smoothing)

    def mse(logits: Tensor, labels: Tensor) -> Tensor:
        share = smoothing / logits.shape[1]
        wanted = torch.full_like(logits, share).scatter_(1, labels[:, None], 1 - smoothing + share)
        return functional.mse_loss(logits, wanted)

    return {"cross_entropy": cross_entropy, "nll": nll, "mse": mse}[config.loss]
