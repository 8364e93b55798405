"""Augmentation of whole chunks on the device: mirrored, shifted and blanked, all by indexing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.config import TrainConfig
from trainer.data import TrainingData


@dataclass(frozen=True)
class Augmentation:
    """What may be done to an image, sizes in pixels."""

    flip: bool
    crop: int
    cutout: int

    def draw(self, count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
        """The chances of an epoch, int64 [count, 5]: mirrored or not, shift (rows, columns), centre of the blank.

        Drawn for the whole epoch at once, so that a run resumed within it sees the same images.
        """
        limits = [2 if self.flip else 1, 2 * self.crop + 1, 2 * self.crop + 1, height, width]
        return torch.stack([torch.randint(limit, (count,), generator=generator) for limit in limits], dim=1)

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """Images [B, C, H, W] of any type, changed as drawn; what is shifted in or blanked is zero."""
        mirrored, down, right, row, column = draws.unbind(dim=1)
        height, width = images.shape[2:]
        rows = torch.arange(height, device=images.device)[None]  # [1, H]
        columns = torch.arange(width, device=images.device)[None]
        if self.flip or self.crop:
            sources = torch.where(mirrored[:, None] == 1, width - 1 - columns, columns) + right[:, None]  # [B, W]
            padded = torch.nn.functional.pad(images, [self.crop] * 4)
            each = torch.arange(len(images), device=images.device)[:, None, None]
            taken = padded.permute(0, 2, 3, 1)[each, (rows + down[:, None])[:, :, None], sources[:, None, :]]
            images = taken.permute(0, 3, 1, 2)
        if self.cutout:
            near_row, near_column = (
                (2 * (at - centre[:, None]) + 1 - self.cutout % 2).abs() < self.cutout
                for at, centre in ((rows, row), (columns, column))
            )
            images = images.masked_fill((near_row[:, :, None] & near_column[:, None, :])[:, None], 0)
        return images


def make_augmentation(config: TrainConfig) -> Augmentation | None:
    """The recipe's augmentation, or None if it has none."""
    chosen = Augmentation(config.flip, config.crop, config.cutout)
    return chosen if chosen != Augmentation(False, 0, 0) else None


def epoch_batches(
    config: TrainConfig, data: TrainingData, epoch: int, skip: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The training batches of an epoch after its first `skip` images.

    Order and augmentation depend on the seed and the epoch only.
    """
    count, (_, height, width) = len(data.train), data.image_shape
    generator = torch.Generator().manual_seed((config.seed << 20) + epoch)
    order = torch.randperm(count, generator=generator).to(data.train.rows.device)[skip:]
    augmentation = make_augmentation(config)
    if augmentation is None:
        return data.batches(data.train, config.batch_size, order)
    draws = augmentation.draw(count, height, width, generator).to(order.device)
    return data.batches(
        data.train, config.batch_size, order, lambda images, at: augmentation.apply(images, draws[at])
    )
