"""What launch and resume have in common: drive with a live view, then show the leaderboards."""

from __future__ import annotations

import signal
from types import FrameType

import typer

from sweep.commands.boards import print_boards
from sweep.commands.options import console
from sweep.errors import EXIT_DETACHED, EXIT_USER_ERROR, RunFolderError
from sweep.lock import DriverLock
from sweep.paths import RunPaths
from sweep.records import TrialState
from sweep.run import change_limits, open_run
from sweep.summary import summarize
from sweep.toml_files import NONE, Changes
from sweep.view import LiveView


def drive_and_report(paths: RunPaths, event: str, changes: Changes = NONE, *, new_code: bool = False) -> None:
    """Drive the run in the foreground; Ctrl-C, SIGTERM and a closed terminal detach."""
    from sweep.board import Board
    from sweep.driving import drive
    from sweep.reporting import write_report

    out = console()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, _detach)

    def draw(board: Board) -> None:
        lanes = board.launcher.slots * board.launcher.packing.lanes
        summary = summarize(board.spec, board.trials, board.ledger, lanes, board.jobs.values())
        driver = "this terminal; Ctrl-C detaches, the jobs go on"
        view.update(summary, board.trials, driver, board.events.notices)

    def show(board: Board) -> None:
        if view.is_due():
            draw(board)

    try:
        with LiveView(out) as view:
            driver, ending = drive(paths, event, show, changes, new_code=new_code)
            board = driver.board
            draw(board)
        out.print(f"{board.spec.name}: {ending.value}.")
        waiting = sum(record.state == TrialState.QUEUED for record in board.trials.values())
        if waiting:
            out.print(f"{waiting} trial(s) wait for another attempt: sweep resume {paths.root.name}")
        report = write_report(open_run(paths))
        print_boards(out, report.boards, board.spec.goal, board.spec.target)
        out.print(f"\nReport: {report.page}", soft_wrap=True)
        if board.trials and all(record.state.is_failure for record in board.trials.values()):
            out.print(f"Every trial failed; `sweep logs {min(board.trials)} --study {paths.root.name}` tells why")
            raise typer.Exit(EXIT_USER_ERROR)
    except KeyboardInterrupt:
        out.print(f"Detached; what was submitted goes on. Resume with: [bold]sweep resume {paths.root.name}[/]")
        raise typer.Exit(EXIT_DETACHED) from None
    except OSError as error:  # a full disk, mostly
        raise RunFolderError(
            f"{error.strerror}: {error.filename or paths.root}\nNothing that was finished is lost; mend this "
            f"and go on with `sweep resume {paths.root.name}`"
        ) from error


def drive_elsewhere(paths: RunPaths, changes: Changes = NONE, *, new_code: bool = False) -> None:
    """Have a driver of its own drive the run, once no other does."""
    from sweep.driving import keep_code
    from sweep.launchers.driver_job import detach, take_over

    with DriverLock(paths.driver_lock):
        take_over(paths)
        change_limits(paths, changes)
        keep_code(open_run(paths), new_code)  # the driver's job runs it, too
    where = detach(open_run(paths).profile, paths)
    name = paths.root.name
    console().print(
        f"Driven by {where}.\nWatch it with `sweep status {name} --watch`, end it with `sweep stop {name}`.",
        soft_wrap=True,
    )


def _detach(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
