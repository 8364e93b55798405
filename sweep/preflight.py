"""What is checked of a study and a profile together, before there is a run."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from sweep.errors import StudyFileError, SubmissionError
from sweep.launchers import job_script
from sweep.launchers.slurm_commands import RefusedError, SlurmError, dry_run
from sweep.ledger import LEAST_SHARE
from sweep.packing import lane_seconds
from sweep.paths import RunPaths
from sweep.profile import Profile
from sweep.records import JOB_OVERHEAD_SECONDS
from sweep.spec import StudySpec


def check_budget(spec: StudySpec, profile: Profile) -> None:
    """See that the budgets have room for a job as the profile asks for it: rounded, and charged by whole nodes.

    Raises:
        StudyFileError: they have not.
    """
    gpus = profile.packing.gpus(1)
    least = profile.granted_seconds(LEAST_SHARE * spec.limits.trial + JOB_OVERHEAD_SECONDS)
    limits, problems = spec.limits, []
    if limits.gpu_hours is not None and limits.gpu_hours * 3600 < least * gpus:
        problems.append(
            f"limits.gpu_hours must cover a job, which costs {least * gpus / 3600:.4g} here ({gpus} GPU(s) for "
            f"{least:g} s at least); got {limits.gpu_hours:g}"
        )
    if limits.walltime is not None and limits.walltime < least:
        problems.append(f"limits.walltime must cover a job of {least:g} s; got {limits.walltime:g} s")
    if problems:
        raise StudyFileError("\n".join(problems))


def check_site(spec: StudySpec, profile: Profile, paths: RunPaths) -> None:
    """Ask Slurm whether it would take the study's first job. Where it does not answer, the launch will tell.

    Raises:
        SubmissionError: it would not, or there is no Slurm here.
    """
    if profile.launcher != "slurm":
        return
    if shutil.which("sbatch") is None:
        raise SubmissionError(
            f"profile {profile.name!r} runs jobs with Slurm, and sbatch is not installed here; run this on a "
            "login node, or take another profile (--profile local)"
        )
    seconds = lane_seconds([spec.limits.trial], profile.packing.trials_per_lane)
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "job.sh"
        script.write_text(
            job_script(profile, paths, spec.name, profile.granted_seconds(seconds)), encoding="utf-8"
        )
        try:
            dry_run(script)
        except RefusedError as error:
            raise SubmissionError(
                f"Slurm would refuse the study's jobs: {error}\nMend the profile, or change a key with "
                f"`--set profile.slurm.KEY=VALUE`; `sweep doctor --profile ...` says more"
            ) from error
        except SlurmError:
            return
