"""The named recipes: valid, and as their authors ran them."""

from __future__ import annotations

import pytest

from trainer.config import TrainConfig
from trainer.recipes import RECIPES
from trainer.schedules import learning_rate


def config(name: str) -> TrainConfig:
    return TrainConfig.model_validate(RECIPES[name].keys)


def epoch_rates(name: str, steps_per_epoch: int = 10) -> list[list[float]]:
    """The rates of every step, epoch by epoch."""
    recipe = config(name)
    steps = recipe.epochs * steps_per_epoch
    rates = [learning_rate(recipe, step, steps) for step in range(steps)]
    return [rates[first : first + steps_per_epoch] for first in range(0, steps, steps_per_epoch)]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_valid_and_described(name):
    assert config(name)
    assert RECIPES[name].description


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_trains_on_all_images_and_measures_the_test_set(name):
    assert (config(name).validation_fraction, config(name).test) == (0, True)


@pytest.mark.parametrize("name", RECIPES)
def test_a_key_of_a_recipe_may_be_replaced(name):
    assert TrainConfig.model_validate({**RECIPES[name].keys, "epochs": "7"}).epochs == 7


@pytest.mark.parametrize("name", ["first_network_cnn", "first_network_mlp"])
def test_the_first_networks_are_trained_by_adadelta_that_slows_by_a_third_at_every_epoch(name):
    recipe = config(name)

    assert (recipe.dataset, recipe.optimizer, recipe.loss) == ("mnist", "adadelta", "nll")
    assert (recipe.epochs, recipe.batch_size, recipe.device) == (3, 64, "cpu")
    for rates, expected in zip(epoch_rates(name), [1.0, 0.7, 0.49], strict=True):
        assert rates == pytest.approx([expected] * 10)


@pytest.mark.parametrize(("name", "optimizer"), [("classifier_lab", "momentum"), ("frontier_challenge", "sgd")])
def test_the_classifiers_keep_their_small_rate_at_batches_of_four(name, optimizer):
    recipe = config(name)

    assert (recipe.dataset, recipe.model, recipe.optimizer) == ("cifar10", "convnet", optimizer)
    assert (recipe.batch_size, recipe.momentum) == (4, 0.9)
    assert {rate for rates in epoch_rates(name) for rate in rates} == {0.001}


def test_bn_cnn_is_trained_by_adam_at_a_constant_rate():
    recipe = config("bn_cnn")

    assert (recipe.model, recipe.optimizer, recipe.epochs, recipe.batch_size) == ("bn_cnn", "adam", 20, 25)
    assert {rate for rates in epoch_rates("bn_cnn") for rate in rates} == {0.001}


def test_the_pretrained_network_trains_its_head_on_images_normalised_as_it_knows_them():
    recipe = config("finetune_resnet18")

    assert (recipe.model, recipe.weights, recipe.freeze) == ("resnet18", "pretrained", "backbone")
    assert recipe.normalization == "imagenet"
