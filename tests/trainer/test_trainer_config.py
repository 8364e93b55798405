"""TrainConfig: what it accepts, what it refuses, and that it says everything at once."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from trainer import models as built
from trainer.config import MODELS, TrainConfig
from trainer.schedules import REFERENCE_LR

REFUSED = [
    ("dataset", "imagenet"),
    ("dataset", "imagefolder:"),
    ("dataset", "my-digits"),
    ("model", "resnet"),
    ("epochs", 0),
    ("epochs", 2.5),
    ("epochs", "many"),
    ("batch_size", 0),
    ("optimizer", "lion"),
    ("lr", 0),
    ("lr", -0.1),
    ("lr", math.nan),
    ("lr", math.inf),
    ("lr_scale", 0),
    ("lr_scale", math.inf),
    ("momentum", -0.1),
    ("momentum", 1),
    ("momentum", math.nan),
    ("weight_decay", -1e-9),
    ("weight_decay", math.inf),
    ("schedule", "triangle"),
    ("warmup", -0.01),
    ("warmup", 1),
    ("warmup", math.nan),
    ("validation_fraction", -0.1),
    ("validation_fraction", 1),
    ("validation_fraction", math.nan),
    ("test", "perhaps"),
    ("seed", -1),
    ("split_seed", -1),
    ("split_seed", 2**32),
    ("device", "tpu"),
    ("image_size", 0),
    ("normalization", "mine"),
    ("model", "module:"),
    ("model", "my module:Net"),
    ("freeze", "head"),
    ("step_epochs", 0),
    ("gamma", 0),
    ("gamma", 1.1),
    ("loss", "hinge"),
    ("label_smoothing", 1),
    ("crop", -1),
    ("cutout", -1),
    ("ema", 1),
    ("precision", "fp8"),
    ("loss_steps", 0),
    ("seed", 2**32),
]

ACCEPTED = [
    ("dataset", "cifar10"),
    ("dataset", "mnist"),
    ("dataset", "imagefolder:/some where/é"),
    ("epochs", 1),
    ("batch_size", 1),
    ("lr", 1e-12),
    ("lr", None),
    ("momentum", 0),
    ("momentum", 0.999),
    ("weight_decay", 0),
    ("warmup", 0),
    ("validation_fraction", 0),
    ("seed", 0),
    ("seed", 2**32 - 1),
    ("model", "my_package.networks:Net"),
    ("gamma", 1),
    ("label_smoothing", 0.99),
    ("ema", 0.9999),
]


@pytest.mark.parametrize("name", MODELS)
def test_every_network_named_can_be_built(name):
    assert TrainConfig(model=name).model in built.MODELS


@pytest.mark.parametrize("name", REFERENCE_LR)
def test_every_optimizer_with_a_reference_rate_can_be_asked_for(name):
    assert TrainConfig.model_validate({"optimizer": name}).optimizer == name


def test_the_defaults_are_a_valid_recipe():
    assert TrainConfig().dataset == "digits"


@pytest.mark.parametrize(("key", "value"), REFUSED)
def test_a_value_out_of_bounds_is_refused_under_its_key(key, value):
    with pytest.raises(ValidationError) as caught:
        TrainConfig.model_validate({key: value})

    assert [error["loc"] for error in caught.value.errors()] == [(key,)]


@pytest.mark.parametrize(("key", "value"), ACCEPTED)
def test_a_value_on_the_edge_of_its_bounds_is_accepted(key, value):
    assert getattr(TrainConfig.model_validate({key: value}), key) == value


def test_images_are_brought_to_a_size_only_where_they_are_files():
    assert TrainConfig(dataset="imagefolder:pets", image_size=1).image_size == 1
    with pytest.raises(ValidationError, match="image_size is for image folders; got dataset cifar10"):
        TrainConfig(dataset="cifar10", image_size=64)


def test_all_mistakes_are_reported_at_once():
    mistakes = {"epochs": 0, "lr": -1, "optimizer": "lion", "device": "abacus", "colour": "red"}

    with pytest.raises(ValidationError) as caught:
        TrainConfig.model_validate(mistakes)

    assert {error["loc"][0] for error in caught.value.errors()} == set(mistakes)


def test_an_unknown_key_is_refused_by_name():
    with pytest.raises(ValidationError, match="learning_rate"):
        TrainConfig.model_validate({"learning_rate": 0.1})


def test_a_recipe_cannot_be_changed():
    config = TrainConfig()

    with pytest.raises(ValidationError, match="frozen"):
        config.epochs = 5


def test_numbers_may_be_given_as_text():
    config = TrainConfig.model_validate({"epochs": "7", "lr": "1e-3"})

    assert (config.epochs, config.lr) == (7, 1e-3)


@pytest.mark.parametrize("key", TrainConfig.model_fields)
def test_every_key_is_described(key):
    assert TrainConfig.model_fields[key].description
