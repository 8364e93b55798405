"""Checkpoints: written whole or not at all, with the one before kept in case the newest is damaged."""

from __future__ import annotations

import os
import zipfile
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


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The newest undamaged checkpoint of the folder, with tensors on the CPU, or None.

    Raises:
        OSError: a checkpoint is there and cannot be read; starting over would overwrite it.
    """
    for name in (NAME, PREVIOUS):
        try:
            with zipfile.ZipFile(folder / name) as archive:
                if archive.testzip() is not None:  # torch does not look at the checksums
                    continue
            state: dict[str, Any] = torch.load(folder / name, map_location="cpu", weights_only=True)
            return state
        except FileNotFoundError:
            continue
        except OSError:
            raise
        except Exception:  # noqa: BLE001  # damaged bytes raise nearly anything
            continue
    return None
