"""Networks of the user's own, as module:Class."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from trainer.errors import ConfigError
from trainer.models import make_model

NETWORKS = """
import threading
import torch
from torch import nn

class Nothing(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(720, 10)
    def forward(self, images):
        return self.layer(images.flatten(1))

class Some(nn.Module):
    def __init__(self, classes, hidden=7):
        super().__init__()
        self.classes, self.hidden = classes, hidden
        self.layer = nn.Conv2d(3, classes, 1)
    def forward(self, images):
        return self.layer(images).mean((2, 3))

class All(nn.Sequential):
    def __init__(self, width, height, classes, channels):
        super().__init__(nn.Flatten(), nn.Linear(channels * height * width, classes))

def made(channels, classes):
    return nn.Sequential(nn.Conv2d(channels, classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())

class Unfinished(nn.Module):
    def __init__(self):
        raise KeyError("no layers yet")

class Typo(nn.Module):
    def forward(self, images):
        return self.hedd(images)

class Narrow(nn.Sequential):
    def __init__(self, classes):
        super().__init__(nn.Flatten(), nn.Linear(3 * 20 * 12, classes - 1))

class Pair(nn.Sequential):
    def forward(self, images):
        return images, images

class NoNetwork:
    pass

class Locked(nn.Linear):
    def __init__(self):
        super().__init__(720, 4)
        self.lock = threading.Lock()

class Wrong(nn.Module):
    def forward(self, images):
        raise AssertionError("colours only")

class Keyless(nn.Module):
    def forward(self, images):
        return nn.Sequential(Lookup())(images)

class Lookup(nn.Module):
    def forward(self, images):
        return {}["head"]

class Flat(nn.Module):
    def forward(self, images):
        return nn.functional.linear(images, torch.zeros(4, 7))
"""


@pytest.fixture
def my_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module in the current folder; gives its name."""
    name = f"networks_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(NETWORKS)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield name
    sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["Some", "All", "made"])
def test_ones_own_network_gets_what_its_constructor_asks_for(my_networks, name):
    model = make_model(f"{my_networks}:{name}", (3, 20, 12), 4)

    assert model(torch.zeros(5, 3, 20, 12)).shape == (5, 4)


def test_ones_own_network_may_ask_for_nothing(my_networks):
    class_count_it_knows = 10

    model = make_model(f"{my_networks}:Nothing", (3, 20, 12), class_count_it_knows)

    assert model(torch.zeros(5, 3, 20, 12)).shape == (5, 10)


def test_other_arguments_of_the_constructor_keep_their_defaults(my_networks):
    model = make_model(f"{my_networks}:Some", (3, 20, 12), 4)

    assert (model.classes, model.hidden) == (4, 7)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Missing", "AttributeError"),
        ("Unfinished", "KeyError: 'no layers yet'"),
    ],
)
def test_a_network_that_cannot_be_made_is_the_users_mistake(my_networks, name, said):
    with pytest.raises(ConfigError, match=rf"channels, height, width, classes by name; got '.*:{name}': {said}"):
        make_model(f"{my_networks}:{name}", (3, 20, 12), 4)


def test_a_module_that_cannot_be_imported_is_the_users_mistake():
    with pytest.raises(ConfigError, match="ModuleNotFoundError: No module named 'nowhere'"):
        make_model("nowhere:Network", (3, 20, 12), 4)


def test_what_is_no_network_is_refused_by_its_type(my_networks):
    with pytest.raises(ConfigError, match=r"must make a torch\.nn\.Module; got NoNetwork"):
        make_model(f"{my_networks}:NoNetwork", (3, 20, 12), 4)


def test_a_network_with_too_few_logits_is_refused_with_both_shapes(my_networks):
    with pytest.raises(ConfigError, match=r"one logit per class, \[2, 4\].*got \[2, 3\]"):
        make_model(f"{my_networks}:Narrow", (3, 20, 12), 4)


def test_a_network_that_gives_no_tensor_is_refused(my_networks):
    with pytest.raises(ConfigError, match="one logit per class"):
        make_model(f"{my_networks}:Pair", (3, 20, 12), 4)


@pytest.mark.parametrize(
    ("name", "image", "said"),
    [
        ("Narrow", (3, 9, 9), "shapes cannot be multiplied"),
        ("Typo", (3, 20, 12), "no attribute 'hedd'"),
        ("Wrong", (3, 20, 12), "colours only"),
        ("Locked", (3, 20, 12), r"cannot pickle '_thread\.lock' object"),
    ],
)
def test_a_network_that_fails_at_the_images_is_the_users_mistake(my_networks, name, image, said):
    with pytest.raises(ConfigError, match=said):
        make_model(f"{my_networks}:{name}", image, 4)


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("Keyless", 'return {}["head"]', "fails at its first images: KeyError: 'head'"),
        ("Flat", "return nn.functional.linear", "cannot take a batch of 2 .*: RuntimeError: .*shapes.*"),
    ],
)
def test_the_line_of_ones_own_code_that_failed_is_named(my_networks, name, line, said):
    number = 1 + next(index for index, text in enumerate(NETWORKS.splitlines()) if line in text)

    with pytest.raises(ConfigError, match=rf"{said} \(.*/{my_networks}\.py, line {number}\)") as caught:
        make_model(f"{my_networks}:{name}", (3, 20, 12), 4)

    assert ("batch_size" in str(caught.value)) == ("shapes" in said)
