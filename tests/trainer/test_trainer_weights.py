"""Weights that a run starts from, freezes and leaves behind."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from trainer.config import TrainConfig
from trainer.context import QuietContext
from trainer.errors import ConfigError
from trainer.models import make_model
from trainer.training import train
from trainer.weights import PRETRAINED, find_weights, read_weights, start_from

COLOUR, GREY = (3, 32, 32), (1, 32, 32)


def saved(path: Path, model: nn.Module) -> str:
    torch.save(model.state_dict(), path)
    return str(path)


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def network(name: str = "convnet", image: tuple[int, int, int] = COLOUR, classes: int = 10, seed: int = 0):
    torch.manual_seed(seed)
    return make_model(name, image, classes)


# Files


@pytest.mark.parametrize("name", ["convnet", "bn_cnn", "mlp"])
def test_a_network_starts_from_the_weights_of_a_file(tmp_path, name):
    left, model = network(name, seed=1), network(name, seed=2)

    start_from(model, saved(tmp_path / "weights.pt", left), name)

    assert same(model.state_dict(), left.state_dict())


def test_a_file_that_is_not_there_is_the_users_mistake(tmp_path):
    with pytest.raises(ConfigError, match=r"weights file lost\.pt does not exist; correct the path"):
        train(TrainConfig(weights="lost.pt", device="cpu"), QuietContext())


def test_a_folder_is_no_file_of_weights(tmp_path):
    with pytest.raises(
        ConfigError, match=f"must be a file, and {tmp_path} is a folder; give {tmp_path}/weights.pt"
    ):
        find_weights(str(tmp_path))


def test_the_home_folder_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "weights.pt").write_bytes(b"")

    assert find_weights("~/weights.pt") == tmp_path / "weights.pt"


@pytest.mark.parametrize(
    "content",
    [b"", b"hello world\n", b"a list that is not there", b"X\x01\0\0\0\xff.", b"\x80\x02]q\x00.", b"PK\x03\x04"],
)
def test_a_file_of_strange_bytes_is_the_users_mistake(tmp_path, content):
    (tmp_path / "weights.pt").write_bytes(content)

    with pytest.raises(ConfigError, match=r"weights\.pt (cannot be read; it is damaged|must hold a state dict)"):
        read_weights(tmp_path / "weights.pt")


@pytest.mark.parametrize("left", [0.1, 0.5, 0.99])
def test_a_file_cut_short_is_the_users_mistake(tmp_path, left):
    whole = Path(saved(tmp_path / "weights.pt", network())).read_bytes()
    (tmp_path / "weights.pt").write_bytes(whole[: int(left * len(whole))])

    with pytest.raises(ConfigError, match="damaged"):
        read_weights(tmp_path / "weights.pt")


def test_a_file_with_altered_weights_is_the_users_mistake(tmp_path):
    whole = bytearray(Path(saved(tmp_path / "weights.pt", network())).read_bytes())
    middle = whole.index(network().state_dict()["7.weight"].numpy().tobytes()[:400])
    whole[middle + 100 : middle + 200] = bytes(100)
    (tmp_path / "weights.pt").write_bytes(whole)

    with pytest.raises(ConfigError, match="damaged"):
        read_weights(tmp_path / "weights.pt")


@pytest.mark.parametrize("content", [torch.zeros(3), [1, 2], {"epoch": 3, "model": {}}])
def test_a_file_of_anything_but_weights_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "weights.pt")

    with pytest.raises(ConfigError, match="must hold a state dict: names and tensors"):
        read_weights(tmp_path / "weights.pt")


def test_nothing_in_a_file_is_executed(tmp_path):
    torch.save({"weights": network()}, tmp_path / "weights.pt")

    with pytest.raises(ConfigError, match="cannot be read"):
        read_weights(tmp_path / "weights.pt")


@pytest.mark.parametrize(("other", "image"), [("bn_cnn", COLOUR), ("mlp", COLOUR), ("convnet", (3, 40, 32))])
def test_weights_of_another_network_are_refused(tmp_path, other, image):
    file = saved(tmp_path / "weights.pt", network(other, image))

    with pytest.raises(
        ConfigError, match=r"weights\.pt is not of model convnet: \d+ of its tensors differ, such as"
    ):
        start_from(network(), file, "convnet")


def test_a_refused_file_leaves_the_network_as_it_was(tmp_path):
    model = network()
    before = copy.deepcopy(model.state_dict())

    with pytest.raises(ConfigError):
        start_from(model, saved(tmp_path / "weights.pt", network(image=(3, 40, 32))), "convnet")

    assert same(model.state_dict(), before)


# What adapts


@pytest.mark.parametrize(("name", "head"), [("convnet", "11"), ("mlp", "3"), ("resnet18", "fc")])
def test_a_head_for_other_classes_is_fresh_and_all_else_is_taken(tmp_path, name, head):
    left, model = network(name, classes=7, seed=1), network(name, classes=10, seed=2)
    fresh = copy.deepcopy(model.state_dict())

    start_from(model, saved(tmp_path / "weights.pt", left), name)

    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, (fresh if key.startswith(f"{head}.") else left.state_dict())[key])


@pytest.mark.parametrize("name", ["convnet", "bn_cnn", "resnet18"])
def test_a_first_layer_for_colours_sees_grey_images_as_three_equal_colours(tmp_path, name):
    left, model = network(name, COLOUR).eval(), network(name, GREY, seed=1).eval()

    start_from(model, saved(tmp_path / "weights.pt", left), name)

    grey = torch.rand(2, *GREY)
    torch.testing.assert_close(model(grey), left(grey.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5)


def layers(first: nn.Module, second: nn.Module) -> nn.Sequential:
    return nn.Sequential(first, second, nn.Flatten(), nn.Linear(4, 3))


@pytest.mark.parametrize(
    ("left", "model"),
    [
        (layers(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3)), layers(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, groups=4))),
        (layers(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)), layers(nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 3))),
        (layers(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3)), layers(nn.PReLU(4), nn.PReLU(4))),
        (layers(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)), layers(nn.Conv2d(1, 4, 5), nn.Conv2d(4, 4, 3))),
    ],
    ids=["grouped second layer", "two channels", "no convolutions", "another kernel"],
)
def test_only_a_first_layer_for_grey_images_adapts_to_other_channels(tmp_path, left, model):
    before = copy.deepcopy(model.state_dict())

    with pytest.raises(ConfigError, match="is not of model mine"):
        start_from(model, saved(tmp_path / "weights.pt", left), "mine")

    assert same(model.state_dict(), before)


def test_older_files_may_lack_the_counts_of_batch_norm(tmp_path):
    state = network("bn_cnn", seed=1).state_dict()
    torch.save(
        {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")},
        tmp_path / "weights.pt",
    )
    model = network("bn_cnn", seed=2)

    start_from(model, str(tmp_path / "weights.pt"), "bn_cnn")

    assert same(model.state_dict(), state)


# Pretrained weights


def test_pretrained_weights_that_are_not_there_are_told_how_to_be_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    with pytest.raises(
        ConfigError, match=rf"cache \({tmp_path}/hub/checkpoints/{PRETRAINED}\); run `sweep download"
    ):
        train(TrainConfig(model="resnet18", weights="pretrained", device="cpu"), QuietContext())


def test_pretrained_weights_lie_where_torch_keeps_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert find_weights_after_hub(tmp_path) == Path(torch.hub.get_dir()) / "checkpoints" / PRETRAINED

    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert (
        find_weights_after_hub(tmp_path / "xdg" / "torch") == tmp_path / "xdg/torch/hub/checkpoints" / PRETRAINED
    )


def find_weights_after_hub(home: Path) -> Path:
    path = home / "hub" / "checkpoints" / PRETRAINED
    path.parent.mkdir(parents=True)
    path.touch()
    return find_weights("pretrained")


def test_pretrained_weights_of_1000_classes_start_a_setting_of_fewer(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    left = network("resnet18", classes=1000, seed=1)
    saved(tmp_path / "hub" / "checkpoints" / PRETRAINED, left)
    model = network("resnet18", classes=2)

    start_from(model, "pretrained", "resnet18")

    assert torch.equal(model.conv1.weight, left.conv1.weight)
    assert model.fc.weight.shape == (2, 512)


def test_only_resnet18_has_pretrained_weights():
    with pytest.raises(ValidationError, match="pretrained is for model resnet18; got model mlp"):
        TrainConfig(model="mlp", weights="pretrained")
