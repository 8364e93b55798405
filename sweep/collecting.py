"""Collecting: what happened to the jobs in flight, and what becomes of their trials."""

from __future__ import annotations

import math
import time
from dataclasses import replace

from sweep import files
from sweep.board import Board
from sweep.errors import BreakerError
from sweep.failures import POLICIES, retries_left
from sweep.history import claim_of, first_claim, has_overrun, last_sign, refresh, used_seconds, was_interrupted
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

RECENT_SECONDS = 60.0  # wide, as the clock of a file server may be another
BREAKER_FAILURES = 5  # in a row, before anything else is submitted


class Collector:
    """Settles trials and closes jobs."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.failures_in_a_row = self.false_starts_in_a_row = 0
        self.breaker: BreakerError | None = None
        self.seen: dict[int, tuple[float, ...]] = {}  # when the files of a trial had changed, at the last look
        self.gone_since: dict[str, float] = {}  # jobs whose last results may not be visible here yet

    def collect(self) -> None:
        """Settle the trials that have a result and close the jobs that are gone."""
        bundles = self.board.bundles_in_flight()
        states = self.board.launcher.poll(bundles)
        for name, state in states.items():  # results are read after the states: a result counts whatever the state
            for number in self.board.trials_of(bundles[name]):
                self.look_at(number)
            if not state.is_live and self.has_settled(name):
                self.close_job(name, state)

    def has_settled(self, name: str) -> bool:
        """Whether what a job that is gone has written must be visible here, on a shared file system too."""
        board, now = self.board, self.board.clock.monotonic()
        bundle = board.jobs[name].bundle
        is_open = any(not board.trials[number].state.is_final for number in board.trials_of(bundle))
        has_run = bool(board.launcher.charged_seconds(bundle)) or first_claim(board.paths, bundle) is not None
        return (
            not (is_open and has_run)
            or now - self.gone_since.setdefault(name, now) >= board.launcher.visibility_seconds
        )

    def look_at(self, number: int) -> None:
        """Read a trial's folder again, and settle the trial if it has a result now."""
        old = self.board.trials[number]
        if old.state.is_final or not self.has_changed(number):
            return
        new = refresh(self.board.paths, old)
        check_transition(old.state, new.state)
        self.board.trials[number] = new
        if new.epochs != old.epochs or new.calibrations != old.calibrations:
            self.board.note_timings(new)
        if new.state != old.state:
            facts = {"attempt": new.attempts, "accuracy": new.accuracy, "train_seconds": new.train_seconds}
            self.board.events.write(new.state.value, trial=number, **facts)
        if new.outcome is not None:
            self.settle(new, new.outcome)
        elif len(new.epochs) > len(old.epochs) and self.board.search.should_prune(new):
            files.publish(self.board.paths.trial(number).stop, "")

    def has_changed(self, number: int) -> bool:
        """Whether a trial's files may tell anything new; two looks at them instead of reading them all.

        Times of files may be coarse, so files that have just changed are always read.
        """
        trial = self.board.paths.trial(number)
        times = tuple(path.stat().st_mtime if path.exists() else 0.0 for path in (trial.folder, trial.progress))
        before, self.seen[number] = self.seen.get(number), times
        return times != before or time.time() - max(times) < RECENT_SECONDS

    def settle(self, record: TrialRecord, outcome: Outcome) -> None:
        """Tell Optuna, last of all, and mind the breaker."""
        board = self.board
        board.note_timings(record)
        board.search.tell(record)
        board.events.write("told", trial=record.number, state=record.state.value)
        if board.memory is not None:
            board.memory.remember(board.timings[record.number])
        self.failures_in_a_row = self.failures_in_a_row + 1 if record.state.is_failure else 0
        if self.failures_in_a_row >= BREAKER_FAILURES:
            self.trip(
                f"{self.failures_in_a_row} trials in a row failed, the last with: {outcome.detail}",
                record.number,
                f"put them back with `sweep retry {board.spec.name} --cause {record.state.value}`, and go on with "
                f"`sweep resume {board.spec.name}`, with --new-code if it was code",
            )

    def trip(self, what: str, number: int, then: str) -> None:
        """Have the next step stop the drive, once what it collects is settled."""
        look = f"`sweep logs {number} --study {self.board.spec.name}`"
        self.breaker = BreakerError(f"{what}\nNothing more is submitted. See {look}, mend the cause, {then}")

    def close_job(self, name: str, state: JobState, cancelled: bool = False) -> None:
        """Book the job, then retry or give up its trials that have no result.

        A trial that the job never claimed has lost no attempt: a driver that died, a node that was not ready, a
        lane without time left are nobody's recipe. Many jobs in a row that claimed none trip the breaker.
        """
        board = self.board
        bundle = board.jobs[name].bundle
        cancelled = cancelled or board.paths.job(name).cancelled.exists()
        if state == JobState.EXITED and self.was_told_to_leave(bundle):
            state = JobState.PREEMPTED  # a job that leaves in time is to Slurm one like any other
        claimed = {attempt.trial for attempt in bundle.attempts if claim_of(board.paths, attempt)}
        open_trials = [n for n in board.trials_of(bundle) if not board.trials[n].state.is_final]
        is_told = state in (JobState.CANCELLED, JobState.SETUP_FAILED) and not claimed  # why it never began
        begun = [] if cancelled else [number for number in open_trials if number in claimed or is_told]
        overran = tuple(number for number in begun if self.has_overrun(bundle, number, state))
        failed = tuple(number for number in begun if number not in overran)
        end = JobEnd(state, math.ceil(self.charged_seconds(bundle) * 1000) / 1000, failed, overran)
        for attempt in bundle.attempts:
            if attempt.trial in board.trials:
                self.revoke(attempt.trial, attempt.number)
        files.publish(board.paths.job(name).ended, files.to_json(as_json(end)))
        board.end_job(Job(bundle, end))
        board.events.write("job_ended", job=name, state=state.value, gpu_seconds=end.gpu_seconds)
        for number in board.trials_of(bundle):
            record = replace(board.trials[number], in_flight=False)
            if number in open_trials:
                causes = (*record.failures, state) if number in failed else record.failures
                record = replace(record, state=TrialState.QUEUED, failures=causes)
            board.trials[number] = record
            if number in begun:
                self.retry_or_lose(
                    record, state, "needs more time than was asked for" if number in overran else ""
                )
        self.mind_false_starts(bundle, state, is_false=not claimed and bool(open_trials) and not cancelled)

    def was_told_to_leave(self, bundle: Bundle) -> bool:
        """Whether a trial of the job left at a signal, for which this driver asks only when it stops the study."""
        return any(was_interrupted(self.board.paths.trial(a.trial), a.number) for a in bundle.attempts)

    def mind_false_starts(self, bundle: Bundle, state: JobState, is_false: bool) -> None:
        """Trip the breaker over jobs that end before they begin: what stops them stops every job.

        Preemption and failing nodes say nothing of the next job.
        """
        if state in (JobState.PREEMPTED, JobState.NODE_FAILURE):
            return
        self.false_starts_in_a_row = self.false_starts_in_a_row + 1 if is_false else 0
        if self.false_starts_in_a_row >= BREAKER_FAILURES:
            line = files.read_text(self.board.paths.job(bundle.name).setup_failed)
            why = f" ({POLICIES[state].words}{f': {line}' if line else ''})"
            what = f"{self.false_starts_in_a_row} jobs in a row ended before they started a trial{why}"
            mend = " --set profile.slurm.setup=..." if line else ""
            then = f"and go on with `sweep resume {self.board.spec.name}{mend}`; no trial was lost by it"
            self.trip(what, bundle.attempts[0].trial, then)

    def has_overrun(self, bundle: Bundle, number: int, state: JobState) -> bool:
        """Whether the trial left at the end of its job's time, or was killed there and more can be asked for."""
        record, trial = self.board.trials[number], self.board.paths.trial(number)
        if has_overrun(trial, record.attempts):
            return True
        if state != JobState.TIMEOUT:
            return False
        if len(bundle.attempts) == 1:
            left = record.spec.limit_seconds - used_seconds(trial) + JOB_OVERHEAD_SECONDS
            return bundle.request_seconds < self.board.launcher.granted_seconds(left)
        began = [claim["claimed_at"] for a in bundle.attempts if (claim := claim_of(self.board.paths, a))]
        own = next(claim_of(self.board.paths, a) for a in bundle.attempts if a.trial == number)
        job_end = min(began) + bundle.request_seconds - JOB_OVERHEAD_SECONDS
        return own is not None and job_end - own["claimed_at"] < record.spec.limit_seconds

    def charged_seconds(self, bundle: Bundle) -> float:
        """What the job cost: as the accounting says, else from its claim to its last sign of life."""
        seconds = self.board.launcher.charged_seconds(bundle)
        if seconds is not None:
            return seconds
        claim = first_claim(self.board.paths, bundle)
        lasted = 0.0 if claim is None else last_sign(self.board.paths, bundle) - claim["claimed_at"]
        return max(0.0, lasted) * bundle.gpus

    def retry_or_lose(self, record: TrialRecord, cause: JobState, excuse: str) -> None:
        """A trial that died with its job goes on from its checkpoint, as often as the policy allows."""
        board, policy = self.board, POLICIES[cause]
        allowed = {TrialState.LOST.value: board.spec.retries, **board.launcher.retries}
        if excuse or retries_left(record.failures, cause, allowed) > 0:
            why = excuse or policy.words
            board.events.write("retry", trial=record.number, after_attempt=record.attempts, why=why)
            return
        last = record.epochs[-1] if record.epochs else None
        outcome = Outcome(
            state=policy.state,
            attempt=record.attempts,
            epochs=last.epoch if last else 0,
            accuracy=last.validation_accuracy if last else None,
            train_seconds=last.train_seconds if last else 0.0,
            wall_seconds=last.wall_seconds if last else 0.0,
            detail=self.words_of(record, cause),
        )
        files.publish(board.paths.trial(record.number).result, files.to_json(as_json(outcome)))
        self.look_at(record.number)

    def words_of(self, record: TrialRecord, cause: JobState) -> str:
        """What the trial died of, for people."""
        line = ""
        if cause == JobState.SETUP_FAILED:
            names = (
                job.bundle.name
                for job in self.board.jobs.values()
                if record.number in self.board.trials_of(job.bundle)
            )
            lines = (files.read_text(self.board.paths.job(name).setup_failed) for name in names)
            line = next((f": {line}" for line in lines if line), "")
        return POLICIES[cause].words + line

    def settle_the_dead(self) -> None:
        """Give up the trials of which an earlier driver had booked the last job and no more."""
        for job in self.board.jobs.values():
            for attempt in job.bundle.attempts:
                record = self.board.trials.get(attempt.trial)
                if (
                    job.end is not None
                    and record is not None
                    and record.state == TrialState.QUEUED
                    and attempt.trial in job.end.failed
                    and (record.attempts, record.in_flight) == (attempt.number, False)
                    and record.failures
                ):
                    self.retry_or_lose(record, job.end.state, "")

    def revoke(self, number: int, attempt: int) -> None:
        """Take the claim of a dead attempt, so that it can never start late."""
        revoked = files.to_json({"revoked_at": self.board.clock.time()})
        files.publish(self.board.paths.trial(number).claim(attempt), revoked)
