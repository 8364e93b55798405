"""Slurm's commands, each with a timeout, and what their answers mean."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from submitit.core.utils import FailedSubmissionError
from submitit.slurm.slurm import SlurmExecutor

from sweep.records import JobState

COMMAND_SECONDS = 30.0
SUBMIT_SECONDS = 60.0

STATES = {
    "BOOT_FAIL": JobState.NODE_FAILURE,
    "CANCELLED": JobState.CANCELLED,
    "COMPLETED": JobState.EXITED,
    "COMPLETING": JobState.RUNNING,
    "CONFIGURING": JobState.PENDING,
    "DEADLINE": JobState.TIMEOUT,
    "FAILED": JobState.EXITED,
    "LAUNCH_FAILED": JobState.NODE_FAILURE,
    "NODE_FAIL": JobState.NODE_FAILURE,
    "OUT_OF_MEMORY": JobState.OUT_OF_MEMORY,
    "PENDING": JobState.PENDING,
    "POWER_UP_NODE": JobState.PENDING,
    "PREEMPTED": JobState.PREEMPTED,
    "RECONFIG_FAIL": JobState.NODE_FAILURE,
    "REQUEUED": JobState.PENDING,
    "REQUEUE_FED": JobState.PENDING,
    "REQUEUE_HOLD": JobState.PENDING,
    "RESIZING": JobState.RUNNING,
    "RESV_DEL_HOLD": JobState.PENDING,
    "REVOKED": JobState.CANCELLED,
    "RUNNING": JobState.RUNNING,
    "SIGNALING": JobState.RUNNING,
    "SPECIAL_EXIT": JobState.PENDING,
    "STAGE_OUT": JobState.RUNNING,
    "STOPPED": JobState.RUNNING,
    "SUSPENDED": JobState.RUNNING,
    "TIMEOUT": JobState.TIMEOUT,
}
# A site that requeues lets a job live on after these.
MAY_RETURN = {JobState.NODE_FAILURE, JobState.PREEMPTED}

# Reasons to wait that do not go away by themselves.
LASTING_REASONS = {
    *("AccountNotAllowed", "BadConstraints", "DependencyNeverSatisfied", "InvalidAccount", "InvalidQOS"),
    *("JobHeldAdmin", "PartitionNodeLimit", "PartitionTimeLimit", "QOSNotAllowed", "TimeLimit"),
    *("AssocMaxWallDurationPerJobLimit", "QOSMaxWallDurationPerJobLimit"),
}

# Answers of sbatch after which the job may have been submitted all the same.
UNSURE = re.compile(r"timed out|unable to contact|zero bytes|connection|communication|try again|temporarily", re.I)
# The queue's limits, which other jobs of this user fill for now.
FULL = re.compile(r"MaxSubmitJob|SubmitJobs?Limit|MaxJobCount|too many jobs|maximum number of jobs", re.I)


class SlurmError(Exception):
    """A command failed, is missing or did not answer in time."""


class QueueFullError(SlurmError):
    """The site takes no more jobs of this user for now."""


class RefusedError(SlurmError):
    """The site does not take such a job at all."""


@dataclass(frozen=True)
class SlurmJob:
    """A job as Slurm tells."""

    id: str
    name: str
    state: JobState
    seconds: float  # since its start, those of earlier starts included
    earlier_seconds: float = 0.0  # of starts before the last, where the site has requeued it
    reason: str = ""  # why it waits, where the controller has told


def run(command: Sequence[str], seconds: float = COMMAND_SECONDS, stderr: int = subprocess.PIPE) -> str:
    """The command's output. Raises SlurmError with what it said."""
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            timeout=seconds,
            check=False,
            env=_outside_of_jobs(),
        )
    except FileNotFoundError as error:
        raise SlurmError(f"{command[0]} is not installed here") from error
    except subprocess.TimeoutExpired as error:
        raise SlurmError(f"{command[0]} timed out after {seconds:g} s") from error
    if done.returncode != 0:
        raise SlurmError(
            " ".join(((done.stderr or "").strip() or done.stdout.strip() or f"exit {done.returncode}").split())
        )
    return done.stdout


def _outside_of_jobs() -> dict[str, str]:
    """The environment without the variables of a job that the driver may run in: sbatch takes them for options."""
    kept = ("SLURM_CONF", "SLURM_CLUSTERS")
    return {name: value for name, value in os.environ.items() if not name.startswith("SLURM_") or name in kept}


def submit(script: Path) -> str:
    """The new job's id.

    Raises:
        QueueFullError: not now.
        RefusedError: not at all.
        SlurmError: it may have been submitted or not.
    """
    try:
        return SlurmExecutor._get_job_id_from_submission_command(run(["sbatch", str(script)], SUBMIT_SECONDS))
    except FailedSubmissionError as error:
        raise SlurmError(str(error)) from error
    except SlurmError as error:
        raise _told(error) from error


def _told(error: SlurmError) -> SlurmError:
    """What sbatch's complaint amounts to."""
    if UNSURE.search(str(error)):
        return error
    return QueueFullError(str(error)) if FULL.search(str(error)) else RefusedError(str(error))


def dry_run(script: Path) -> str:
    """What Slurm says of the script without taking it: when and where it would run. Raises as `submit` does."""
    try:
        return run(["sbatch", "--test-only", str(script)], SUBMIT_SECONDS, subprocess.STDOUT).strip()
    except SlurmError as error:
        raise _told(error) from error


def ask_accounting(ids: Iterable[str]) -> list[SlurmJob]:
    """The jobs of these ids, from the accounting."""
    return _last_starts(_sacct("-D", "-j", ",".join(ids)))


def ask_controller(ids: Iterable[str] = (), names: Iterable[str] = ()) -> list[SlurmJob]:
    """The jobs of these ids or names that the controller still remembers, ended ones for some minutes."""
    chosen = [f"--jobs={','.join(ids)}"] if ids else [f"--name={','.join(names)}"]
    command = ["squeue", f"--user={os.getuid()}", "--noheader", "--states=all", "--format=%i|%j|%T|%M|%r", *chosen]
    try:
        text = run(command)
    except SlurmError as error:
        if "Invalid job id" in str(error):  # of a single job that it has forgotten
            return []
        raise
    rows = (line.split("|") for line in text.splitlines() if line.count("|") == 4)
    return [
        replace(_job(job, name, state, str(_seconds(lasted))), reason="" if reason == "None" else reason)
        for job, name, state, lasted, reason in rows
    ]


def find_in_accounting(names: Iterable[str], since: str) -> list[SlurmJob]:
    """The jobs of these names that were submitted since then, from the accounting."""
    return _sacct("-S", since, f"--name={','.join(names)}")


def _sacct(*chosen: str) -> list[SlurmJob]:
    text = run(["sacct", "-X", "-n", "-P", "-o", "JobIDRaw,JobName,State,ElapsedRaw", *chosen])
    return [_job(*line.split("|")[:4]) for line in text.splitlines() if line.count("|") >= 3]


def cancel(ids: Iterable[str]) -> None:
    """Ask jobs to leave; those that are gone already do not matter."""
    run(["scancel", "--quiet", *ids])


def _last_starts(jobs: Iterable[SlurmJob]) -> list[SlurmJob]:
    """Of the starts of each job, which come in order, the last, with the seconds of all."""
    last: dict[tuple[str, str], SlurmJob] = {}
    for job in jobs:
        before = last[job.id, job.name].seconds if (job.id, job.name) in last else 0.0
        last[job.id, job.name] = replace(job, seconds=before + job.seconds, earlier_seconds=before)
    return list(last.values())


def _job(job: str, name: str, state: str, seconds: str) -> SlurmJob:
    word = state.split(maxsplit=1)[0].rstrip("+") if state else ""  # "CANCELLED by 1000"
    return SlurmJob(job, name, STATES.get(word, JobState.RUNNING), float(seconds or 0))


def _seconds(text: str) -> int:
    """Seconds of squeue's [days-][[hours:]minutes:]seconds; 0 for a job that has not started."""
    days, _, clock = text.rpartition("-")
    parts = clock.split(":")
    if not all(part.isdigit() for part in parts):
        return 0
    total = 0
    for part in parts:
        total = total * 60 + int(part)
    return total + (int(days) * 86_400 if days.isdigit() else 0)
