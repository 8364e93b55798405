"""sweep doctor: whether a profile works here, before hours are spent on it."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sweep.doctor.findings import Finding, Verdict, failed, ok, warning
from sweep.doctor.job import REQUEST_SECONDS, Patience, visit
from sweep.doctor.reports import judge_visit
from sweep.doctor.site import check_site
from sweep.doctor.slurm_texts import advise
from sweep.errors import StudyFileError
from sweep.launchers.slurm_commands import SlurmError
from sweep.paths import RunPaths
from sweep.probe import DataSet
from sweep.profile import Profile
from sweep.run import check_data
from sweep.snapshot import take_snapshot
from sweep.spec import StudySpec
from sweep.toml_files import load_study
from sweep.trainables import OURS
from trainer.errors import TrainerError

ANY_STUDY = "quickstart"  # whose jobs import our code alone


@dataclass(frozen=True)
class Wanted:
    """What is to be examined."""

    profile: Profile
    runs: Path
    spec: StudySpec | None = None  # whose data set is looked for
    with_job: bool = True
    wait_seconds: float = 300.0  # for the job's start


def examine(wanted: Wanted, tell: Callable[[str], None]) -> Iterator[Finding]:
    """Every check in turn; one that needs another to succeed is left out. `tell` hears what is being done."""
    scratch = wanted.runs / f".doctor-{uuid.uuid4().hex[:12]}"
    try:
        scratch.mkdir(parents=True)
    except OSError as error:
        advice = "name a folder that you may write to with --runs or $SWEEP_RUNS_DIR"
        yield failed("runs folder", f"{error.strerror}: {error.filename}", advice)
        return
    try:
        yield ok("runs folder", f"{wanted.runs} can be written to")
        yield from _examine(wanted, scratch, tell)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if scratch.exists():
        yield warning("clean-up", f"{scratch} could not be removed", "remove it later: files are still in use")


def _examine(wanted: Wanted, scratch: Path, tell: Callable[[str], None]) -> Iterator[Finding]:
    profile, spec = wanted.profile, wanted.spec
    found: list[Finding] = []
    tell("asking Slurm" if profile.launcher == "slurm" else "looking around")
    for finding in check_site(profile, scratch) if profile.launcher == "slurm" else check_machine(profile):
        found.append(finding)
        yield finding
    data = None
    if spec is not None:
        tell("looking at the data set")
        finding = check_study(spec)
        yield finding
        data = data_of(spec) if finding.verdict == Verdict.OK else None
    if wanted.with_job and can_run(found):
        yield from check_job(wanted, RunPaths(scratch), data, tell)


def can_run(found: list[Finding]) -> bool:
    """Whether a job is worth trying: a refused one, or a partition that is down, has been reported."""
    vital = {"commands", "controller", "partition", "request", "slots"}
    return not any(finding.verdict == Verdict.FAILED and finding.check in vital for finding in found)


def check_machine(profile: Profile) -> Iterator[Finding]:
    """The local launcher's slots, against the cores of this machine."""
    gpus = profile.gpu_ids()
    if profile.gpus != "auto" and profile.gpus > len(gpus):
        there = f"the profile names {profile.gpus} GPU(s), {len(gpus)} can be seen"
        yield failed("slots", there, f"set profile.gpus = {len(gpus)}, or see CUDA_VISIBLE_DEVICES")
        return
    cores, slots = len(os.sched_getaffinity(0)), profile.slot_count()
    found = f"{slots} slot(s) of {profile.threads} thread(s), {cores} core(s), {len(gpus)} GPU(s)"
    if slots * profile.threads > cores:
        advice = "set profile.slots or profile.threads lower: jobs get in each other's way, and timings are worse"
        yield warning("slots", found, advice)
    else:
        yield ok("slots", found)


def check_study(spec: StudySpec) -> Finding:
    """Whether the data set is here; it is decoded, as a launch does."""
    try:
        return ok("data", check_data(spec) or f"{spec.trainer} brings its own")
    except (TrainerError, StudyFileError) as error:
        return failed("data", str(error), "mend this before a launch, which would refuse it too")


def data_of(spec: StudySpec) -> DataSet | None:
    """What the study's trials will load; None for a trainer of the user's own."""
    if spec.trainer != OURS:
        return None
    from trainer.config import TrainConfig

    given = TrainConfig.model_validate(spec.fixed)
    return DataSet(given.dataset, given.data_dir, given.image_size)


def check_job(
    wanted: Wanted, paths: RunPaths, data: DataSet | None, tell: Callable[[str], None]
) -> Iterator[Finding]:
    """Run a short job as a study's, and judge what it saw."""
    from sweep.launchers.probing import make_probe

    profile, options = wanted.profile, wanted.profile.options
    patience = Patience(wanted.wait_seconds, min(options.query_seconds, 5.0), max(3.0, options.visibility_seconds))
    take_snapshot(paths, wanted.spec or load_study(ANY_STUDY))
    tell("submitting a short job")
    try:
        seen = visit(make_probe(profile, paths, REQUEST_SECONDS), data, patience, tell)
    except SlurmError as error:
        yield failed("job", str(error), advise(str(error)))
        return
    yield from judge_visit(profile, seen, wanted.wait_seconds)
