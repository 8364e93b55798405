"""How jobs get to run. Only the modules of this package import submitit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from sweep.packing import Packing
from sweep.paths import RunPaths
from sweep.profile import Profile
from sweep.records import Bundle, JobState


class Launcher(Protocol):
    """Starts, watches and cancels jobs, known by the names of their bundles."""

    @property
    def slots(self) -> int:
        """How many jobs run at once."""

    @property
    def is_bound_to_host(self) -> bool:
        """Whether only the host that submitted a job can tell its state."""

    @property
    def packing(self) -> Packing:
        """How trials share a job."""

    @property
    def retries(self) -> Mapping[str, int]:
        """How often to retry a trial that died with its job, by the state it is in once given up."""

    @property
    def visibility_seconds(self) -> float:
        """How long after a job's end its files may still be invisible here."""

    @property
    def may_submit(self) -> bool:
        """Whether another job may be submitted now."""

    @property
    def capacity(self) -> int:
        """How many jobs may be in flight, waiting ones included."""

    def granted_seconds(self, wanted_seconds: float) -> float:
        """The request to make for a job that wants so much time: rounded up, at most what the site grants."""

    def grantable_seconds(self, room_seconds: float) -> float:
        """The longest request that is granted and asks for no more than that."""

    def submit(self, bundle: Bundle) -> None:
        """Launch a bundle whose bundle.json is written. Never blocks on the job."""

    def poll(self, bundles: Mapping[str, Bundle]) -> dict[str, JobState]:
        """The state of every job asked for, whichever process launched it."""

    def charged_seconds(self, bundle: Bundle) -> float | None:
        """GPU-seconds that a job which is gone has cost, by the accounting; None where there is none."""

    def cancel(self, bundles: Mapping[str, Bundle]) -> set[str]:
        """Ask the jobs to leave, which keep their checkpoints, and wait; those that are known to be gone."""

    def earlier_seconds(self, bundle: Bundle) -> float:
        """GPU-seconds of a job that goes on, which earlier starts of it have cost where the site requeued it."""


def job_script(profile: Profile, paths: RunPaths, study: str, request_seconds: float) -> str:
    """What the study's first job would run, as a shell script to look at."""
    if profile.launcher == "slurm":
        from sweep.launchers.environment import environment
        from sweep.launchers.slurm_script import example, script

        bundle = example(profile, study, request_seconds)
        return script(profile, paths, bundle, "000000", environment(profile, paths))
    from sweep.launchers.local import local_script

    return local_script(profile, paths, study)


def make_launcher(profile: Profile, paths: RunPaths, notice: Callable[[str], None]) -> Launcher:
    """The launcher that the profile names; it tells `notice` what people should know."""
    if profile.launcher == "slurm":
        from sweep.launchers.slurm import SlurmLauncher

        return SlurmLauncher(profile, paths, notice)
    from sweep.launchers.local import LocalLauncher

    return LocalLauncher(profile, paths)
