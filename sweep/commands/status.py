"""sweep status: where a study stands."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.live import Live

from sweep.commands.options import AsJson, RunsFolder, StudyName, console, print_json
from sweep.events import notices
from sweep.files import read_json, read_text
from sweep.history import load_driver_jobs
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
        "notices": _notices(run),
        "slurm_jobs": _slurm_jobs(run),
    }


def _panel(run: Run) -> RenderableType:
    summary, owner = _read(run)
    running = [record for record in run.trials.values() if record.state == TrialState.RUNNING]
    over = summary.done >= summary.trials_wanted
    nobody = "none" if over else f"none; `sweep resume {run.spec.name}` goes on"
    jobs = load_driver_jobs(run.paths)
    in_jobs = f"Slurm job{'s' if len(jobs) > 1 else ''} {', '.join(jobs)}" if jobs else ""
    if owner:
        who = f"{owner.host}, process {owner.pid}" + (f" ({in_jobs})" if jobs else "")
    else:
        who = f"submitted as {in_jobs}" if jobs else nobody
        summary = replace(summary, eta_seconds=None)  # nobody works on it
    return render(summary, running, who, _notices(run), _slurm_jobs(run))


def _notices(run: Run) -> list[str]:
    """What the last driver noted, and why it stopped, if it did."""
    line = read_text(run.paths.driver_setup_failed)
    failed = (
        f"the driver's job failed at the setup line {line!r}; its log is {run.paths.driver_log}" if line else ""
    )
    return [*notices(run.paths.events), *([failed] if failed else [])]


def _slurm_jobs(run: Run) -> list[dict[str, str]]:
    """The Slurm jobs that are not known to have ended, as Slurm told the driver last."""
    live = [name for name, job in run.jobs.items() if job.end is None]
    facts = {name: read_json(run.paths.job(name).slurm) or {} for name in live}
    return [
        {"job_id": fact["job_id"], "name": name, "state": fact.get("state", ""), "reason": fact.get("reason", "")}
        for name, fact in facts.items()
        if "job_id" in fact
    ]
