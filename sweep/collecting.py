"""Collecting: what happened to the jobs in flight, and what becomes of their trials."""

from __future__ import annotations

import math
from dataclasses import replace

from sweep import files
from sweep.board import Board
from sweep.errors import BreakerError
from sweep.history import first_claim, has_overrun, last_sign, refresh, used_seconds
from sweep.records import (
    JOB_OVERHEAD_SECONDS,
    Bundle,
    Job,
    JobEnd,
    JobState,
    Outcome,
    TrialRecord,
    TrialState,
    as_json,
    check_transition,
)

BREAKER_FAILURES = 5  # in a row, before anything else is submitted


class Collector:
    """Settles trials and closes jobs."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.failures_in_a_row = self.false_starts_in_a_row = 0
        self.breaker: BreakerError | None = None

    def collect(self) -> None:
        """Settle the trials that have a result and close the jobs that are gone."""
        bundles = self.board.bundles_in_flight()
        states = self.board.launcher.poll(bundles)
        for name, state in states.items():  # results are read after the states: a result counts whatever the state
            for number in self.board.trials_of(bundles[name]):
                self.look_at(number)
            if not state.is_live:
                self.close_job(name, state)

    def look_at(self, number: int) -> None:
        """Read a trial's folder again, and settle the trial if it has a result now."""
        old = self.board.trials[number]
        if old.state.is_final:
            return
        new = refresh(self.board.paths, old)
        check_transition(old.state, new.state)
        self.board.trials[number] = new
        if new.epochs != old.epochs or new.calibration != old.calibration:
            self.board.note_timings(new)
        if new.state != old.state:
            facts = {"attempt": new.attempts, "accuracy": new.accuracy, "train_seconds": new.train_seconds}
            self.board.events.write(new.state.value, trial=number, **facts)
        if new.outcome is not None:
            self.settle(new, new.outcome)
        elif len(new.epochs) > len(old.epochs) and self.board.search.should_prune(new):
            files.publish(self.board.paths.trial(number).stop, "")

    def settle(self, record: TrialRecord, outcome: Outcome) -> None:
        """Tell Optuna, last of all, and mind the breaker."""
        board = self.board
        board.note_timings(record)
        board.search.tell(record)
        board.events.write("told", trial=record.number, state=record.state.value)
        if record.epochs and board.memory is not None:
            board.memory.remember(board.timings[record.number])
        self.failures_in_a_row = self.failures_in_a_row + 1 if record.state.is_failure else 0
        if self.failures_in_a_row >= BREAKER_FAILURES:
            self.trip(
                f"{self.failures_in_a_row} trials in a row failed, the last with: {outcome.detail}", record.number
            )

    def trip(self, what: str, number: int) -> None:
        """Have the next step stop the drive, once what it collects is settled."""
        name = self.board.spec.name
        self.breaker = BreakerError(
            f"{what}\nNothing more is submitted; see `sweep logs {number} --study {name}`, "
            f"mend the cause and go on with `sweep resume {name}`, with --new-code if it was code; failed trials "
            "are counted, so add `--set limits.trials=...` to have as many again"
        )

    def close_job(self, name: str, state: JobState, cancelled: bool = False) -> None:
        """Book the job, then retry or give up its trials that have no result.

        A job that never claimed a trial costs none of them an attempt: its driver died, or its process could
        not start, which is nobody's recipe. Many of those in a row trip the breaker. Nor does one that left
        because it had asked for too little time.
        """
        board = self.board
        bundle = board.jobs[name].bundle
        claim = first_claim(board.paths, bundle)
        self.false_starts_in_a_row = self.false_starts_in_a_row + 1 if claim is None and not cancelled else 0
        overran = claim is not None and self.has_overrun(bundle, state)
        excused = cancelled or claim is None or overran
        end = JobEnd(state, math.ceil(self.charged_seconds(bundle) * 1000) / 1000, excused, overran)
        for number in board.trials_of(bundle):
            self.revoke(number, board.trials[number].attempts)
        files.publish(board.paths.job(name).ended, files.to_json(as_json(end)))
        board.jobs[name] = Job(bundle, end)
        board.events.write("job_ended", job=name, state=state.value, gpu_seconds=end.gpu_seconds)
        for number in board.trials_of(bundle):
            record = replace(board.trials[number], in_flight=False)
            if not record.state.is_final:
                record = replace(record, state=TrialState.QUEUED, failures=record.failures + (not end.excused))
            board.trials[number] = record
            if not record.state.is_final and not cancelled:
                self.retry_or_lose(record, state, "needs more time than was asked for" if overran else "")
        if self.false_starts_in_a_row >= BREAKER_FAILURES:
            what = f"{self.false_starts_in_a_row} jobs in a row ended before they started a trial"
            self.trip(what, bundle.trials[0][0])

    def has_overrun(self, bundle: Bundle, state: JobState) -> bool:
        """Whether a trial left at the end of its job's time, or was killed there and more can be asked for."""
        for number, attempt in bundle.trials:
            if number not in self.board.trials:
                continue
            record, trial = self.board.trials[number], self.board.paths.trial(number)
            left = record.spec.limit_seconds - used_seconds(trial) + JOB_OVERHEAD_SECONDS
            asked_too_little = bundle.request_seconds < self.board.launcher.granted_seconds(left)
            if has_overrun(trial, attempt) or (
                state == JobState.TIMEOUT and asked_too_little and not record.state.is_final
            ):
                return True
        return False

    def charged_seconds(self, bundle: Bundle) -> float:
        """What the job cost: as the accounting says, else from its claim to its last sign of life."""
        seconds = self.board.launcher.charged_seconds(bundle)
        if seconds is not None:
            return seconds
        claim = first_claim(self.board.paths, bundle)
        return 0.0 if claim is None else max(0.0, last_sign(self.board.paths, bundle) - claim["claimed_at"])

    def retry_or_lose(self, record: TrialRecord, state: JobState, why: str) -> None:
        """A trial whose process died goes on from its checkpoint, a few times."""
        if why or (state != JobState.TIMEOUT and record.failures <= self.board.spec.retries):
            why = why or "its process died without a result"
            self.board.events.write("retry", trial=record.number, after_attempt=record.attempts, why=why)
            return
        last = record.epochs[-1] if record.epochs else None
        timed_out = state == JobState.TIMEOUT
        outcome = Outcome(
            state=TrialState.TIMEOUT if timed_out else TrialState.LOST,
            attempt=record.attempts,
            epochs=last.epoch if last else 0,
            accuracy=last.validation_accuracy if last else None,
            train_seconds=last.train_seconds if last else 0.0,
            wall_seconds=last.wall_seconds if last else 0.0,
            detail="had to be killed at its limit" if timed_out else "its process died without a result",
        )
        files.publish(self.board.paths.trial(record.number).result, files.to_json(as_json(outcome)))
        self.look_at(record.number)

    def settle_the_dead(self) -> None:
        """Give up the trials of which an earlier driver had booked the last job and no more."""
        ends = {bundle.trials[-1]: job.end for job in self.board.jobs.values() for bundle in [job.bundle]}
        for record in list(self.board.trials.values()):
            end = ends.get((record.number, record.attempts))
            if record.state == TrialState.QUEUED and end is not None and not end.excused:
                self.retry_or_lose(record, end.state, "")

    def revoke(self, number: int, attempt: int) -> None:
        """Take the claim of a dead attempt, so that it can never start late."""
        revoked = files.to_json({"revoked_at": self.board.clock.time()})
        files.publish(self.board.paths.trial(number).claim(attempt), revoked)
