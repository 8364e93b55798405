"""sweep logs: what the jobs of a trial printed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweep.commands.options import RunsFolder
from sweep.errors import SweepError
from sweep.files import read_json, read_text
from sweep.records import Job
from sweep.run import Run, find_run, open_run, runs_folder


def logs(
    trial: Annotated[int, typer.Argument(help="The trial's number.")],
    study: Annotated[
        str | None, typer.Option(help="The study's run; may be left out if there is only one.")
    ] = None,
    attempt: Annotated[int | None, typer.Option(help="Which attempt; the last one if left out.")] = None,
    runs: RunsFolder = None,
) -> None:
    """Print what the job of a trial wrote to stdout and stderr."""
    run = open_run(find_run(study, runs_folder(runs)))
    launches = [
        (made.number, job) for job in run.jobs.values() for made in job.bundle.attempts if made.trial == trial
    ]
    chosen = [(number, job) for number, job in launches if attempt in (None, number)]
    if not chosen:
        attempts = sorted(number for number, _ in launches)
        known = f"trials 0 to {max(run.trials)} exist" if run.trials else "no trial has run yet"
        there = f"trial {trial} has attempts {attempts}" if launches else known
        which = "" if attempt is None else f", attempt {attempt}"
        raise SweepError(f"no job of trial {trial}{which}; {there}")
    number, job = max(chosen, key=lambda launch: launch[0])
    typer.echo(_heading(run, trial, number, job))
    for path in _logs(run, trial, number, job):
        typer.echo(f"==> {path}")
        typer.echo(path.read_text(errors="replace"))


def _heading(run: Run, trial: int, attempt: int, job: Job) -> str:
    """Which job it was, and how it ended."""
    files = run.paths.job(job.bundle.name)
    slurm = (read_json(files.slurm) or {}).get("job_id")
    ended = "goes on" if job.end is None else f"ended: {job.end.state.value.replace('_', ' ')}"
    where = f"job {job.bundle.name}" + (f" (Slurm job {slurm})" if slurm else "")
    line = read_text(files.setup_failed)
    failed = f"\nsetup line that failed: {line}" if line else ""
    return f"trial {trial}, attempt {attempt}: {where}, {ended}{failed}"


def _logs(run: Run, trial: int, attempt: int, job: Job) -> list[Path]:
    """The logs of the trial's lane; all of the job's, where no lane has begun it."""
    logs = run.paths.job(job.bundle.name).logs()
    claim = read_json(run.paths.trial(trial).claim(attempt)) or {}
    own = [path for path in logs if path.stem.endswith(f"_{claim.get('lane')}_log")]
    return own or logs
