"""sweep download: fetch a data set where there is a network."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from sweep.errors import SweepError


class Downloadable(StrEnum):
    """The data sets that torchvision fetches."""

    CIFAR10 = "cifar10"
    MNIST = "mnist"


def download(
    dataset: Annotated[Downloadable, typer.Argument(help="The data set to fetch.")],
    data_dir: Annotated[str, typer.Option(help="Where to put it: $SWEEP_DATA_DIR, else ./data.")] = "",
) -> None:
    """Fetch a data set and decode it into the cache. For login nodes: compute nodes often have no network."""
    from torchvision import datasets

    from trainer.cache import prepare
    from trainer.sources import data_root

    root = data_root(data_dir)
    kind = {Downloadable.CIFAR10: datasets.CIFAR10, Downloadable.MNIST: datasets.MNIST}[dataset]
    try:
        kind(str(root), download=True)
    except (OSError, RuntimeError) as error:
        raise SweepError(
            f"{dataset.value} could not be fetched into {root}: {error}; run this where there is a network, "
            f"or copy the files there and set $SWEEP_DATA_DIR"
        ) from error
    info = prepare(dataset.value, str(root))
    typer.echo(f"{info.name}: {info.train_count:,} training and {info.test_count:,} test images in {root}")
