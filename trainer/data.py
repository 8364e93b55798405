"""Data sets as tensors: the split, and batches made by indexing on the device."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from trainer.cache import open_cached
from trainer.config import TrainConfig
from trainer.errors import ConfigError, DataError
from trainer.models import Shape

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and deviation, as torchvision's weights expect
CHUNK_IMAGES = 512  # gathered and normalised at once: small batches cost a slice each, and caches hold them


SplitName = Literal["validation", "test", "probe"]
Indices = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True)
class Split:
    """The `rows` of images uint8 [N, C, H, W] and labels int64 [N], all on the device; nothing is copied."""

    images: Tensor
    labels: Tensor
    rows: Tensor

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class TrainingData:
    """A data set split for one study; `scale` and `shift` [1, C, 1, 1] normalise uint8 pixels."""

    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    scale: Tensor
    shift: Tensor

    @property
    def image_shape(self) -> Shape:
        """Channels, height, width."""
        _, channels, height, width = self.train.images.shape
        return channels, height, width

    @property
    def probe(self) -> Split:
        """A few of the training images."""
        return replace(self.train, rows=self.train.rows[:CHUNK_IMAGES])

    def split(self, name: SplitName) -> Split:
        """The split of that name."""
        return {"validation": self.validation, "test": self.test, "probe": self.probe}[name]

    @functools.cached_property
    def pixel_scale(self) -> Tensor:
        """`scale` for each value of an image [1, H * W * C]."""
        return self._for_each_value(self.scale)

    @functools.cached_property
    def pixel_shift(self) -> Tensor:
        """`shift` for each value of an image [1, H * W * C]."""
        return self._for_each_value(self.shift)

    def _for_each_value(self, channels: Tensor) -> Tensor:
        return channels.expand(1, *self.image_shape).permute(0, 2, 3, 1).flatten(1)

    def batches(
        self,
        split: Split,
        batch_size: int,
        order: Tensor,
        change: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalised float32 batches of `split` in `order` (positions in it); the last may be smaller.

        `change` gets uint8 images and their positions. Channels come last in memory, as convolutions like it.
        """
        chunk_images = max(1, CHUNK_IMAGES // batch_size) * batch_size
        for positions in torch.split(order, chunk_images):
            rows = split.rows[positions]
            pixels, labels = split.images.permute(0, 2, 3, 1)[rows].permute(0, 3, 1, 2), split.labels[rows]
            if change is not None:
                pixels = change(pixels, positions)
            flat = pixels.permute(0, 2, 3, 1).flatten(1).to(torch.float32)  # [B, H * W * C]: rows are fastest
            flat.mul_(self.pixel_scale).add_(self.pixel_shift)
            images = flat.view(len(pixels), *pixels.shape[2:], -1).permute(0, 3, 1, 2)
            yield from zip(torch.split(images, batch_size), torch.split(labels, batch_size), strict=True)


def load_data(config: TrainConfig, device: torch.device) -> TrainingData:
    """Load and split the recipe's data set; the test images go to the device only if the recipe asks for them.

    Raises:
        DataError: the data set is missing or unreadable, or a class is too small to split.
        ConfigError: the batch is larger than the training split, or the augmentation than an image.
    """
    info, arrays = open_cached(config.dataset, config.data_dir, config.image_size)
    train, validation = split_indices(
        arrays["train_labels"], config.validation_fraction, config.split_seed, info.classes
    )
    check_batch_size(config.batch_size, len(train))
    check_augmentation(config, *info.image_shape[1:])
    images, labels = (torch.from_numpy(arrays[f"train_{kind}"]).to(device) for kind in ("images", "labels"))
    test = np.arange(info.test_count if config.test or config.test_epochs else 0)
    test_images, test_labels = (
        torch.from_numpy(arrays[f"test_{kind}"][: len(test)]).to(device) for kind in ("images", "labels")
    )
    statistics = (info.mean, info.std) if config.normalization == "dataset" else imagenet(info.image_shape[0])
    mean, std = (torch.tensor(values, device=device).view(1, -1, 1, 1) for values in statistics)
    return TrainingData(
        Split(images, labels, torch.from_numpy(train).to(device)),
        Split(images, labels, torch.from_numpy(validation).to(device)),
        Split(test_images, test_labels, torch.from_numpy(test).to(device)),
        info.classes,
        scale=1 / (255 * std),
        shift=-mean / std,
    )


def imagenet(channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """ImageNet's mean and deviation for colours, or their averages for grey."""
    mean, std = IMAGENET
    return (mean, std) if channels == 3 else ((sum(mean) / 3,), (sum(std) / 3,))


def split_indices(
    labels: Indices, fraction: float, seed: int, classes: tuple[str, ...]
) -> tuple[Indices, Indices]:
    """Sorted indices of the training and the validation images: `fraction` of every class is held out.

    Raises:
        DataError: a class would leave no image on one of the two sides.
    """
    generator = np.random.default_rng(seed)
    held_out = np.zeros(len(labels), dtype=bool)
    for label, name in enumerate(classes):
        members = np.flatnonzero(labels == label)
        count = round(fraction * len(members))
        if fraction > 0 and not 0 < count < len(members):
            raise DataError(
                f"class {name!r} has {len(members)} training image(s), too few to hold out {fraction:.0%}; "
                "add images or change validation_fraction"
            )
        held_out[generator.permutation(members)[:count]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def check_batch_size(batch_size: int, train_count: int) -> None:
    """Raise ConfigError if a batch is larger than the training split."""
    if batch_size > train_count:
        raise ConfigError(
            f"batch_size must not exceed the {train_count:,} training images "
            f"(what the validation split leaves); got {batch_size:,}"
        )


def check_augmentation(config: TrainConfig, height: int, width: int) -> None:
    """Raise ConfigError if images would be shifted out of sight or blanked."""
    for key, pixels in (("crop", config.crop), ("cutout", config.cutout)):
        if pixels >= min(height, width):
            raise ConfigError(f"{key} must be less than the side of the images, {height} x {width}; got {pixels}")
