"""Slots of one run on one machine: a worker holds one, with its GPU, for as long as it lives."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

SLOTS_VARIABLE = "SWEEP_SLOTS"
GPUS_VARIABLE = "SWEEP_GPUS"
LOOK_SECONDS = 0.02


def take_slot(folder: Path, give_up: Callable[[], bool]) -> bool:
    """Wait for a free slot and take it until this process ends; False if `give_up` said so first.

    The launcher says how many slots there are and which GPUs they share. A job that no launcher limits (each
    Slurm job has its own GPU) needs no slot.
    """
    if SLOTS_VARIABLE not in os.environ:
        return True
    count, gpus = int(os.environ[SLOTS_VARIABLE]), os.environ.get(GPUS_VARIABLE, "").split(",")
    folder.mkdir(exist_ok=True)
    files = [os.open(folder / str(slot), os.O_RDWR | os.O_CREAT, 0o644) for slot in range(count)]
    while not give_up():
        for slot, file in enumerate(files):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            os.environ["CUDA_VISIBLE_DEVICES"] = gpus[slot % len(gpus)]
            return True
        time.sleep(LOOK_SECONDS)
    return False
