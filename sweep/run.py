"""Launch, resume and read runs: what the commands and the Python API share."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sweep import toml_files
from sweep.errors import RunFolderError, StudyFileError
from sweep.history import load_jobs, load_trials
from sweep.ledger import Ledger, balance
from sweep.paths import RunPaths
from sweep.profile import Profile
from sweep.records import Job, TrialRecord
from sweep.snapshot import Code, read_code
from sweep.spec import StudySpec, corners
from sweep.timings import TimingsFile, timings_of
from sweep.toml_files import Changes
from sweep.trainables import OURS
from sweep.walltime import WalltimeModels, fit_all
from trainer.sources import absolute, data_root

if TYPE_CHECKING:  # reading a run must not import Optuna and submitit, which the driver brings
    pass

RUNS = "runs"
TIMINGS = "timings.jsonl"  # in the folder of the runs, which share it


@dataclass(frozen=True)
class Run:
    """A run folder, read."""

    paths: RunPaths
    spec: StudySpec
    profile: Profile
    jobs: dict[str, Job]
    trials: dict[int, TrialRecord]
    code: Code | None  # that its jobs import; None before there is a snapshot

    @property
    def ledger(self) -> Ledger:
        return balance(self.jobs.values(), self.spec.limits.gpu_hours)


def runs_folder(folder: str | os.PathLike[str] | None = None) -> Path:
    """Where runs are kept: `folder`, else $SWEEP_RUNS_DIR, else ./runs."""
    return Path(folder or os.environ.get("SWEEP_RUNS_DIR", RUNS)).expanduser().absolute()


def find_run(study: str | None, runs: Path) -> RunPaths:
    """The run of that name or path; without one, the only run there is.

    Raises:
        RunFolderError: there is none, or several to choose from.
    """
    names = (
        sorted(folder.name for folder in runs.iterdir() if (folder / "study.toml").is_file())
        if runs.is_dir()
        else []
    )
    if study is None:
        if len(names) == 1:
            return RunPaths(runs / names[0])
        hint = f"name one of: {', '.join(names)}" if names else "launch one with `sweep launch quickstart`"
        raise RunFolderError(f"{runs} holds {len(names)} runs; {hint}")
    for folder in (runs / study, Path(study).expanduser().absolute()):
        if (folder / "study.toml").is_file():
            return RunPaths(folder)
    there = f"it holds {', '.join(names)}" if names else "it holds no run"
    raise RunFolderError(f"no run {study!r} in {runs} ({there}); `sweep launch` starts one")


def open_run(paths: RunPaths) -> Run:
    """Read a run folder; touches nothing."""
    spec = toml_files.load_frozen_study(paths.study)
    profile = toml_files.load_profile(str(paths.profile))
    jobs = load_jobs(paths)
    return Run(paths, spec, profile, jobs, load_trials(paths, jobs), read_code(paths))


def read_files(study: str, profile: str, changes: Changes) -> tuple[StudySpec, Profile]:
    """A study and a profile with the `--set` changes applied and the paths made absolute."""
    for_study, for_profile = toml_files.split_changes(changes)
    spec = toml_files.load_study(study, for_study)
    site = toml_files.load_profile(profile, for_profile)
    fixed = dict(spec.fixed)
    if site.data_dir and spec.trainer == OURS:
        fixed.setdefault("data_dir", site.data_dir)
    if spec.trainer == OURS:
        fixed["data_dir"] = str(data_root(str(fixed.get("data_dir", ""))))
    if isinstance(fixed.get("dataset"), str):
        fixed["dataset"] = absolute(fixed["dataset"])
    if spec.trainer == OURS and fixed.get("weights") not in (None, "", "pretrained"):
        fixed["weights"] = str(Path(str(fixed["weights"])).expanduser().absolute())
    return spec.model_copy(update={"fixed": fixed}), site


def check_data(spec: StudySpec) -> str:
    """Decode the data set if need be, before anything is launched; check batch sizes and weights to start from.

    Returns a sentence about the data set, empty for a trainer of the user's own.

    Raises:
        DataError: the data set is missing or unreadable.
        ConfigError: the weights to start from are missing.
        StudyFileError: a batch is larger than the training images.
    """
    if spec.trainer != OURS:
        return ""
    from trainer.cache import prepare
    from trainer.config import TrainConfig

    given = TrainConfig.model_validate(spec.fixed)
    if given.validation_fraction == 0:
        raise StudyFileError(
            "a search compares trials by validation accuracy; validation_fraction must be above 0"
        )
    info = prepare(given.dataset, given.data_dir, given.image_size)
    if given.weights:
        from trainer.weights import find_weights

        find_weights(given.weights)
    train_count = info.train_count - round(given.validation_fraction * info.train_count)
    parameter = spec.space.get("batch_size")
    largest = max(corners(parameter)) if parameter else given.batch_size
    if largest > train_count:
        table = "space" if parameter else "fixed"
        raise StudyFileError(
            f"{table}.batch_size must not exceed the {train_count:,} training images that "
            f"validation_fraction = {given.validation_fraction:g} leaves of {info.train_count:,}; got {largest:,}"
        )
    height, width = info.image_shape[1:]
    return f"{info.name}: {train_count:,} training images of {height} x {width}, {len(info.classes)} classes"


def check_search(spec: StudySpec) -> None:
    """Make the sampler and open a storage URL once, before there is a run that needs them.

    Raises:
        StudyFileError: one of them cannot be had.
    """
    from sweep.search.pruners import make_pruner
    from sweep.search.samplers import check_sampler
    from sweep.search.storage import open_storage

    check_sampler(spec)
    make_pruner(spec)
    if spec.storage:
        open_storage(spec.storage, Path())


def known_models(
    spec: StudySpec, profile: Profile, runs: Path, history: Iterable[TrialRecord] = ()
) -> WalltimeModels:
    """What earlier runs in the folder, under the same profile, tell of the study's seconds."""
    timings = TimingsFile(runs / TIMINGS, "", f"{profile.name} {spec.trainer}").recall()
    return fit_all([*timings, *(timing for record in history for timing in timings_of(record))])


def create_run(spec: StudySpec, profile: Profile, runs: Path) -> RunPaths:
    """Make the run folder and freeze the files in it.

    Raises:
        RunFolderError: it exists already or cannot be written.
    """
    paths = RunPaths(runs / spec.name)
    if paths.study.exists():
        raise RunFolderError(
            f"{paths.root} exists already; go on with `sweep resume {spec.name}`, "
            "or start another with `--set name=...`"
        )
    try:
        paths.trials.mkdir(parents=True, exist_ok=True)
        paths.jobs.mkdir(exist_ok=True)
        paths.run_id.write_text(uuid.uuid4().hex)
        toml_files.save(paths.profile, profile)
        toml_files.save(paths.study, spec)
    except OSError as error:
        raise RunFolderError(f"the run folder {paths.root} cannot be written: {error}") from error
    return paths


def change_limits(paths: RunPaths, changes: Changes) -> None:
    """Apply `--set` to the limits of a run and to its profile; the search itself stays as it was launched.

    Raises:
        StudyFileError: a change is not about the limits, the retries or where jobs run, or breaks a rule.
    """
    for_study, for_profile = toml_files.split_changes(changes)
    other = [key for key in for_study if not key.startswith("limits.") and key != "retries"]
    other += [key for key in for_study if key == "limits.trial"]  # trials are compared by it
    other += [f"profile.{key}" for key in for_profile if key in ("name", "data_dir")]
    if other:
        raise StudyFileError(
            "a launched study can change limits.trials, limits.walltime, limits.gpu_hours, retries and profile.* "
            f"(where jobs run) only; got {', '.join(other)}; "
            "launch another study for a new space or goal"
        )
    if changes:
        spec = toml_files.load_frozen_study(paths.study, for_study)
        profile = toml_files.load_profile(str(paths.profile), for_profile)
        toml_files.save(paths.study, spec)
        toml_files.save(paths.profile, profile)
