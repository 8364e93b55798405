"""Reads a run folder back into records. The files are the truth; nothing here writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

from sweep.files import read_json, read_lines
from sweep.paths import RunPaths, TrialPaths
from sweep.records import Attempt, Bundle, Job, JobEnd, Outcome, TrialRecord, TrialSpec, TrialState
from trainer.context import Calibration, EpochReport


def load_jobs(paths: RunPaths) -> dict[str, Job]:
    """Every job whose intent was written down, by name, oldest first."""
    jobs = []
    for folder in _folders(paths.jobs):
        files = paths.job(folder.name)
        bundle = read_json(files.bundle)
        if bundle is not None:
            end = read_json(files.ended)
            jobs.append(Job(Bundle.from_json(bundle), None if end is None else JobEnd.from_json(end)))
    return {job.bundle.name: job for job in sorted(jobs, key=lambda job: job.bundle.submitted_at)}


def load_trials(paths: RunPaths, jobs: dict[str, Job]) -> dict[int, TrialRecord]:
    """Every trial that was written down, by number."""
    records: dict[int, TrialRecord] = {}
    for folder in _folders(paths.trials):
        spec = read_json(TrialPaths(folder).spec)
        if spec is not None:
            records[spec["number"]] = TrialRecord(TrialSpec.from_json(spec))
    launches = [(attempt, job.end) for job in jobs.values() for attempt in job.bundle.attempts]
    for attempt, end in sorted(launches, key=lambda launch: launch[0].number):
        if attempt.trial in records:  # nobody has removed its folder
            records[attempt.trial] = _launched(paths, records[attempt.trial], attempt, end)
    return {number: refresh(paths, record) for number, record in records.items()}


def _launched(paths: RunPaths, record: TrialRecord, attempt: Attempt, end: JobEnd | None) -> TrialRecord:
    """The record after one more launch. What happened before a trial was put back is not held against it."""
    back = read_json(paths.trial(record.number).put_back)
    died = (
        end is not None and record.number in end.failed and attempt.number > (back or {}).get("after_attempt", 0)
    )
    return replace(
        record,
        attempts=attempt.number,
        failures=(*record.failures, end.state) if died and end is not None else record.failures,
        in_flight=end is None,
    )


def refresh(paths: RunPaths, record: TrialRecord) -> TrialRecord:
    """The trial as its folder tells now."""
    files = paths.trial(record.number)
    outcome = read_outcome(files)
    lines = list(read_lines(files.progress))
    started = record.in_flight and files.claim(record.attempts).exists()
    return replace(
        record,
        state=outcome.state if outcome else TrialState.RUNNING if started else TrialState.QUEUED,
        epochs=epochs_of(lines),
        calibrations=calibrations_of(lines),
        outcome=outcome,
    )


def load_history(paths: RunPaths) -> list[TrialRecord]:
    """The trials of other studies that this one began with."""
    return [
        TrialRecord(
            TrialSpec.from_json(facts["spec"]),
            state=TrialState(facts["outcome"]["state"]),
            epochs=epochs_of(facts["epochs"]),
            outcome=Outcome.from_json(facts["outcome"]),
        )
        for facts in read_lines(paths.history)
    ]


def load_driver_jobs(paths: RunPaths) -> list[str]:
    """The Slurm jobs in which drivers of this run may wait or work, by id."""
    return list((read_json(paths.driver_jobs) or {}).get("ids", ()))


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def read_outcome(files: TrialPaths) -> Outcome | None:
    """The trial's result, or None if there is none yet."""
    result = read_json(files.result)
    return None if result is None else Outcome.from_json(result)


def claim_of(paths: RunPaths, attempt: Attempt) -> dict[str, Any] | None:
    """The claim of the worker that began this attempt first; None if none has, or the driver has revoked it."""
    claim = read_json(paths.trial(attempt.trial).claim(attempt.number))
    return claim if claim and "claimed_at" in claim else None


def first_claim(paths: RunPaths, bundle: Bundle) -> dict[str, Any] | None:
    """The claim by which the job started on the first of its trials; None if it has claimed none."""
    claims = [claim for attempt in bundle.attempts if (claim := claim_of(paths, attempt))]
    return min(claims, key=lambda claim: float(claim["claimed_at"]), default=None)


def used_seconds(files: TrialPaths) -> float:
    """Walltime that earlier attempts of a trial have used and kept: to the last epoch, or to leaving in order.

    What an attempt lost with its process is the ledger's loss, not the recipe's.
    """
    walls = [line.get("wall_seconds") or line.get("left_after_seconds") for line in read_lines(files.progress)]
    return max((wall for wall in walls if isinstance(wall, int | float)), default=0.0)


def last_sign(paths: RunPaths, bundle: Bundle) -> float:
    """When a job last wrote something (`time.time()`): when it ended, if it has."""
    folders = [paths.job(bundle.name).folder, *(paths.trial(attempt.trial).folder for attempt in bundle.attempts)]
    there = [folder for folder in folders if folder.is_dir()]
    return max(path.stat().st_mtime for folder in there for path in folder.iterdir())


def read_progress(path: Path) -> tuple[EpochReport, ...]:
    """The epochs that a trial's progress file tells of."""
    return epochs_of(read_lines(path))


def epochs_of(lines: Iterable[dict[str, Any]]) -> tuple[EpochReport, ...]:
    """The epochs reported so far; an epoch trained again by a later attempt counts once, as trained last."""
    known = {field.name for field in fields(EpochReport)}
    needed = {field.name for field in fields(EpochReport) if field.default is MISSING}
    reports = (line for line in lines if needed <= line.keys() <= known)
    epochs: dict[int, EpochReport] = {}
    for line in reports:  # an attempt that began again has not trained what comes after
        epochs = {number: epoch for number, epoch in epochs.items() if number < line["epoch"]}
        epochs[line["epoch"]] = EpochReport(**line)
    return tuple(epochs.values())


def calibrations_of(lines: Iterable[dict[str, Any]]) -> tuple[Calibration, ...]:
    """What the worker timed before the first epoch, if it was asked to; of attempts that did so, the last."""
    found: list[Calibration] = []
    for line in lines:
        if facts := line.get("calibration"):
            told = Calibration(**{**facts, "epoch_seconds": tuple(map(tuple, facts["epoch_seconds"]))})
            found = [told] if told.alternative is None else [*found, told]
    return tuple(found)


def has_overrun(files: TrialPaths, attempt: int) -> bool:
    """Whether that attempt left because its job's time was over, not its trial's."""
    return any(line.get("overran_attempt") == attempt for line in read_lines(files.progress))


def was_interrupted(files: TrialPaths, attempt: int) -> bool:
    """Whether that attempt left because it was told to."""
    return any(line.get("interrupted_attempt") == attempt for line in read_lines(files.progress))
