"""Driving a run: the lock, the code that its jobs import, and the driver put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sweep.board import Board
from sweep.driver import Driver
from sweep.errors import DriverLockedError, SubmissionError
from sweep.events import EventLog
from sweep.history import load_history
from sweep.launchers import make_launcher
from sweep.launchers.driver_job import take_over
from sweep.lock import DriverLock
from sweep.paths import RunPaths
from sweep.records import Ending
from sweep.run import TIMINGS, Run, change_limits, check_data, open_run
from sweep.search import Search
from sweep.snapshot import changed_files, imports_from_snapshot, take_snapshot
from sweep.timings import TimingsFile
from sweep.toml_files import NONE, Changes
from sweep.trainables import config_class


def keep_code(run: Run, new_code: bool) -> dict[str, Any] | None:
    """See that the run has a snapshot of its code; a new one, if asked for and the code has changed.

    What there is to log of a snapshot that was taken.
    """
    changed = changed_files(run.paths, run.spec) if new_code else []
    if run.code is not None and not changed:
        return None
    config_class(run.spec.trainer)  # no snapshot of what cannot be imported
    code = take_snapshot(run.paths, run.spec)
    return {"hash": code.hash, "version": code.version, "commit": code.commit, "files": changed}


def make_driver(run: Run, events: EventLog) -> Driver:
    """The driver of a run; the caller holds its lock."""
    with imports_from_snapshot(run.paths):
        config_class(run.spec.trainer)  # a trainer that cannot be imported here should not cost trials
    run_id = run.paths.run_id.read_text()
    search = Search(run.spec, run.paths.journal, run_id, load_history(run.paths))
    memory = TimingsFile(run.paths.root.parent / TIMINGS, run_id, f"{run.profile.name} {run.spec.trainer}")
    launcher = make_launcher(run.profile, run.paths, events.notice)
    return Driver(Board(run.paths, run.spec, search, launcher, events, memory=memory))


def drive(
    paths: RunPaths,
    event: str,
    on_step: Callable[[Board], None],
    changes: Changes = NONE,
    *,
    new_code: bool = False,
) -> tuple[Driver, Ending]:
    """Drive a run to its end under the driver's lock; `event` opens the session's log.

    Jobs import what was launched; with `new_code`, those from here on what there is now.

    Raises:
        DriverLockedError: another driver works on it, or has taken over from this one.
        BreakerError: the same failure hits trial after trial.
        SubmissionError: Slurm refuses the study's jobs.
    """
    with DriverLock(paths.driver_lock) as lock:
        if event != "succeeded":  # somebody has decided meanwhile that the study is to go on
            paths.stop.unlink(missing_ok=True)
        paths.driver_setup_failed.unlink(missing_ok=True)  # of an earlier job, as this driver did start
        take_over(paths)
        change_limits(paths, changes)
        run = open_run(paths)
        check_data(run.spec)
        events = EventLog(paths.events)
        taken = keep_code(run, new_code)
        driver = make_driver(run, events)
        events.write(event, host=lock.owner.host, pid=lock.owner.pid, changes=dict(changes))
        if taken is not None:
            events.write("code", **taken)

        def fenced(board: Board) -> None:
            if not lock.is_ours():
                raise DriverLockedError(f"another driver has taken over {paths.root}; this one leaves")
            on_step(board)

        try:
            return driver, driver.run(run.profile.step_seconds, fenced)
        except KeyboardInterrupt:
            events.write("detached", in_flight=sorted(driver.board.bundles_in_flight()))
            raise
        except SubmissionError as error:
            driver.collector.collect()  # the refused job is gone already
            events.write("breaker", why=str(error))
            raise
