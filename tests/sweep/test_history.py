"""A run folder, read back into records."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweep_builders import (
    claim,
    ended,
    epoch,
    gone,
    job,
    outcome,
    running,
    trial_spec,
    waiting,
    write_job,
    write_trial,
)

from sweep.files import append_line, publish, to_json
from sweep.history import load_jobs, load_trials, read_progress, refresh
from sweep.paths import RunPaths
from sweep.records import Job, TrialRecord, TrialState, as_json


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "run")


def read(paths: RunPaths) -> dict[int, TrialRecord]:
    return load_trials(paths, load_jobs(paths))


def launched(paths: RunPaths, *jobs: Job) -> TrialRecord:
    """Trial 0 after these jobs, as it is read back."""
    write_trial(paths, waiting())
    for made in jobs:
        write_job(paths, made)
    return read(paths)[0]


def test_a_folder_without_trials_has_none(paths: RunPaths) -> None:
    assert load_jobs(paths) == {}
    assert read(paths) == {}


def test_jobs_are_read_as_they_were_written_oldest_first(paths: RunPaths) -> None:
    jobs = [job(2, submitted_at=5.0), job(0, submitted_at=7.0, end=gone()), job(1, submitted_at=9.0)]
    for made in reversed(jobs):
        write_job(paths, made)
    assert list(load_jobs(paths).values()) == jobs


def test_a_job_folder_without_an_intent_is_no_job(paths: RunPaths) -> None:
    paths.job("toy-00000-1").folder.mkdir(parents=True)
    assert load_jobs(paths) == {}


def test_a_trial_folder_that_was_never_written_is_no_trial(paths: RunPaths) -> None:
    paths.trial(0).folder.mkdir(parents=True)
    assert read(paths) == {}


def test_a_trial_that_was_written_down_waits(paths: RunPaths) -> None:
    record = launched(paths)
    assert record == TrialRecord(trial_spec())


def test_a_trial_whose_job_has_not_claimed_it_still_waits(paths: RunPaths) -> None:
    record = launched(paths, job())
    assert (record.state, record.in_flight, record.attempts) == (TrialState.QUEUED, True, 1)


def test_a_trial_that_its_job_has_claimed_runs(paths: RunPaths) -> None:
    record = launched(paths, job())
    claim(paths, 0, 1)
    assert read(paths)[0].state == TrialState.RUNNING
    assert refresh(paths, record).state == TrialState.RUNNING


def test_a_trial_that_a_requeued_job_has_claimed_runs(paths: RunPaths) -> None:
    record = launched(paths, job())
    claim(paths, 0, 1, restart=2)
    assert refresh(paths, record).state == TrialState.RUNNING


def test_a_claim_of_an_earlier_attempt_does_not_make_a_trial_run(paths: RunPaths) -> None:
    record = launched(paths, job(attempt=1, end=gone()), job(attempt=2))
    claim(paths, 0, 1)
    assert refresh(paths, record).state == TrialState.QUEUED


def test_a_job_that_ended_without_a_result_is_a_failure_and_the_trial_waits(paths: RunPaths) -> None:
    record = launched(paths, job(end=gone()))
    assert (record.state, record.failures, record.in_flight) == (TrialState.QUEUED, 1, False)


def test_a_claim_does_not_make_a_trial_run_once_its_job_is_gone(paths: RunPaths) -> None:
    record = launched(paths, job(end=gone()))
    claim(paths, 0, 1)
    assert refresh(paths, record).state == TrialState.QUEUED


def test_a_trial_that_was_tried_again_counts_its_attempts_and_failures(paths: RunPaths) -> None:
    record = launched(paths, job(attempt=1, end=gone()), job(attempt=2, end=gone()), job(attempt=3))
    assert (record.attempts, record.failures, record.in_flight) == (3, 2, True)


def test_a_job_that_was_cancelled_is_no_failure(paths: RunPaths) -> None:
    record = launched(paths, job(attempt=1, end=gone(cancelled=True)), job(attempt=2, end=gone()))
    assert (record.attempts, record.failures) == (2, 1)


@pytest.mark.parametrize("state", [state.value for state in TrialState if state.is_final])
def test_a_trial_with_a_result_is_in_the_state_that_it_tells(paths: RunPaths, state: str) -> None:
    record = ended(0, state, accuracy=0.5)
    write_trial(paths, record)
    write_job(paths, job(end=gone()))
    loaded = read(paths)[0]
    assert (loaded.state, loaded.outcome) == (record.state, record.outcome)


def test_the_attempt_that_gave_the_result_is_no_failure(paths: RunPaths) -> None:
    write_trial(paths, ended(attempt=2))
    write_job(paths, job(attempt=1, end=gone()))
    write_job(paths, job(attempt=2, end=gone()))
    assert read(paths)[0].failures == 1


def test_a_trial_that_was_lost_counts_every_attempt_as_a_failure(paths: RunPaths) -> None:
    write_trial(paths, ended(0, "lost", accuracy=None, attempt=2))
    write_job(paths, job(attempt=1, end=gone()))
    write_job(paths, job(attempt=2, end=gone()))
    assert read(paths)[0].failures == 2


def test_a_result_counts_though_the_job_is_not_known_to_have_ended(paths: RunPaths) -> None:
    record = launched(paths, job())
    claim(paths, 0, 1)
    publish(paths.trial(0).result, to_json(as_json(outcome("target"))))
    assert refresh(paths, record).state == TrialState.TARGET


def test_trials_are_found_by_the_number_that_they_were_written_with(paths: RunPaths) -> None:
    for number in (11, 2, 0):
        write_trial(paths, waiting(number))
    assert list(read(paths)) == [0, 2, 11]


def test_the_epochs_of_a_trial_are_read_back(paths: RunPaths) -> None:
    record = running(0, epoch(1, 5.0), epoch(2, 10.0))
    write_trial(paths, record)
    assert read(paths)[0].epochs == record.epochs


def test_an_epoch_that_was_trained_again_counts_once_and_as_trained_last(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    for report in (epoch(1, 5.0), epoch(2, 10.0), epoch(2, 14.0), epoch(3, 19.0)):
        append_line(path, as_json(report))
    assert read_progress(path) == (epoch(1, 5.0), epoch(2, 14.0), epoch(3, 19.0))


def test_an_epoch_that_was_torn_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    append_line(path, as_json(epoch(1, 5.0)))
    with path.open("ab") as file:
        file.write(b'{"epoch":2,"epochs":10')
    append_line(path, as_json(epoch(3, 15.0)))
    assert read_progress(path) == (epoch(1, 5.0), epoch(3, 15.0))
