"""How jobs get to run. Only the modules of this package import submitit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

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

    def cancel(self, bundles: Mapping[str, Bundle]) -> None:
        """Ask the jobs to leave; they keep their checkpoints."""


def job_script(profile: Profile, study: str, runs: Path) -> str:
    """What the study's first job would run, as a shell script to look at."""
    from sweep.launchers.local import local_script

    return local_script(profile, study, runs)


def make_launcher(profile: Profile, paths: RunPaths) -> Launcher:
    """The launcher that the profile names."""
    from sweep.launchers.local import LocalLauncher

    return LocalLauncher(profile, paths)
