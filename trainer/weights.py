"""Weights that a run starts from or leaves behind."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from trainer.config import TrainConfig
from trainer.errors import ConfigError
from trainer.sources import absolute, data_root

WEIGHTS, RECIPE = "weights.pt", "recipe.json"
PRETRAINED = "resnet18-f37072fd.pth"  # torchvision's IMAGENET1K_V1, under the name torch.hub gives it


def find_weights(weights: str) -> Path:
    """The file behind a `weights` key.

    Raises:
        ConfigError: it is not there.
    """
    if weights != "pretrained":
        path = Path(weights).expanduser()
        if path.is_dir():
            raise ConfigError(f"weights must be a file, and {path} is a folder; give {path / WEIGHTS}")
        if not path.is_file():
            raise ConfigError(f"weights file {path} does not exist; correct the path (here: {Path.cwd()})")
        return path
    default = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch"
    path = Path(os.environ.get("TORCH_HOME", default)).expanduser() / "hub" / "checkpoints" / PRETRAINED
    if not path.is_file():
        raise ConfigError(
            f"the pretrained weights are not in torch's cache ({path}); run `sweep download resnet18` where there "
            "is a network, or give weights the path of a file"
        )
    return path


def read_weights(path: Path) -> dict[str, Tensor]:
    """A state dict from a file, tensors on the CPU; nothing in it is executed.

    Raises:
        ConfigError: the file holds anything else.
    """
    try:
        if zipfile.is_zipfile(path):  # what torch writes since 1.6; it does not look at the checksums itself
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip() is not None
        else:
            damaged = False
        state: Any = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError:
        raise
    except Exception as error:  # damaged bytes raise nearly anything
        raise ConfigError(f"weights file {path} cannot be read; it is damaged or no state dict") from error
    if damaged:
        raise ConfigError(f"weights file {path} is damaged: its checksums do not hold; fetch or copy it again")
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ConfigError(f"weights file {path} must hold a state dict: names and tensors")
    return dict(state)


def start_from(model: nn.Module, weights: str, name: str) -> None:
    """Put the weights of a file into the network; a head for other classes and a first layer for colours adapt.

    Raises:
        ConfigError: the file is missing, or of another network.
    """
    path = find_weights(weights)
    state, own = read_weights(path), model.state_dict()
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    first = next((key for key, tensor in own.items() if tensor.ndim > 1), "")
    for key, tensor in list(state.items()):
        if key not in own or tensor.shape == own[key].shape:
            continue
        if linear and key.startswith(f"{linear[-1]}."):
            state[key] = own[key]  # other classes: a fresh head
        elif key == first and tensor.ndim == 4:
            state[key] = tensor.sum(dim=1, keepdim=True)  # what a grey image is to a network for colours
    take_over(model, state, path, name)


def take_over(model: nn.Module, state: dict[str, Tensor], path: Path, name: str) -> None:
    """Put a state dict into the network as it is; errors speak of the file `path` and the model `name`.

    Raises:
        ConfigError: it is of another network.
    """
    own = model.state_dict()
    for key in own:
        if key.endswith("num_batches_tracked"):  # older files do without
            state.setdefault(key, own[key])
    wrong = sorted(key for key in own.keys() | state.keys() if not _fits(own, state, key))
    if wrong:
        raise ConfigError(
            f"weights file {path} is not of model {name}: {len(wrong)} of its tensors differ, "
            f"such as {', '.join(wrong[:3])}; give the file of the same network"
        )
    model.load_state_dict(state)


def _fits(own: dict[str, Tensor], state: dict[str, Tensor], key: str) -> bool:
    return key in own and key in state and own[key].shape == state[key].shape


def read_recipe(folder: Path) -> TrainConfig:
    """The recipe of the run that came to its end in `folder`.

    Raises:
        ConfigError: there is none, or it was changed into one that cannot be.
    """
    try:
        return TrainConfig.model_validate_json((folder / RECIPE).read_bytes())
    except FileNotFoundError as error:
        raise ConfigError(f"{folder} holds no {RECIPE}; give the folder of a run that came to its end") from error
    except ValidationError as error:
        said = "; ".join(": ".join([*map(str, mistake["loc"]), mistake["msg"]]) for mistake in error.errors())
        raise ConfigError(f"{folder / RECIPE} is no recipe ({said}); mend it, or train again") from error


def save_weights(folder: Path, model: nn.Module, config: TrainConfig) -> None:
    """Write folder/recipe.json and, whole or not at all, the network's state dict to folder/weights.pt."""
    located = config.model_copy(
        update={"dataset": absolute(config.dataset), "data_dir": str(data_root(config.data_dir))}
    )
    (folder / RECIPE).write_text(located.model_dump_json(indent=2) + "\n")
    scratch = folder / f"{WEIGHTS}.tmp"
    torch.save(model.state_dict(), scratch)
    scratch.replace(folder / WEIGHTS)


def freeze_backbone(model: nn.Module) -> None:
    """Leave only the last linear layer trainable; batch norm and dropout of the rest stay as in evaluation.

    Raises:
        ConfigError: the network has no linear layer.
    """
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ConfigError(
            "freeze = backbone trains the last linear layer, and this network has none; leave it out"
        )
    model.requires_grad_(False).eval()
    linear[-1].requires_grad_(True).train()
