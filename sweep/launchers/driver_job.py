"""The driver's own job: a driver away from the login node, which outlives its time limit and its node.

Each driver job submits the next one before it drives, to begin when it ends for whatever reason; a driver that
comes to its study's end cancels that successor.
"""

from __future__ import annotations

import math
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from submitit.slurm.slurm import _make_sbatch_string

from sweep import files
from sweep.errors import EXIT_DETACHED, BreakerError, SubmissionError
from sweep.events import EventLog
from sweep.history import load_driver_jobs
from sweep.launchers import slurm_commands as slurm
from sweep.launchers.environment import FOLDERS, environment
from sweep.launchers.slurm_script import export_lines, guarded, job_name, megabytes, place, python
from sweep.paths import RunPaths
from sweep.profile import Profile

TERM_SECONDS = 60  # before its time limit, the driver is told to leave
SHORT_LIVES, SHORT_SECONDS = 5, 120.0  # so many drivers that lived no longer, on average: no more of them
SUCCESSOR_TRIES, SUCCESSOR_SECONDS = 3, 20.0  # to have one in the queue, and between them


def detach(profile: Profile, paths: RunPaths) -> str:
    """Start a driver that needs no terminal: a Slurm job, or with the local launcher a process.

    Returns what it is, for people.

    Raises:
        SubmissionError: Slurm does not take the job.
    """
    if profile.launcher == "slurm":
        job_id = submit(profile, paths)
        note_jobs(paths, job_id)
        return f"Slurm job {job_id}"
    with paths.driver_log.open("ab") as log:
        command = [sys.executable, "-m", "sweep", "resume", str(paths.root)]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    return f"process {process.pid}, which writes to {paths.driver_log}"


def submit(profile: Profile, paths: RunPaths, after: str = "") -> str:
    """Submit a driver job, to begin when the job `after` has ended; its id."""
    text = driver_script(profile, paths, after)
    files.replace(paths.driver_script, text)
    try:
        return slurm.submit(paths.driver_script)
    except slurm.SlurmError as error:
        raise SubmissionError(
            f"sbatch refused the driver's job: {error}\nSet the options that it needs in the profile, "
            "slurm.driver_options and slurm.driver_time, or drive in a terminal (without --detach)"
        ) from error


def driver_script(profile: Profile, paths: RunPaths, after: str = "") -> str:
    """What sbatch is given for the driver's own job."""
    options = profile.options
    return _make_sbatch_string(
        command=f"exec {python(profile)} -u -m sweep drive-in-job {shlex.quote(str(paths.root))}",
        folder=paths.root,
        job_name=_job_name(paths),
        time=math.ceil(options.driver_time / 60),
        cpus_per_task=1,
        mem=megabytes(options.driver_mem_gb) if options.driver_mem_gb else None,
        setup=_setup(profile, paths),
        wckey=None,  # type: ignore[arg-type]  # which leaves it out
        use_srun=False,
        additional_parameters={
            **{name: value for name, value in place(profile).items() if name != "constraint"},  # the GPUs' kind
            **({"dependency": f"afterany:{after}"} if after else {}),
            "no-requeue": True,
            "output": str(paths.driver_log),
            "error": str(paths.driver_log),
            "signal": f"B:TERM@{TERM_SECONDS}",
            **options.driver_options,
        },
    )


def _job_name(paths: RunPaths) -> str:
    return job_name(f"{paths.root.name}-driver", paths.run_id.read_text())


def _setup(profile: Profile, paths: RunPaths) -> list[str]:
    """As in a worker's job, but folders that setup lines make on a node are none of the other jobs' business."""
    exports = environment(profile, paths)
    unset = [f"unset {name}" for name in FOLDERS if name not in exports]
    lines = guarded(profile.options.setup, paths.driver_setup_failed)
    return [*export_lines(exports), *lines, *export_lines(exports), *unset]


def check_succession(paths: RunPaths) -> None:
    """See that drivers do not follow each other in vain.

    Raises:
        BreakerError: many have, in a short time: something ends them all.
    """
    begun: list[float] = []
    for line in files.read_lines(paths.events):
        if line.get("event") == "succeeded":
            begun.append(line["time"])
        elif line.get("event") in ("resumed", "breaker"):  # somebody has looked at it since
            begun.clear()
    if len(begun) >= SHORT_LIVES and begun[-1] - begun[-SHORT_LIVES] < SHORT_LIVES * SHORT_SECONDS:
        why = (
            f"{SHORT_LIVES} driver jobs in a row ended within minutes, without coming to the study's end\n"
            f"See {paths.driver_log}; mend the cause (slurm.driver_mem_gb, slurm.driver_options) and go on with "
            f"`sweep resume {paths.root.name} --detach`"
        )
        EventLog(paths.events).write("breaker", why=why)
        raise BreakerError(why)


@contextmanager
def succession(profile: Profile, paths: RunPaths) -> Iterator[None]:
    """Within a driver job: have a successor wait, and cancel it when the driver leaves of its own accord.

    A driver that is told to leave, or killed, leaves the study to its successor.
    """
    own = os.environ["SLURM_JOB_ID"]
    successor = _submit_successor(profile, paths, own)
    note_jobs(paths, own, *successor)
    try:
        yield
    except BaseException as error:
        if getattr(error, "exit_code", None) != EXIT_DETACHED:
            cancel_jobs(paths, successor)
        raise
    cancel_jobs(paths, successor)


def _submit_successor(profile: Profile, paths: RunPaths, own: str) -> tuple[str, ...]:
    """The successor's id. Without one, the driver drives all the same: it may well come to the end."""
    for _ in range(SUCCESSOR_TRIES):
        try:
            return (submit(profile, paths, after=own),)
        except SubmissionError as error:
            print(f"{error}", flush=True)
        time.sleep(SUCCESSOR_SECONDS)
        try:  # an answer may have been lost, and the job not
            waiting = slurm.ask_controller(names=[_job_name(paths)])
        except slurm.SlurmError:
            continue
        if found := [job.id for job in waiting if job.id != own and job.state.is_live]:
            return (found[0],)
    print("no successor is in the queue: should this job be ended, go on with `sweep resume --detach`", flush=True)
    return ()


def note_jobs(paths: RunPaths, *ids: str) -> None:
    """Write down the driver jobs that may be in the queue or running from now on."""
    files.replace(paths.driver_jobs, files.to_json({"ids": ids}))


def take_over(paths: RunPaths) -> None:
    """A driver that is no such job cancels those that wait to drive."""
    ids = load_driver_jobs(paths)
    if ids and os.environ.get("SLURM_JOB_ID") not in ids:
        cancel_jobs(paths, ids)


def cancel_jobs(paths: RunPaths, ids: Sequence[str]) -> None:
    """Cancel driver jobs, as far as Slurm listens, and forget them all."""
    try:
        if ids:
            slurm.cancel(ids)
    except slurm.SlurmError as error:
        print(f"driver jobs {', '.join(ids)} may still wait; cancel them with scancel: {error}", flush=True)
    note_jobs(paths)
