"""Builders of studies, records and run folders for the tests beside this file."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sweep import files
from sweep.board import Board
from sweep.events import EventLog
from sweep.launchers import make_launcher
from sweep.paths import RunPaths
from sweep.profile import Profile
from sweep.records import (
    Attempt,
    Bundle,
    Job,
    JobEnd,
    JobState,
    Outcome,
    TrialRecord,
    TrialSpec,
    TrialState,
    as_json,
)
from sweep.run import Run, create_run, open_run
from sweep.search import Search
from sweep.spec import StudySpec
from sweep.timings import Timing, Traits
from sweep.walltime import Pace, WalltimeModel, fit_all
from trainer.context import EpochReport

HERE = Path(__file__).parent


def study(**changes: Any) -> StudySpec:
    """A small study of the sleeping trainer, with some of its keys changed."""
    data: dict[str, Any] = {
        "name": "toy",
        "goal": "speed",
        "target": 0.9,
        "trainer": "sleepers:sleep",
        "limits": {"trials": 10, "trial": 60},
        "space": {"x": {"low": 0.0, "high": 1.0}},
    }
    return StudySpec.model_validate(data | changes)


def here(**changes: Any) -> Profile:
    """This machine, with two slots."""
    return Profile.model_validate({"name": "here", "launcher": "local", "slots": 2} | changes)


def trial_spec(number: int = 0, **changes: Any) -> TrialSpec:
    facts: dict[str, Any] = {
        "trainer": "sleepers:sleep",
        "recipe": {"x": 0.5, "seed": number},
        "params": {"x": 0.5},
        "limit_seconds": 60.0,
        "stop_at": 0.9,
        "predicted_seconds": None,
    }
    return TrialSpec(number, **(facts | changes))


def exact_model(
    constant: float, per_batch: float = 0.0, startup_seconds: float = 0.0, margin: float = 1.1
) -> WalltimeModel:
    """A walltime model that is sure of its coefficients."""

    def pace(batch_size: float, traits: Traits) -> Pace:
        seconds = constant + per_batch / batch_size
        return Pace(seconds, seconds * margin, seconds * margin)

    return WalltimeModel(pace, startup_seconds)


def fit(seen: Sequence[Timing]) -> WalltimeModel:
    """The model of the one setting that was timed."""
    (model,) = fit_all(seen).values()
    return model


def epoch(number: int, wall_seconds: float, accuracy: float | None = 0.5, epochs: int = 10) -> EpochReport:
    return EpochReport(number, epochs, 1.0, 1.0, accuracy, 0.1, 0.9 * wall_seconds, wall_seconds)


def outcome(
    state: str = "completed", accuracy: float | None = 0.95, train_seconds: float = 10.0, **more: Any
) -> Outcome:
    facts: dict[str, Any] = {"epochs": 3, "wall_seconds": train_seconds + 1, "attempt": 1}
    return Outcome(TrialState(state), accuracy=accuracy, train_seconds=train_seconds, **(facts | more))


def ended(
    number: int = 0,
    state: str = "completed",
    accuracy: float | None = 0.95,
    train_seconds: float = 10.0,
    spec: TrialSpec | None = None,
    **more: Any,
) -> TrialRecord:
    """A trial that came to its end."""
    result = outcome(state, accuracy, train_seconds, **more)
    return TrialRecord(spec or trial_spec(number), result.state, attempts=1, outcome=result)


def running(number: int = 0, *epochs: EpochReport, **changes: Any) -> TrialRecord:
    """A trial that has finished these epochs and goes on."""
    spec = trial_spec(number, **changes)
    return TrialRecord(spec, TrialState.RUNNING, attempts=1, in_flight=True, epochs=epochs)


def waiting(number: int = 0, **changes: Any) -> TrialRecord:
    return TrialRecord(trial_spec(number, **changes))


def job(
    number: int = 0,
    attempt: int = 1,
    end: JobEnd | None = None,
    request_seconds: float = 75.0,
    submitted_at: float | None = None,
) -> Job:
    """A job of one trial; attempts are submitted one after the other."""
    name = f"toy-{number:05d}-{attempt}"
    bundle = Bundle(
        name=name,
        attempts=(Attempt(number, attempt, request_seconds - 15),),
        request_seconds=request_seconds,
        submitted_at=1000.0 * attempt + number if submitted_at is None else submitted_at,
        host=socket.gethostname(),
    )
    return Job(bundle, end)


def gone(*failed: int, gpu_seconds: float = 20.0) -> JobEnd:
    """The end of a job with which these trials died."""
    return JobEnd(JobState.EXITED, gpu_seconds, failed)


def died(times: int) -> tuple[JobState, ...]:
    """The failures of a trial whose process died so often."""
    return (JobState.EXITED,) * times


def write_job(paths: RunPaths, made: Job) -> None:
    folder = paths.job(made.bundle.name)
    folder.folder.mkdir(parents=True, exist_ok=True)
    files.replace(folder.bundle, files.to_json(as_json(made.bundle)))
    if made.end is not None:
        files.replace(folder.ended, files.to_json(as_json(made.end)))


def write_trial(paths: RunPaths, record: TrialRecord) -> None:
    """The trial's folder, as the driver and a worker leave it; no claims."""
    folder = paths.trial(record.number)
    folder.folder.mkdir(parents=True, exist_ok=True)
    files.replace(folder.spec, files.to_json(as_json(record.spec)))
    for report in record.epochs:
        files.append_line(folder.progress, as_json(report))
    if record.outcome is not None:
        files.publish(folder.result, files.to_json(as_json(record.outcome)))


def claim(paths: RunPaths, number: int, attempt: int, claimed_at: float = 1.0) -> None:
    """A worker's claim, without what only people read."""
    owner = {"claimed_at": claimed_at, "monotonic": claimed_at}
    files.publish(paths.trial(number).claim(attempt), files.to_json(owner))


def written_run(runs: Path, spec: StudySpec, records: list[TrialRecord]) -> RunPaths:
    """A run folder that holds these trials and an ended job for each finished one."""
    paths = create_run(spec, here(), runs)
    for record in records:
        write_trial(paths, record)
        if record.outcome is not None:
            write_job(paths, job(record.number, end=gone()))
    return paths


def run_of(runs: Path, spec: StudySpec, records: list[TrialRecord]) -> Run:
    return open_run(written_run(runs, spec, records))


def board_of(paths: RunPaths, spec: StudySpec, search: Search | None = None) -> Board:
    """The board of a driver that begins, on this machine."""
    search = search or Search(spec, paths.journal)
    return Board(paths, spec, search, make_launcher(here(), paths, print), EventLog(paths.events))
