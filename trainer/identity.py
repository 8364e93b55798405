"""Which recipe a checkpoint belongs to."""

from __future__ import annotations

import json

from trainer.config import TrainConfig
from trainer.data import TrainingData

# What may differ between two attempts of one recipe.
NO_RECIPE = {"data_dir", "device", "test", "test_epochs", "loss_steps", "cuda_graphs", "tensorboard"}


def identity(config: TrainConfig, data: TrainingData) -> str:
    """The recipe and its images as text, without what may differ between two attempts."""
    images = [len(data.train), len(data.validation), *data.classes]
    return f"{config.model_dump_json(exclude=NO_RECIPE, exclude_defaults=True)} {images}"


def differences(theirs: str, ours: str) -> str:
    """What two identities differ in, such as `epochs 4, here 6`."""
    (their_keys, their_images), (our_keys, our_images) = _taken_apart(theirs), _taken_apart(ours)
    defaults = TrainConfig().model_dump()
    told = [
        f"{key} {then}, here {now}"
        for key in sorted(their_keys | our_keys)
        if (then := their_keys.get(key, defaults.get(key))) != (now := our_keys.get(key, defaults.get(key)))
    ]
    return "; ".join([*told, *(["other images"] if their_images != our_images else [])])


def _taken_apart(text: str) -> tuple[dict[str, object], str]:
    keys, end = json.JSONDecoder().raw_decode(text)
    return keys, text[end:]
