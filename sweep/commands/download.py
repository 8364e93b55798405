"""sweep download: fetch a data set or pretrained weights where there is a network."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from sweep.errors import SweepError


class Downloadable(StrEnum):
    """What torchvision fetches: data sets, and the weights of a network."""

    CIFAR10 = "cifar10"
    MNIST = "mnist"
    RESNET18 = "resnet18"


def download(
    what: Annotated[Downloadable, typer.Argument(help="The data set, or the network whose weights, to fetch.")],
    data_dir: Annotated[str, typer.Option(help="Where data goes: $SWEEP_DATA_DIR, else ./data.")] = "",
) -> None:
    """Fetch a data set and decode it into the cache, or pretrained weights into torch's. For login nodes: compute
    nodes often have no network.
    """
    if what is Downloadable.RESNET18:
        fetch_weights()
    else:
        fetch_data(what, data_dir)


def fetch_weights() -> None:
    """ResNet-18's weights, into torch's own cache ($TORCH_HOME)."""
    from torchvision.models import ResNet18_Weights

    from trainer.weights import find_weights

    try:
        ResNet18_Weights.IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise SweepError(
            f"the weights could not be fetched: {error}; run this where there is a network, or give the study "
            "`weights = PATH` of a file that you bring"
        ) from error
    typer.echo(f"resnet18: {find_weights('pretrained')}")


def fetch_data(dataset: Downloadable, data_dir: str) -> None:
    """A data set, decoded once so that it is known to be whole."""
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
