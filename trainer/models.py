"""The networks, by name."""

from __future__ import annotations

from torch import Tensor, nn

from trainer.errors import ConfigError


class ConvNet(nn.Sequential):
    """Two convolutions and three linear layers (LeCun et al. 1998), 62,006 parameters on 32x32 RGB, 10 classes."""

    def __init__(self, channels: int, height: int, width: int, classes: int) -> None:
        rows, columns = (((side - 4) // 2 - 4) // 2 for side in (height, width))
        if rows < 1 or columns < 1:
            raise ConfigError(
                f"convnet needs images of at least 16 x 16 pixels, these are {height} x {width}; "
                "enlarge them or choose another model"
            )
        super().__init__(
            nn.Conv2d(channels, 6, 5),  # [B, 6, H-4, W-4]
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),  # [B, 16, rows, columns]
            nn.Flatten(),
            nn.Linear(16 * rows * columns, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, classes),  # [B, classes], logits
        )


MODELS = {"convnet": ConvNet}


def make_model(name: str, images: Tensor, classes: int) -> nn.Module:
    """Build network `name` for `images` [N, C, H, W] and `classes` classes.

    Raises:
        ConfigError: the network cannot take images of this size.
    """
    _, channels, height, width = images.shape
    return MODELS[name](channels, height, width, classes)
