"""A run folder, read back into records."""

from __future__ import annotations

import os
from dataclasses import replace
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
from sweep.history import (
    first_claim,
    last_sign,
    load_jobs,
    load_trials,
    read_progress,
    refresh,
    used_seconds,
)
from sweep.paths import RunPaths
from sweep.records import Attempt, Bundle, Job, JobEnd, JobState, TrialRecord, TrialState, as_json


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


def test_a_claim_of_a_later_attempt_does_not_make_a_trial_run(paths: RunPaths) -> None:
    record = launched(paths, job(attempt=1))
    claim(paths, 0, 10)
    assert refresh(paths, record).state == TrialState.QUEUED


def test_a_claim_of_an_earlier_attempt_does_not_make_a_trial_run(paths: RunPaths) -> None:
    record = launched(paths, job(attempt=1, end=gone()), job(attempt=2))
    claim(paths, 0, 1)
    assert refresh(paths, record).state == TrialState.QUEUED


def test_a_job_that_ended_without_a_result_is_a_failure_and_the_trial_waits(paths: RunPaths) -> None:
    record = launched(paths, job(end=gone(0)))
    assert (record.state, record.failures, record.in_flight) == (TrialState.QUEUED, (JobState.EXITED,), False)


def test_a_claim_does_not_make_a_trial_run_once_its_job_is_gone(paths: RunPaths) -> None:
    record = launched(paths, job(end=gone()))
    claim(paths, 0, 1)
    assert refresh(paths, record).state == TrialState.QUEUED


def test_a_trial_that_was_tried_again_counts_its_attempts_and_failures(paths: RunPaths) -> None:
    record = launched(paths, job(attempt=1, end=gone(0)), job(attempt=2, end=gone(0)), job(attempt=3))
    assert (record.attempts, len(record.failures), record.in_flight) == (3, 2, True)


def test_a_job_that_is_excused_is_an_attempt_and_no_failure(paths: RunPaths) -> None:
    record = launched(paths, job(attempt=1, end=gone()))
    assert (record.state, record.attempts, record.failures, record.in_flight) == (TrialState.QUEUED, 1, (), False)
    record = launched(paths, job(attempt=1, end=gone()), job(attempt=2, end=gone(0)))
    assert (record.attempts, len(record.failures)) == (2, 1)


@pytest.mark.parametrize("end", [None, gone()])
def test_a_job_whose_trial_folder_is_gone_leaves_the_other_trials_as_they_are(
    paths: RunPaths, end: JobEnd | None
) -> None:
    write_trial(paths, waiting(1))
    write_job(paths, job(0, end=end))
    write_job(paths, job(1))
    assert [(number, record.attempts) for number, record in read(paths).items()] == [(1, 1)]


@pytest.mark.parametrize("state", [state.value for state in TrialState if state.is_final])
def test_a_trial_with_a_result_is_in_the_state_that_it_tells(paths: RunPaths, state: str) -> None:
    record = ended(0, state, accuracy=0.5)
    write_trial(paths, record)
    write_job(paths, job(end=gone()))
    loaded = read(paths)[0]
    assert (loaded.state, loaded.outcome) == (record.state, record.outcome)


def test_the_attempt_that_gave_the_result_is_no_failure(paths: RunPaths) -> None:
    write_trial(paths, ended(attempt=2))
    write_job(paths, job(attempt=1, end=gone(0)))
    write_job(paths, job(attempt=2, end=gone()))
    assert read(paths)[0].failures == (JobState.EXITED,)


def test_a_trial_that_was_lost_counts_every_attempt_as_a_failure(paths: RunPaths) -> None:
    write_trial(paths, ended(0, "lost", accuracy=None, attempt=2))
    write_job(paths, job(attempt=1, end=gone(0)))
    write_job(paths, job(attempt=2, end=gone(0)))
    assert len(read(paths)[0].failures) == 2


def test_what_happened_before_a_trial_was_put_back_is_not_held_against_it(paths: RunPaths) -> None:
    launched(paths, job(attempt=1, end=gone(0)), job(attempt=2, end=gone(0)))
    publish(paths.trial(0).put_back, to_json({"after_attempt": 2}))
    write_job(paths, job(attempt=3, end=gone(0)))
    record = read(paths)[0]
    assert (record.attempts, len(record.failures)) == (3, 1)


def test_launches_count_in_the_order_of_attempts_not_of_jobs(paths: RunPaths) -> None:
    record = launched(paths, job(attempt=2, submitted_at=1.0), job(attempt=1, submitted_at=2.0, end=gone(0)))
    assert (record.attempts, record.in_flight) == (2, True), "the older job was handed the later attempt"


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


def bundle_of_two(paths: RunPaths) -> Bundle:
    """A job of trials 0 and 1, written down and not yet claimed."""
    bundle = replace(job(0).bundle, attempts=(Attempt(0, 1, 60.0), Attempt(1, 3, 60.0)))
    write_trial(paths, waiting(0))
    write_trial(paths, waiting(1))
    write_job(paths, Job(bundle, None))
    return bundle


def test_a_job_that_has_claimed_nothing_has_no_first_claim(paths: RunPaths) -> None:
    bundle = bundle_of_two(paths)
    claim(paths, 1, 2, claimed_at=5.0)  # of another attempt
    assert first_claim(paths, bundle) is None


def test_the_first_claim_of_a_job_is_the_earliest_of_its_trials(paths: RunPaths) -> None:
    bundle = bundle_of_two(paths)
    claim(paths, 0, 1, claimed_at=9.0)
    claim(paths, 1, 3, claimed_at=5.0)
    claim(paths, 1, 1, claimed_at=1.0)  # of another attempt
    assert first_claim(paths, bundle) == {"claimed_at": 5.0, "monotonic": 5.0}


def test_a_claim_by_which_a_driver_took_an_attempt_back_is_none_of_the_job(paths: RunPaths) -> None:
    bundle = bundle_of_two(paths)
    publish(paths.trial(0).claim(1), to_json({"revoked_at": 1.0}))
    assert first_claim(paths, bundle) is None


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        ([], 0.0),
        ([as_json(epoch(1, 5.0)), as_json(epoch(2, 10.5))], 10.5),
        ([as_json(epoch(1, 5.0)), {"left_after_seconds": 7.25}], 7.25),
        ([{"left_after_seconds": 3.0}], 3.0),
        ([as_json(epoch(1, 5.0)), {"left_after_seconds": 7.0}, as_json(epoch(2, 12.0))], 12.0),
        ([{"left_after_seconds": 3.0}, {"left_after_seconds": 4.5}], 4.5),
        ([as_json(epoch(1, 5.0)), {"wall_seconds": None}, {"left_after_seconds": "9"}, {}], 5.0),
    ],
)
def test_a_trial_has_used_what_it_reported_last_or_left_after(
    paths: RunPaths, lines: list[dict[str, object]], seconds: float
) -> None:
    write_trial(paths, waiting())
    for line in lines:
        append_line(paths.trial(0).progress, line)
    assert used_seconds(paths.trial(0)) == seconds


@pytest.mark.parametrize("newest", ["bundle", "claim", "progress"])
def test_the_last_sign_of_a_job_is_when_anything_of_it_was_last_written(paths: RunPaths, newest: str) -> None:
    bundle = bundle_of_two(paths)
    claim(paths, 0, 1)
    append_line(paths.trial(1).progress, as_json(epoch(1, 5.0)))
    for path in paths.root.rglob("*"):
        os.utime(path, (50.0, 50.0))
    written = {
        "bundle": paths.job(bundle.name).bundle,
        "claim": paths.trial(0).claim(1),
        "progress": paths.trial(1).progress,
    }
    os.utime(written[newest], (80.0, 80.0))
    assert last_sign(paths, bundle) == 80.0


def test_what_other_jobs_and_trials_write_is_no_sign_of_a_job(paths: RunPaths) -> None:
    bundle = bundle_of_two(paths)
    for path in paths.root.rglob("*"):
        os.utime(path, (50.0, 50.0))
    write_trial(paths, waiting(2))
    write_job(paths, job(2))
    assert last_sign(paths, bundle) == 50.0
