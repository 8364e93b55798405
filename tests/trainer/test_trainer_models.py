"""The networks."""

from __future__ import annotations

import pytest
import torch

from trainer.errors import ConfigError
from trainer.models import make_model


def convnet(channels: int, height: int, width: int, classes: int = 10) -> torch.nn.Module:
    return make_model("convnet", torch.zeros((1, channels, height, width), dtype=torch.uint8), classes)


def test_the_convnet_has_62006_parameters_on_small_colour_images():
    assert sum(parameter.numel() for parameter in convnet(3, 32, 32).parameters()) == 62_006


@pytest.mark.parametrize(
    ("channels", "height", "width", "classes"),
    [(3, 32, 32, 10), (1, 28, 28, 10), (1, 16, 16, 2), (3, 48, 21, 7), (1, 128, 128, 100)],
)
def test_it_gives_one_logit_per_class_for_images_of_any_size(channels, height, width, classes):
    logits = convnet(channels, height, width, classes)(torch.zeros(5, channels, height, width))

    assert logits.shape == (5, classes)


@pytest.mark.parametrize(("height", "width"), [(15, 32), (32, 15), (8, 8), (1, 1)])
def test_images_too_small_are_refused_with_their_size(height, width):
    with pytest.raises(ConfigError, match=f"at least 16 x 16 pixels, these are {height} x {width}"):
        convnet(3, height, width)
