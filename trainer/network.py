"""The network of a recipe: built for the data, with the weights it starts from."""

from __future__ import annotations

import torch
from torch import nn

from trainer.config import TrainConfig
from trainer.data import TrainingData
from trainer.models import make_model
from trainer.weights import freeze_backbone, start_from


def make_network(config: TrainConfig, data: TrainingData, device: torch.device) -> nn.Module:
    """The recipe's network on its device, with the weights it starts from.

    Raises:
        ConfigError: network, data and weights do not fit each other.
    """
    smallest = min(2, len(data.train) % config.batch_size or config.batch_size)
    model = make_model(config.model, data.image_shape, len(data.classes), smallest)
    if config.weights:
        start_from(model, config.weights, config.model)
    if config.freeze:
        freeze_backbone(model)
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
