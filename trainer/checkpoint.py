"""Checkpoints: written whole or not at all, with the one before kept in case the newest is damaged."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

NAME, PREVIOUS = "checkpoint.pt", "checkpoint.previous.pt"


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write `state` to folder/checkpoint.pt through a temporary file, fsync and rename."""
    scratch = folder / f"{NAME}.tmp"
    with scratch.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    if (folder / NAME).exists():
        (folder / NAME).replace(folder / PREVIOUS)
    scratch.replace(folder / NAME)


def load_checkpoint(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """The newest readable checkpoint of the folder, or None."""
    for name in (NAME, PREVIOUS):
        try:
            state: dict[str, Any] = torch.load(folder / name, map_location=device, weights_only=True)
            return state
        except (FileNotFoundError, EOFError, RuntimeError, pickle.UnpicklingError, OSError):
            continue
    return None
