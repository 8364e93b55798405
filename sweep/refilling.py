"""Refilling: which trial to launch next, and with which request, so that every budget holds."""

from __future__ import annotations

import socket
from dataclasses import replace

from sweep import files
from sweep.board import Board
from sweep.history import used_seconds
from sweep.ledger import LEAST_SHARE, Room, room
from sweep.records import (
    JOB_OVERHEAD_SECONDS,
    Bundle,
    Ending,
    Job,
    TrialRecord,
    TrialSpec,
    TrialState,
    as_json,
)
from sweep.requests import next_request
from sweep.search import SpaceExhaustedError
from sweep.snapshot import read_code
from sweep.timings import setting_of


class Refiller:
    """Keeps the launcher busy while the budgets last."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.no_more: Ending | None = None  # why no new trial is proposed
        self.exhausted_at: int | None = None  # jobs in flight when the search found nothing new
        code = read_code(board.paths)
        self.code = code.hash if code else ""

    def refill(self) -> None:
        """Fill the launcher: trials that wait for another attempt first, then new ones."""
        while len(self.board.bundles_in_flight()) < self.places():
            choice = self.next_trial()
            if isinstance(choice, Ending):
                self.no_more = choice
                return
            self.launch(choice)

    def places(self) -> int:
        """How many jobs to have in flight: none waits for a slot if the walltime may be over before its turn."""
        turn_seconds = self.board.spec.limits.trial + JOB_OVERHEAD_SECONDS
        left, launcher = self.board.walltime_left(), self.board.launcher
        return launcher.capacity if left is None or left > 2 * turn_seconds else launcher.slots

    def next_trial(self) -> TrialRecord | Ending:
        """The trial to launch now, or why there is none; with jobs in flight that may still change."""
        board = self.board
        waiting = [
            record
            for record in board.trials.values()
            if record.state == TrialState.QUEUED and not record.in_flight
        ]
        left = room(board.ledger, board.walltime_left())
        for record in waiting:
            if self.request_seconds(record) <= left.seconds:
                return record
        if waiting:
            return left.cut_by
        if len(board.trials) >= board.spec.limits.trials:
            return Ending.TRIALS
        return self.propose(left)

    def propose(self, left: Room) -> TrialRecord | Ending:
        """Ask for a trial and write it down before anything runs.

        Where a budget has no room for a whole trial, only recipes will do that are known to need less. While
        nothing is known, a trial gets what is left, but not before the jobs in flight, which may turn out cheaper.
        """
        board, limit = self.board, self.board.spec.limits.trial
        in_flight = len(board.bundles_in_flight())
        is_short = left.seconds < board.launcher.granted_seconds(limit + JOB_OVERHEAD_SECONDS)
        rest = board.launcher.grantable_seconds(left.seconds) - JOB_OVERHEAD_SECONDS if is_short else limit
        is_known = bool(board.models) and ("epochs" in board.spec.space or "epochs" in board.spec.fixed)
        if is_short and (rest < LEAST_SHARE * limit or (in_flight and not is_known)):
            return left.cut_by
        if self.exhausted_at == in_flight:  # nothing has ended since, so asking again would find nothing new
            return left.cut_by if is_short else Ending.SPACE
        trial_limit = rest if is_short else limit
        try:
            proposal = board.search.ask(
                board.models, limit if is_known else trial_limit, rest if is_short and is_known else None
            )
        except SpaceExhaustedError:
            self.exhausted_at = in_flight
            return left.cut_by if is_short else Ending.SPACE
        spec = TrialSpec(
            number=proposal.number,
            trainer=board.spec.trainer,
            recipe=proposal.recipe,
            params=proposal.params,
            limit_seconds=trial_limit,
            stop_at=proposal.stop_at,
            predicted_seconds=proposal.predicted_seconds,
            wants_calibration=setting_of(proposal.recipe) not in board.models,
            stop_hopeless=board.spec.stop_hopeless,
            code=self.code,
        )
        self.write_down(spec)
        board.events.write("proposed", trial=spec.number, recipe=spec.recipe)
        return TrialRecord(spec)

    def write_down(self, spec: TrialSpec) -> None:
        """Put the trial into its folder, where its worker reads it."""
        trial = self.board.paths.trial(spec.number)
        trial.folder.mkdir(parents=True, exist_ok=True)
        files.replace(trial.spec, files.to_json(as_json(spec)))

    def request_seconds(self, record: TrialRecord) -> float:
        """What the job of a trial's next attempt asks for."""
        trial = self.board.paths.trial(record.number)
        used = used_seconds(trial)
        names = (self.job_name(record.number, attempt) for attempt in range(1, record.attempts + 1))
        jobs = [self.board.jobs[name] for name in names if name in self.board.jobs]
        overran = (job.bundle.request_seconds for job in jobs if job.end is not None and job.end.overran)
        previous = max(overran, default=None)
        return self.board.launcher.granted_seconds(next_request(record, self.board.models, used, previous))

    def job_name(self, number: int, attempt: int) -> str:
        """The unique name by which a job can be found again."""
        return f"{self.board.spec.name}-{number:05d}-{attempt}"

    def launch(self, record: TrialRecord) -> None:
        """Write the intent down, then submit: a driver that dies in between leaves a name to look up."""
        board, attempt = self.board, record.attempts + 1
        if record.spec.code != self.code:  # an earlier attempt ran what the study had then
            record = replace(record, spec=replace(record.spec, code=self.code))
            self.write_down(record.spec)
        bundle = Bundle(
            name=self.job_name(record.number, attempt),
            trials=((record.number, attempt),),
            request_seconds=self.request_seconds(record),
            submitted_at=board.clock.time(),
            host=socket.gethostname(),
        )
        folder = board.paths.job(bundle.name)
        folder.folder.mkdir(parents=True, exist_ok=True)
        files.replace(folder.bundle, files.to_json(as_json(bundle)))
        board.jobs[bundle.name] = Job(bundle)
        board.trials[record.number] = replace(record, attempts=attempt, in_flight=True)
        board.launcher.submit(bundle)
        board.events.write("submitted", job=bundle.name, trials=[record.number], attempt=attempt)
