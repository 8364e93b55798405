"""sweep drive-in-job: what the driver's own Slurm job runs (launch --detach)."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from sweep.errors import DriverLockedError

FORMER_DRIVER_SECONDS = 120.0  # until the lock of a driver that died on another node is taken for stale


def drive_in_job(run: Annotated[str, typer.Argument(help="The run, by path.")]) -> None:
    """Drive a run from within a Slurm job, with a successor in the queue. `launch --detach` submits this."""
    from pathlib import Path

    from sweep.commands.drive import drive_and_report
    from sweep.launchers.driver_job import check_succession, succession
    from sweep.run import find_run, open_run

    paths = find_run(run, Path())
    check_succession(paths)
    with succession(open_run(paths).profile, paths):
        patience = time.monotonic() + FORMER_DRIVER_SECONDS
        while True:
            try:
                drive_and_report(paths, "succeeded")
                return
            except DriverLockedError:
                if time.monotonic() > patience:
                    raise
                time.sleep(5.0)
