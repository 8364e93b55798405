"""sweep stop: cancel what runs, keep what is done."""

from __future__ import annotations

import time

import typer

from sweep.commands.options import RunsFolder, StudyName
from sweep.errors import SweepError

PATIENCE_SECONDS = 180.0  # Slurm may take its time to end jobs


def stop(study: StudyName = None, runs: RunsFolder = None) -> None:
    """Cancel the trials that run and end the driver. What is done is kept, and `sweep resume` goes on later."""
    from sweep.events import EventLog
    from sweep.launchers.driver_job import take_over
    from sweep.lock import DriverLock, live_owner
    from sweep.run import find_run, open_run, runs_folder

    paths = find_run(study, runs_folder(runs))
    paths.stop.touch()
    patience = time.monotonic() + PATIENCE_SECONDS
    while paths.stop.exists() and (owner := live_owner(paths.driver_lock)) is not None:
        if time.monotonic() > patience:
            raise SweepError(
                f"the driver (process {owner.pid} on {owner.host}) has not answered within "
                f"{PATIENCE_SECONDS:g} s; it will stop when it does, or end it there and run this again"
            )
        time.sleep(0.1)
    if paths.stop.exists():  # nobody drives, or the driver died before it answered
        from sweep.driving import make_driver

        with DriverLock(paths.driver_lock) as lock:
            events = EventLog(paths.events)
            driver = make_driver(open_run(paths), events)
            events.write("stopping", host=lock.owner.host, pid=lock.owner.pid)
            driver.adopt()
            ending = driver.step()
            events.write("ended", why=str(ending))
    take_over(paths)
    typer.echo(f"Stopped {paths.root.name}; what is done is kept. Go on with: sweep resume {paths.root.name}")
