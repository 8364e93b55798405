"""Checkpoints: written whole or not at all, with the one before kept in case the newest is damaged."""

from __future__ import annotations

import logging
import os
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

NAME, PREVIOUS = "checkpoint.pt", "checkpoint.previous.pt"
SCRATCH = f"{NAME}.tmp"
LOG = logging.getLogger(__name__)


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
    """The newest undamaged checkpoint of the folder, with tensors on the CPU, or None; damage is logged.

    Raises:
        OSError: a checkpoint is there and cannot be read; starting over would overwrite it.
    """
    damaged: list[Path] = []
    for name in (SCRATCH, NAME, PREVIOUS):  # a save that died between its renames left a whole SCRATCH, the newest
        try:
            state = _undamaged((folder / name).read_bytes())
        except FileNotFoundError:
            continue
        if state is not None:
            if damaged:
                LOG.warning("%s is damaged; going on from the one before", damaged[0])
            return state
        damaged += [folder / name] if name != SCRATCH else []  # a save that died left half of it
    if damaged:
        LOG.warning("%s is damaged; starting again", damaged[0])
    return None


def _undamaged(data: bytes) -> dict[str, Any] | None:
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            if archive.testzip() is not None:  # torch does not look at the checksums
                return None
        state: dict[str, Any] = torch.load(BytesIO(data), map_location="cpu", weights_only=True)
        return state
    except Exception:  # noqa: BLE001  # damaged bytes raise nearly anything
        return None
