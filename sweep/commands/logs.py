"""sweep logs: what the jobs of a trial printed."""

from __future__ import annotations

from typing import Annotated

import typer

from sweep.commands.options import RunsFolder
from sweep.errors import SweepError
from sweep.run import find_run, open_run, runs_folder


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
    jobs = [job for _, job in launches]
    chosen = [job for number, job in launches if attempt in (None, number)]
    if not chosen:
        attempts = sorted(number for number, _ in launches)
        known = f"trials 0 to {max(run.trials)} exist" if run.trials else "no trial has run yet"
        there = f"trial {trial} has attempts {attempts}" if jobs else known
        which = "" if attempt is None else f", attempt {attempt}"
        raise SweepError(f"no job of trial {trial}{which}; {there}")
    for path in run.paths.job(chosen[-1].bundle.name).logs():
        typer.echo(f"==> {path}")
        typer.echo(path.read_text(errors="replace"))
