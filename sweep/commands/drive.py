"""What launch and resume have in common: drive with a live view, then show the leaderboards."""

from __future__ import annotations

import signal
from types import FrameType

import typer

from sweep.commands.boards import print_boards
from sweep.commands.options import console
from sweep.errors import EXIT_DETACHED
from sweep.ledger import balance
from sweep.paths import RunPaths
from sweep.run import drive, open_run
from sweep.summary import summarize
from sweep.toml_files import NONE, Changes
from sweep.view import LiveView


def drive_and_report(paths: RunPaths, event: str, changes: Changes = NONE) -> None:
    """Drive the run in the foreground; Ctrl-C, SIGTERM and a closed terminal detach."""
    from sweep.driver import Driver
    from sweep.reporting import write_report

    out = console()
    signal.signal(signal.SIGTERM, _detach)
    signal.signal(signal.SIGHUP, _detach)

    def show(driver: Driver) -> None:
        if view.is_due():
            ledger = balance(driver.jobs.values(), driver.spec.limits.gpu_hours)
            summary = summarize(driver.spec, driver.trials, ledger, driver.launcher.slots)
            view.update(summary, driver.trials, "this terminal; Ctrl-C detaches, the jobs go on")

    try:
        with LiveView(out) as view:
            driver, ending = drive(paths, event, show, changes)
            view.next_draw = 0.0
            show(driver)
    except KeyboardInterrupt:
        out.print(f"Detached; what was submitted goes on. Resume with: [bold]sweep resume {paths.root.name}[/]")
        raise typer.Exit(EXIT_DETACHED) from None
    out.print(f"{driver.spec.name}: {ending.value}.")
    report = write_report(open_run(paths))
    print_boards(out, report.boards, driver.spec.target)
    out.print(f"\nReport: {report.page}", soft_wrap=True)


def _detach(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
