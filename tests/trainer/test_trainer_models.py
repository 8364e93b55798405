"""The networks: their sizes, the images they take, and what is said of those that do not fit."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from trainer_helpers import make_imagefolder

from trainer.config import TrainConfig
from trainer.context import QuietContext
from trainer.errors import ConfigError
from trainer.models import MODELS, make_model
from trainer.training import train

PARAMETERS = [
    # 5x5 kernels to 6, then 16 channels, and 16 * 5 * 5 -> 120 -> 84 -> 10
    ("convnet", (3, 32, 32), 10, (75 * 6 + 6) + (150 * 16 + 16) + (400 * 120 + 120) + (120 * 84 + 84) + 850),
    ("convnet", (3, 32, 32), 10, 62_006),
    ("lenet", (1, 32, 32), 10, 61_706),
    ("lenet", (3, 32, 32), 10, 61_706),  # colours become grey
    # 5x5 kernels to 64, then 32 channels, each with a scale and a shift, and 32 * 5 * 5 -> 64 -> 32 -> 10
    ("bn_cnn", (3, 32, 32), 10, (75 * 64 + 64 + 128) + (1600 * 32 + 32 + 64) + (800 * 64 + 64) + 2080 + 330),
    ("mlp", (1, 28, 28), 10, 101_770),
    ("mnist_cnn", (1, 28, 28), 10, 1_199_882),
    ("resnet18", (3, 224, 224), 1000, 11_689_512),
]


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(("name", "image", "classes", "expected"), PARAMETERS)
def test_each_network_has_as_many_parameters_as_in_its_paper(name, image, classes, expected):
    assert count(make_model(name, image, classes)) == expected


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("image", "classes"), [((3, 32, 32), 10), ((1, 28, 28), 10), ((1, 16, 16), 2), ((3, 48, 21), 7)]
)
def test_a_network_gives_one_logit_per_class_for_images_of_any_size(name, image, classes):
    logits = make_model(name, image, classes)(torch.zeros(5, *image))

    assert logits.shape == (5, classes)


@pytest.mark.parametrize("name", MODELS)
def test_a_network_without_chance_in_it_gives_each_image_the_same_logits_in_any_batch(name):
    torch.manual_seed(0)
    model, images = make_model(name, (1, 32, 32), 10).eval(), torch.rand(6, 1, 32, 32)

    torch.testing.assert_close(model(images)[4:5], model(images[4:5]), rtol=1e-4, atol=1e-5)


def test_lenet_sees_the_mean_of_the_colours():
    model, images = make_model("lenet", (3, 32, 32), 10).eval(), torch.rand(2, 3, 32, 32)
    mixed = images[:, [2, 0, 1]]

    torch.testing.assert_close(model(images), model(mixed))


@pytest.mark.parametrize(
    ("name", "least", "image"),
    [
        ("convnet", 16, (3, 15, 32)),
        ("convnet", 16, (3, 32, 15)),
        ("convnet", 16, (3, 1, 1)),
        ("lenet", 16, (1, 8, 8)),
        ("bn_cnn", 16, (3, 15, 15)),
        ("mnist_cnn", 6, (1, 5, 28)),
    ],
)
def test_images_too_small_are_refused_with_their_size(name, least, image):
    expected = f"{name} needs images of at least {least} x {least} pixels, these are {image[1]} x {image[2]}"
    with pytest.raises(ConfigError, match=expected):
        make_model(name, image, 10)


@pytest.mark.parametrize("name", ["convnet", "lenet", "bn_cnn", "mnist_cnn"])
def test_the_smallest_images_are_taken(name):
    least = 6 if name == "mnist_cnn" else 16

    assert make_model(name, (1, least, least), 3)(torch.zeros(2, 1, least, least)).shape == (2, 3)


@pytest.mark.parametrize("name", MODELS)
def test_chances_after_building_follow_from_the_seed_and_the_network_alone(name):
    def draw(image: tuple[int, int, int], smallest_batch: int) -> torch.Tensor:
        torch.manual_seed(5)
        make_model(name, image, 10, smallest_batch)
        return torch.rand(3)

    torch.manual_seed(5)
    MODELS[name](3, 32, 32, 10)
    expected = torch.rand(3)

    assert torch.equal(draw((3, 32, 32), 2), expected)
    assert torch.equal(draw((3, 32, 32), 7), expected)


@pytest.mark.parametrize("name", MODELS)
def test_the_look_at_a_batch_leaves_the_weights_and_statistics_as_built(name):
    torch.manual_seed(5)
    model = make_model(name, (3, 32, 32), 10)
    torch.manual_seed(5)
    built = MODELS[name](3, 32, 32, 10)

    assert model.training
    pairs = zip(model.state_dict().values(), built.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


# The last batch


def test_a_last_batch_of_one_image_too_small_to_be_normalised_is_refused_with_advice():
    with pytest.raises(ConfigError, match=r"cannot take a batch of 1 image\(s\) of 3 x 32 x 32.*last batch"):
        make_model("resnet18", (3, 32, 32), 10, smallest_batch=1)


@pytest.mark.parametrize(("name", "side"), [("resnet18", 64), ("bn_cnn", 32)])
def test_a_last_batch_of_one_larger_image_is_taken(name, side):
    make_model(name, (3, side, side), 10, smallest_batch=1)


def test_a_run_with_such_a_last_batch_is_refused_before_it_trains(tmp_path):
    dataset = f"imagefolder:{make_imagefolder(tmp_path / 'pets', per_class=3, shape=(32, 32, 3))}"
    config = TrainConfig(dataset=dataset, model="resnet18", batch_size=5, validation_fraction=0, device="cpu")

    with pytest.raises(ConfigError, match="choose another model, image size or batch_size"):
        train(config, QuietContext())
