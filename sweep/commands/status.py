"""sweep status: where a study stands."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.live import Live

from sweep.commands.options import AsJson, RunsFolder, StudyName, console, print_json
from sweep.events import notices
from sweep.files import read_json
from sweep.lock import Owner, live_owner
from sweep.records import TrialState
from sweep.run import Run, find_run, open_run, runs_folder
from sweep.summary import Summary, summarize
from sweep.view import render

WATCH_SECONDS = 1.0


def status(
    study: StudyName = None,
    watch: Annotated[bool, typer.Option("--watch", help="Redraw every second until Ctrl-C.")] = False,
    as_json: AsJson = False,
    runs: RunsFolder = None,
) -> None:
    """Show where a study stands: trials by state, budget, best so far, what runs. Reads files only."""
    paths = find_run(study, runs_folder(runs))
    if as_json:
        print_json(_facts(open_run(paths)))
        return
    out = console()
    if not watch:
        out.print(_panel(open_run(paths)))
        return
    try:
        with Live(console=out, auto_refresh=False) as live:
            while True:
                live.update(_panel(open_run(paths)), refresh=True)
                time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _read(run: Run) -> tuple[Summary, Owner | None]:
    summary = summarize(run.spec, run.trials, run.ledger, run.profile.slot_count(), run.jobs.values())
    return summary, live_owner(run.paths.driver_lock)


def _facts(run: Run) -> dict[str, Any]:
    summary, owner = _read(run)
    return {
        **asdict(summary),
        "done": summary.done,
        "driver": asdict(owner) if owner else None,
        "code": asdict(run.code) if run.code else None,
    }


def _panel(run: Run) -> RenderableType:
    summary, owner = _read(run)
    running = [record for record in run.trials.values() if record.state == TrialState.RUNNING]
    over = summary.done >= summary.trials_wanted
    nobody = "none" if over else f"none; `sweep resume {run.spec.name}` goes on"
    jobs = (read_json(run.paths.driver_jobs) or {}).get("ids", [])
    in_jobs = f" (Slurm jobs {', '.join(jobs)} drive, or wait to)" if jobs else ""
    who = f"{owner.host}, process {owner.pid}" if owner else "none yet" if jobs else nobody
    return render(summary, running, who + in_jobs, notices(run.paths.events))
