"""The networks, by name. Each takes images [B, C, H, W] and gives logits [B, classes].

Papers write ReLU, then pooling; here the pooling comes first, which gives the same numbers and the same gradients
for a quarter of the ReLU's work.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from trainer.errors import ConfigError
from trainer.own_code import described

Shape = tuple[int, int, int]  # channels, height, width


class ConvNet(nn.Sequential):
    """Two convolutions and three linear layers (LeCun et al. 1998), 62,006 parameters on 32x32 RGB, 10 classes."""

    def __init__(self, channels: int, height: int, width: int, classes: int) -> None:
        rows, columns = _after_two_convolutions("convnet", height, width)
        super().__init__(
            nn.Conv2d(channels, 6, 5),  # [B, 6, H-4, W-4]
            nn.MaxPool2d(2),
            nn.ReLU(inplace=True),
            nn.Conv2d(6, 16, 5),
            nn.MaxPool2d(2),
            nn.ReLU(inplace=True),  # [B, 16, rows, columns]
            nn.Flatten(),
            nn.Linear(16 * rows * columns, 120),
            nn.ReLU(inplace=True),
            nn.Linear(120, 84),
            nn.ReLU(inplace=True),
            nn.Linear(84, classes),  # [B, classes], logits
        )


class LeNet(ConvNet):
    """The same for one channel; colours are averaged to grey first. 61,706 parameters on 32x32, 10 classes."""

    def __init__(self, channels: int, height: int, width: int, classes: int) -> None:
        _require_side("lenet", height, width, 16)
        super().__init__(1, height, width, classes)

    def forward(self, images: Tensor) -> Tensor:
        grey = images.mean(dim=1, keepdim=True)
        logits: Tensor = super().forward(grey)  # type: ignore[no-untyped-call]  # torch has no annotation here
        return logits


class BnCnn(nn.Sequential):
    """Two wide convolutions with batch norm, three linear layers with dropout; 109,962 parameters on CIFAR-10."""

    def __init__(self, channels: int, height: int, width: int, classes: int) -> None:
        rows, columns = _after_two_convolutions("bn_cnn", height, width)
        super().__init__(
            nn.Conv2d(channels, 64, 5),  # [B, 64, H-4, W-4]
            nn.BatchNorm2d(64),
            nn.MaxPool2d(2),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, 32, 5),
            nn.BatchNorm2d(32),
            nn.MaxPool2d(2),
            nn.ReLU(inplace=True),  # [B, 32, rows, columns]
            nn.Flatten(),
            nn.Linear(32 * rows * columns, 64),
            nn.ReLU(inplace=True),
            nn.Dropout(0.2),
            nn.Linear(64, 32),
            nn.ReLU(inplace=True),
            nn.Dropout(0.2),
            nn.Linear(32, classes),
        )


class Mlp(nn.Sequential):
    """One hidden layer of 128; 101,770 parameters on MNIST."""

    def __init__(self, channels: int, height: int, width: int, classes: int) -> None:
        super().__init__(
            nn.Flatten(), nn.Linear(channels * height * width, 128), nn.ReLU(inplace=True), nn.Linear(128, classes)
        )


class MnistCnn(nn.Sequential):
    """Two convolutions, one pooling, dropout and two linear layers; 1,199,882 parameters on MNIST."""

    def __init__(self, channels: int, height: int, width: int, classes: int) -> None:
        _require_side("mnist_cnn", height, width, 6)
        super().__init__(
            nn.Conv2d(channels, 32, 3),  # [B, 32, H-2, W-2]
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, 3),  # [B, 64, H-4, W-4]
            nn.MaxPool2d(2),
            nn.ReLU(inplace=True),
            nn.Dropout(0.25),
            nn.Flatten(),
            nn.Linear(64 * ((height - 4) // 2) * ((width - 4) // 2), 128),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(128, classes),
        )


def resnet18(channels: int, height: int, width: int, classes: int) -> nn.Module:
    """torchvision's ResNet-18 (He et al. 2015); its first layer takes the data's channels."""
    from torchvision.models.resnet import resnet18 as build  # a second of imports that the others do without

    network: nn.Module = build(num_classes=classes)
    if channels != 3:
        network.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    return network


MODELS: dict[str, Callable[[int, int, int, int], nn.Module]] = {
    "convnet": ConvNet,
    "lenet": LeNet,
    "bn_cnn": BnCnn,
    "mlp": Mlp,
    "mnist_cnn": MnistCnn,
    "resnet18": resnet18,
}


def _after_two_convolutions(name: str, height: int, width: int) -> tuple[int, int]:
    """Rows and columns after two rounds of a 5x5 convolution and a pooling by 2."""
    _require_side(name, height, width, 16)
    rows, columns = (((side - 4) // 2 - 4) // 2 for side in (height, width))
    return rows, columns


def _require_side(name: str, height: int, width: int, least: int) -> None:
    if min(height, width) < least:
        raise ConfigError(
            f"{name} needs images of at least {least} x {least} pixels, these are {height} x {width}; "
            "enlarge them or choose another model"
        )


def make_model(name: str, image: Shape, classes: int, smallest_batch: int = 2) -> nn.Module:
    """Build network `name` for images of shape `image`, and see that it takes the smallest batch to come.

    Raises:
        ConfigError: the network cannot be found or built, or does not fit the images or the classes.
    """
    model = MODELS[name](*image, classes) if name in MODELS else _your_own(name, image, classes)
    size = " x ".join(map(str, image))
    is_lazy = any(isinstance(value, UninitializedParameter) for value in model.parameters())
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        try:
            trial = model if is_lazy else copy.deepcopy(model)  # a lazy layer gets its shape from its first images
            logits = trial.train()(torch.zeros(smallest_batch, *image))
        except Exception as error:  # the network may be the user's code
            if not any(word in str(error) for word in ("shape", "size", "dimension", "channels")):
                raise ConfigError(f"model {name} fails at its first images: {described(error)}") from error
            raise ConfigError(
                f"model {name} cannot take a batch of {smallest_batch} image(s) of {size}: {described(error)}; "
                "choose another model, image size or batch_size (the last batch of an epoch counts too)"
            ) from error
    shape = tuple(getattr(logits, "shape", ()))
    if shape != (smallest_batch, classes):
        raise ConfigError(
            f"model {name} must give one logit per class, [{smallest_batch}, {classes}] "
            f"for {smallest_batch} image(s); got {list(shape)}"
        )
    return model


def _your_own(name: str, image: Shape, classes: int) -> nn.Module:
    """Import `module:Class`, also from the current folder, and build it with what its constructor asks for."""
    module_name, _, class_name = name.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    known: dict[str, Any] = {"channels": image[0], "height": image[1], "width": image[2], "classes": classes}
    try:
        build = getattr(importlib.import_module(module_name), class_name)
        wanted = inspect.signature(build).parameters
        model = build(**{key: value for key, value in known.items() if key in wanted})
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise ConfigError(
            f"model must be a name or an importable module:Class, whose constructor takes any of "
            f"{', '.join(known)} by name; got {name!r}: {described(error)}"
        ) from error
    if not isinstance(model, nn.Module):
        raise ConfigError(f"model {name!r} must make a torch.nn.Module; got {type(model).__name__}")
    return model
