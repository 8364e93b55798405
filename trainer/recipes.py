"""Recipes of teaching systems, as their authors ran them: all images trained on, the test set measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """A named recipe: keys of TrainConfig, any of which an option on the command line replaces."""

    description: str
    keys: dict[str, Any]


AS_THEY_DID: dict[str, Any] = {"validation_fraction": 0.0, "test": True, "schedule": "constant"}
CLASSIFIER: dict[str, Any] = {
    **AS_THEY_DID,
    "dataset": "cifar10",
    "model": "convnet",
    "epochs": 2,
    "batch_size": 4,
    "optimizer": "momentum",
    "lr": 0.001,
    "loss_steps": 2000,
}
FIRST_NETWORK: dict[str, Any] = {
    **AS_THEY_DID,
    "dataset": "mnist",
    "epochs": 3,
    "batch_size": 64,
    "optimizer": "adadelta",
    "lr": 1.0,
    "schedule": "step",
    "gamma": 0.7,
    "loss": "nll",
    "test_epochs": True,
    "seed": 1,
}

RECIPES = {
    "frontier_challenge": Recipe(
        "OLCF hands-on CNN challenge: its starting point; 60 % within an hour by epochs and batch size alone",
        {**CLASSIFIER, "epochs": 4, "optimizer": "sgd", "loss_steps": 500},
    ),
    "bn_cnn": Recipe(
        "CIFAR-10 report: batch norm and dropout, Adam, 20 epochs; its author reached 73.58 %",
        {
            **AS_THEY_DID,
            "dataset": "cifar10",
            "model": "bn_cnn",
            "epochs": 20,
            "batch_size": 25,
            "optimizer": "adam",
            "lr": 0.001,
        },
    ),
    "classifier_lab": Recipe("classifier lab: momentum 0.9, two epochs at batch 4; about 54 %", CLASSIFIER),
    "first_network_mlp": Recipe(
        "first network on a cluster: MNIST, one hidden layer, Adadelta, on the CPU",
        {**FIRST_NETWORK, "model": "mlp", "device": "cpu"},
    ),
    "first_network_cnn": Recipe(
        "first network on a cluster: MNIST, convolutions and dropout, Adadelta, on the CPU",
        {**FIRST_NETWORK, "model": "mnist_cnn", "device": "cpu"},
    ),
    "finetune_resnet18": Recipe(
        "60-minute tour: a pretrained ResNet-18, frozen but for its new last layer",
        {
            **CLASSIFIER,
            "model": "resnet18",
            "weights": "pretrained",
            "freeze": "backbone",
            "normalization": "imagenet",
            "batch_size": 64,
            "optimizer": "sgd",
            "lr": 0.01,
            "loss_steps": 100,
        },
    ),
}
