"""Feeding: jobs that are under way get further trials, so that their lanes stay warm and busy."""

from __future__ import annotations

from dataclasses import replace

from sweep.board import Board
from sweep.history import claim_of
from sweep.ledger import room
from sweep.packing import is_hungry, seconds_for_next
from sweep.proposing import Proposer
from sweep.records import Attempt, Bundle, Ending, TrialRecord, TrialState


class Feeder:
    """Hands trials to the open bundles of jobs that run."""

    def __init__(self, board: Board, proposer: Proposer) -> None:
        self.board, self.proposer = board, proposer
        self.began: dict[Attempt, float] = {}  # when each attempt was claimed, of those that are

    def feed(self) -> None:
        """Keep a trial waiting in each open bundle, beside those that its lanes run; close it once none fits."""
        bundles = [bundle for bundle in self.board.bundles_in_flight().values() if not bundle.is_closed]
        ahead = bool(bundles) and not self.is_late()
        for bundle in bundles:
            if began := self.claims(bundle):
                self.feed_one(bundle, began, ahead)

    def claims(self, bundle: Bundle) -> dict[int, float]:
        """When the trials of a bundle were begun, of those that were (`time.time()` of their node)."""
        for attempt in bundle.attempts:
            if attempt not in self.began and (claim := claim_of(self.board.paths, attempt)):
                self.began[attempt] = claim["claimed_at"]
        return {attempt.trial: self.began[attempt] for attempt in bundle.attempts if attempt in self.began}

    def feed_one(self, bundle: Bundle, began: dict[int, float], ahead: bool) -> None:
        """Hand over trials until the job is content, or close its bundle, as that of a job of older code."""
        if bundle.code != self.proposer.code:
            self.board.write_bundle(replace(bundle, is_closed=True))
            return
        decided = {n for n in self.board.trials_of(bundle) if self.board.trials[n].state.is_final}
        while is_hungry(bundle, began, decided, ahead=ahead):
            seconds = seconds_for_next(bundle, began, decided, self.board.clock.time())
            record = self.trial_for(seconds, bundle)
            if record is None:
                self.board.write_bundle(replace(bundle, is_closed=True))
                return
            record = self.proposer.with_code(record)
            attempt = self.proposer.next_attempt(record)
            bundle = replace(bundle, attempts=(*bundle.attempts, attempt))
            self.board.write_bundle(bundle)
            self.board.hand_out(record, attempt)
            self.board.events.write("handed", job=bundle.name, trial=attempt.trial, attempt=attempt.number)

    def is_late(self) -> bool:
        """Whether the trials to come are the last few of each lane: each goes to the lane that is free first."""
        states = [record.state for record in self.board.trials.values()]
        to_come = self.board.spec.limits.trials - len(states) + states.count(TrialState.QUEUED)
        return to_come <= (self.proposer.rounds_ahead + 1) * self.board.lanes_at_work()

    def trial_for(self, seconds: float, bundle: Bundle) -> TrialRecord | None:
        """The longest waiting trial that a lane can do in this time, else a new one.

        New trials are proposed as for any job, lest the search favour short ones; those that do not fit wait for
        the next job, but no more of them than there are lanes.
        """
        board = self.board
        left = room(board.ledger, board.walltime_left(), board.launcher.packing.gpus(1))
        self.proposer.look_ahead(left)
        while True:
            waiting = self.proposer.waiting()
            for record in waiting:
                if self.proposer.needed_seconds(record) <= seconds and self.fits_memory(record, bundle):
                    return record
            if len(waiting) >= bundle.lanes or seconds <= 0:
                return None
            if isinstance(self.proposer.propose(left, seconds), Ending):
                return None

    def fits_memory(self, record: TrialRecord, bundle: Bundle) -> bool:
        """Whether the job's lanes have the memory that the trial is to get."""
        wanted = self.proposer.mem_gb(record)
        return wanted is None or bundle.mem_gb is None or wanted <= bundle.mem_gb
