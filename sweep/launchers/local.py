"""Jobs as processes of this machine, through submitit's pickles, logs and job environment.

submitit's own LocalExecutor starts everything at once, gives every job the first GPUs, dies with the terminal
and takes a job that another process started for done. So each job here is one process in a session of its own,
takes a slot with its GPU when one is free, and inherits an open lock on `jobs/<name>/lock`: the kernel drops that
lock when the last process of the job is gone, whatever became of the driver.
"""

from __future__ import annotations

import fcntl
import math
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from submitit.core.utils import DelayedSubmission
from submitit.core.utils import JobPaths as SubmititPaths

from sweep.errors import StudyFileError
from sweep.history import first_claim
from sweep.lane import run_bundle
from sweep.launchers.environment import environment
from sweep.packing import ALONE
from sweep.paths import JobPaths, RunPaths
from sweep.profile import Profile
from sweep.records import Bundle, JobState
from sweep.slots import GPUS_VARIABLE, SLOTS_VARIABLE

KILL_SECONDS = 5.0  # between asking a job to leave and killing it


class LocalLauncher:
    """Runs each bundle as one process of this machine."""

    is_bound_to_host = True
    packing = ALONE
    visibility_seconds = 0.0
    may_submit = True

    def __init__(self, profile: Profile, paths: RunPaths) -> None:
        self.profile, self.paths, self.retries = profile, paths, profile.retries
        self.slots = profile.slot_count()
        self.capacity = self.slots + profile.standby_count()
        self.overdue: set[str] = set()  # jobs that outstayed their request
        visible = len(profile.gpu_ids())
        if profile.gpus != "auto" and profile.gpus > visible:
            raise StudyFileError(
                f"profile.gpus must not exceed the {visible} GPU(s) visible here; got {profile.gpus}"
            )

    def granted_seconds(self, wanted_seconds: float) -> float:
        """As the profile says."""
        return self.profile.granted_seconds(wanted_seconds)

    def grantable_seconds(self, room_seconds: float) -> float:
        """As the profile says."""
        return self.profile.grantable_seconds(room_seconds)

    def submit(self, bundle: Bundle) -> None:
        """Start the job's process with a lock that lives as long as it does."""
        files = self.paths.job(bundle.name)
        submission = DelayedSubmission(run_bundle, str(self.paths.root.absolute()), bundle.name)
        submission.set_timeout(math.ceil(bundle.request_seconds / 60), max_num_timeout=0)
        start_process(files, submission, local_environment(self.profile, self.paths))

    def poll(self, bundles: Mapping[str, Bundle]) -> dict[str, JobState]:
        """RUNNING while somebody holds the job's lock; a job that outstays its request is made to leave."""
        return {name: self._state(self.paths.job(name), bundle) for name, bundle in bundles.items()}

    def charged_seconds(self, bundle: Bundle) -> float | None:
        """None: this machine keeps no accounts, the worker's files tell."""
        return None

    def earlier_seconds(self, bundle: Bundle) -> float:
        """Nobody requeues these jobs."""
        return 0.0

    def cancel(self, bundles: Mapping[str, Bundle]) -> set[str]:
        """SIGTERM now, SIGKILL to those that have not left after KILL_SECONDS."""
        files = [self.paths.job(name) for name in bundles]
        for job in files:
            _signal(job, signal.SIGTERM)
        patience = time.monotonic() + KILL_SECONDS
        while any(is_locked(job.lock) for job in files) and time.monotonic() < patience:
            time.sleep(0.05)
        for job in files:
            _signal(job, signal.SIGKILL)
        return set(bundles)

    def _state(self, files: JobPaths, bundle: Bundle) -> JobState:
        if not is_locked(files.lock):
            return JobState.TIMEOUT if bundle.name in self.overdue else JobState.EXITED
        claim = first_claim(self.paths, bundle)
        if claim is None:
            return JobState.PENDING
        late = time.monotonic() - claim["monotonic"] - bundle.request_seconds
        if late > 0:
            self.overdue.add(bundle.name)
            _signal(files, signal.SIGTERM if late < KILL_SECONDS else signal.SIGKILL)
        return JobState.RUNNING


def local_environment(profile: Profile, paths: RunPaths) -> dict[str, str]:
    """What a job's process finds in its environment, beside this one's."""
    slots = {SLOTS_VARIABLE: str(profile.slot_count()), GPUS_VARIABLE: ",".join(profile.gpu_ids())}
    return slots | environment(profile, paths)


def command(folder: Path) -> list[str]:
    """What a job's process runs: submitit's worker side, on the pickle in the job's folder.

    With -P, or the current folder would come before the run's snapshot.
    """
    return [sys.executable, "-P", "-u", "-m", "submitit.core._submit", str(folder.absolute())]


def local_script(profile: Profile, paths: RunPaths, study: str) -> str:
    """The first job of a study as a shell script."""
    exports = (f"export {name}={shlex.quote(value)}" for name, value in local_environment(profile, paths).items())
    folder = paths.job(f"{study}-00000-1").folder
    return "\n".join([*exports, shlex.join(command(folder))])


def start_process(files: JobPaths, submission: DelayedSubmission, env: dict[str, str]) -> None:
    """Start submitit's worker side in a session of its own, with the pickle in place and the lock held.

    submitit's executors start the process first and put its pickle in place after: a driver that dies in between
    leaves a process that waits a minute for nothing. A shell in between makes the process nobody's child, so that
    no zombie stays behind in whichever program drives.
    """
    name = files.folder.name
    paths = SubmititPaths(files.folder, job_id=name, task_id=0)
    submission.dump(paths.submitted_pickle)
    identity = {"SUBMITIT_EXECUTOR": "local", "SUBMITIT_LOCAL_JOB_ID": name}
    identity |= {"SUBMITIT_LOCAL_GLOBALID": "0", "SUBMITIT_LOCAL_LOCALID": "0", "SUBMITIT_LOCAL_NTASKS": "1"}
    outside = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    with files.lock.open("w") as lock, paths.stdout.open("ab") as out, paths.stderr.open("ab") as err:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shell = subprocess.Popen(
            ["/bin/sh", "-c", '"$@" &', "sh", *command(files.folder)],
            env={**outside, **identity, **env},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            pass_fds=[lock.fileno()],
        )
        shell.wait()  # at once: it leaves the command in the background
        lock.write(f"{shell.pid}\n")  # leads the process group that `cancel` signals


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock file."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _signal(files: JobPaths, number: signal.Signals) -> None:
    """Signal the job's process group, if it still holds its lock; the lock file names the group."""
    if is_locked(files.lock) and (group := files.lock.read_text().strip()):
        try:
            os.killpg(int(group), number)
        except ProcessLookupError:
            return
