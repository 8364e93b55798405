"""A lane: one process of a job that draws trials from the job's bundle while its time lasts."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import time
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

from sweep.errors import SweepError
from sweep.files import must_read_json
from sweep.paths import JobPaths, RunPaths, TrialPaths
from sweep.records import JOB_OVERHEAD_SECONDS, Attempt, Bundle, TrialState
from sweep.slots import take_slot
from sweep.trainables import load_function
from sweep.worker import Claimant, InterruptFlag, run_trial

LOOK_SECONDS = 0.25  # between looks for further trials
IDLE_SECONDS = 90.0  # without one, the driver must be dead: the GPU is given back
ENDS_VARIABLE = "SWEEP_LANE_ENDS"  # handed on to the new process of a lane: when its time is over (time.time())
AMD_DEVICE = Path("/dev/kfd")
GPU_VARIABLES = ("ROCR_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")  # Slurm sets the one or the other


def run_bundle(run_folder: str, job: str) -> None:
    """The entry point of each of a job's tasks."""
    paths = RunPaths(Path(run_folder))
    files = paths.job(job)
    if files.lock.exists():  # the driver wrote the same, unless it died first
        files.lock.write_text(f"{os.getpgid(0)}\n")
    interrupt = InterruptFlag()
    choose_gpu(os.environ)
    bundle = Bundle.from_json(must_read_json(files.bundle))
    preload(paths.trial(bundle.attempts[0].trial))
    if take_slot(paths.slots, lambda: interrupt.is_set) and not files.ended.exists():
        job_end = time.monotonic() + seconds_left(bundle, os.environ)
        Lane(paths, files, interrupt, claimant(job, os.environ), ENDS_VARIABLE in os.environ).run(job_end)


def preload(files: TrialPaths) -> None:
    """Import the trainer before a slot is taken; a trainer that cannot be imported fails in its trial."""
    with contextlib.suppress(SweepError):
        load_function(must_read_json(files.spec)["trainer"])


def choose_gpu(environ: MutableMapping[str, str]) -> None:
    """Of several GPUs that a task can see, take the one of this lane; the first GPU serves the first lane."""
    lane, lanes = int(environ.get("SLURM_LOCALID", 0)), int(environ.get("SLURM_NTASKS", 1))
    if AMD_DEVICE.exists() and "ROCR_VISIBLE_DEVICES" in environ:
        environ.pop("CUDA_VISIBLE_DEVICES", None)  # which counts what the other leaves, and would leave none of it
    for name in GPU_VARIABLES:
        gpus = [gpu for gpu in environ.get(name, "").split(",") if gpu]
        if len(gpus) > 1 and "SLURM_LOCALID" in environ:
            environ[name] = gpus[lane * len(gpus) // max(lanes, len(gpus))]


def claimant(job: str, environ: MutableMapping[str, str]) -> Claimant:
    """How this lane signs its claims."""
    return Claimant(job, int(environ.get("SLURM_PROCID", 0)), int(environ.get("SLURM_RESTART_COUNT", 0)))


def seconds_left(bundle: Bundle, environ: MutableMapping[str, str]) -> float:
    """Until trials must have left: by Slurm's clock where it says when the job ends, else from this start on."""
    if own := environ.get(ENDS_VARIABLE):
        return float(own) - time.time()
    asked = bundle.request_seconds - JOB_OVERHEAD_SECONDS
    ends = environ.get("SLURM_JOB_END_TIME", "")
    return min(asked, float(ends) - time.time() - JOB_OVERHEAD_SECONDS) if ends.isdigit() else asked


@dataclass
class Lane:
    """Draws and runs trials until there is no time or no trial left."""

    paths: RunPaths
    files: JobPaths
    interrupt: InterruptFlag
    claimant: Claimant
    has_run: bool
    done: set[Attempt] = field(default_factory=set)

    def run(self, job_end: float) -> None:
        """Run trials until `job_end` (`time.monotonic()`), the bundle's end, or a signal."""
        idle_since = time.monotonic()
        while not self.interrupt.is_set and time.monotonic() < job_end and not self.files.ended.exists():
            bundle = Bundle.from_json(must_read_json(self.files.bundle))
            states = [
                state for attempt in bundle.attempts if (state := self.try_one(attempt, job_end)) is not None
            ]
            if states:
                idle_since = time.monotonic()
            elif bundle.is_closed or time.monotonic() - idle_since > IDLE_SECONDS:
                return
            else:
                time.sleep(LOOK_SECONDS)

    def try_one(self, attempt: Attempt, job_end: float) -> TrialState | None:
        """Run the trial if it is nobody's yet and fits; for a lane's first, the job was made."""
        is_too_long = self.has_run and attempt.needs_seconds > job_end - time.monotonic()
        if attempt in self.done or is_too_long or self.interrupt.is_set:
            return None
        trial = self.paths.trial(attempt.trial)
        state = run_trial(trial, attempt.number, self.interrupt, job_end, self.claimant, ended=self.files.ended)
        self.done.add(attempt)  # by this lane or another
        if state is not None:
            self.has_run = True
            self.clean_up(state, job_end)
        return state

    def clean_up(self, state: TrialState, job_end: float) -> None:
        """Leave nothing of a trial to the next; after an error, only a new process is sure to be sound."""
        gc.collect()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()
        bundle = Bundle.from_json(must_read_json(self.files.bundle))
        is_last = bundle.is_closed and len(bundle.attempts) <= bundle.lanes
        if state in (TrialState.FAILED, TrialState.OUT_OF_MEMORY) and not is_last and not self.interrupt.is_set:
            sys.stdout.flush()
            os.environ[ENDS_VARIABLE] = str(time.time() + job_end - time.monotonic())
            os.execv(sys.executable, sys.orig_argv)
