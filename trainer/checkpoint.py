"""Checkpoints: written whole or not at all, with the one before kept in case the newest is damaged."""

from __future__ import annotations

import os
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

NAME, PREVIOUS = "checkpoint.pt", "checkpoint.previous.pt"
SCRATCH = f"{NAME}.tmp"


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write `state` to folder/checkpoint.pt through a temporary file, fsync and rename."""
    with (folder / SCRATCH).open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    if (folder / NAME).exists():
        (folder / NAME).replace(folder / PREVIOUS)
    (folder / SCRATCH).replace(folder / NAME)
    names = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(names)
    finally:
        os.close(names)


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The newest undamaged checkpoint of the folder, with tensors on the CPU, or None.

    Raises:
        OSError: a checkpoint is there and cannot be read; starting over would overwrite it.
    """
    for name in (SCRATCH, NAME, PREVIOUS):  # a save that died between its renames left a whole SCRATCH, the newest
        try:
            data = (folder / name).read_bytes()
        except FileNotFoundError:
            continue
        try:
            with zipfile.ZipFile(BytesIO(data)) as archive:
                if archive.testzip() is not None:  # torch does not look at the checksums
                    continue
            state: dict[str, Any] = torch.load(BytesIO(data), map_location="cpu", weights_only=True)
            return state
        except Exception:  # noqa: BLE001  # damaged bytes raise nearly anything
            continue
    return None
