"""A short job that runs `sweep.probe` the way a study's jobs run their trials."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from submitit.core.utils import DelayedSubmission

from sweep import files
from sweep.launchers import slurm_commands as slurm
from sweep.launchers.environment import environment
from sweep.launchers.local import LocalLauncher, is_locked, local_environment, start_process
from sweep.launchers.slurm_script import example, job_name, script
from sweep.paths import RunPaths
from sweep.probe import DataSet, probe
from sweep.profile import Profile
from sweep.records import Bundle, JobState

NAME = "doctor"


@dataclass(frozen=True)
class Look:
    """How the job stands."""

    is_live: bool
    has_started: bool
    word: str  # Slurm's, for people
    reason: str = ""  # why it waits, or why it ended
    node: str = ""


class ProbeJob(Protocol):
    """The one job of a doctor's visit."""

    paths: RunPaths
    bundle: Bundle

    def start(self, data: DataSet | None) -> None:
        """Submit it. Raises SlurmError with what sbatch said."""

    def look(self) -> Look:
        """How it stands now. Raises SlurmError if Slurm does not answer."""

    def cancel(self) -> None:
        """Ask it to leave."""


def make_probe(profile: Profile, paths: RunPaths, request_seconds: float) -> ProbeJob:
    """The job of this profile's launcher; its scratch folder is the run folder of `paths`."""
    bundle = example(profile, NAME, profile.granted_seconds(request_seconds))
    return (SlurmProbe if profile.launcher == "slurm" else LocalProbe)(profile, paths, bundle)


class SlurmProbe:
    """A job of the cluster."""

    def __init__(self, profile: Profile, paths: RunPaths, bundle: Bundle) -> None:
        self.profile, self.paths, self.bundle = profile, paths, bundle
        self.run_id = paths.root.name[-6:]
        self.job_name = job_name(bundle.name, self.run_id)  # known before sbatch answers, and nobody else's

    def start(self, data: DataSet | None) -> None:
        """Write the pickle and the script, then call sbatch."""
        folder = self.paths.job(self.bundle.name)
        submission = _submission(self.paths, self.bundle, data)
        submission.dump(folder.pickle)
        env = environment(self.profile, self.paths)
        files.replace(folder.script, script(self.profile, self.paths, self.bundle, self.run_id, env))
        slurm.submit(folder.script)

    def look(self) -> Look:
        """squeue, also once the job has ended; the controller remembers it for minutes."""
        command = ["squeue", "--noheader", "--states=all", f"--name={self.job_name}", "--format=%T|%r|%N"]
        lines = slurm.run(command).splitlines()
        word, reason, node = lines[0].split("|", 2) if lines and lines[0].count("|") == 2 else ("GONE", "", "")
        state = slurm.STATES.get(word, JobState.EXITED if word == "GONE" else JobState.RUNNING)
        return Look(state.is_live, state != JobState.PENDING, word, "" if reason == "None" else reason, node)

    def cancel(self) -> None:
        """scancel."""
        slurm.run(["scancel", "--quiet", f"--name={self.job_name}"])


class LocalProbe:
    """A process of this machine."""

    def __init__(self, profile: Profile, paths: RunPaths, bundle: Bundle) -> None:
        self.profile, self.paths, self.bundle = profile, paths, bundle
        self.launcher = LocalLauncher(profile, paths)

    def start(self, data: DataSet | None) -> None:
        """As the local launcher starts jobs."""
        env = local_environment(self.profile, self.paths)
        submission = _submission(self.paths, self.bundle, data)
        start_process(self.paths.job(self.bundle.name), submission, env)

    def look(self) -> Look:
        """Whether the process lives."""
        is_live = is_locked(self.paths.job(self.bundle.name).lock)
        return Look(is_live, True, "RUNNING" if is_live else "ENDED")

    def cancel(self) -> None:
        """SIGTERM, then SIGKILL."""
        self.launcher.cancel({self.bundle.name: self.bundle})


def _submission(paths: RunPaths, bundle: Bundle, data: DataSet | None) -> DelayedSubmission:
    paths.job(bundle.name).folder.mkdir(parents=True, exist_ok=True)
    submission = DelayedSubmission(probe, str(paths.root.absolute()), data)
    submission.set_timeout(math.ceil(bundle.request_seconds / 60), max_num_timeout=0)
    return submission
