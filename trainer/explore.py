"""A look at a data set before anything is trained on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer import figures
from trainer.cache import DatasetInfo, open_cached


@dataclass(frozen=True)
class Exploration:
    """What a data set holds."""

    info: DatasetInfo
    train_counts: NDArray[np.int64]  # per class
    test_counts: NDArray[np.int64]
    histograms: NDArray[np.int64]  # [C, 256], of the training images

    @property
    def mean(self) -> tuple[float, ...]:
        """Of each channel of the training images, values in [0, 1]."""
        shares = self.histograms / self.histograms.sum(axis=1, keepdims=True)
        return tuple(float(value) for value in shares @ (np.arange(256) / 255))

    @property
    def std(self) -> tuple[float, ...]:
        """Of each channel of the training images, values in [0, 1]."""
        shares = self.histograms / self.histograms.sum(axis=1, keepdims=True)
        squares = shares @ (np.arange(256) / 255) ** 2
        return tuple(float(value) for value in np.sqrt(np.maximum(squares - np.square(self.mean), 0)))


def explore(
    dataset: str, data_dir: str = "", image_size: int | None = None, folder: Path | None = None
) -> Exploration:
    """Count classes and channel values; with a folder, draw them there, with sample images.

    Raises:
        DataError: the data set is missing or unreadable.
    """
    info, arrays = open_cached(dataset, data_dir, image_size)
    images, labels = arrays["train_images"], arrays["train_labels"]
    counts = [np.bincount(arrays[f"{part}_labels"], minlength=len(info.classes)) for part in ("train", "test")]
    found = Exploration(info, counts[0], counts[1], channel_counts(images))
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        pictures = {
            "class_balance.png": figures.class_balance({"train": counts[0], "test": counts[1]}, info.classes),
            "samples.png": figures.samples(images, labels, info.classes),
            "channels.png": figures.channel_histograms(found.histograms, found.mean, found.std),
        }
        for name, figure in pictures.items():
            figure.savefig(folder / name, dpi=120)
    return found


def channel_counts(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each value occurs in each channel [C, 256], some thousand images at a time."""
    counts = np.zeros((images.shape[1], 256), np.int64)
    for start in range(0, len(images), 4096):
        for channel, values in enumerate(images[start : start + 4096].transpose(1, 0, 2, 3)):
            counts[channel] += np.bincount(values.reshape(-1), minlength=256)
    return counts
