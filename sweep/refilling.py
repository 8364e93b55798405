"""Refilling: which trials to launch next, and with which request, so that every budget holds."""

from __future__ import annotations

import math
import socket

from sweep.board import Board
from sweep.feeding import Feeder
from sweep.ledger import room
from sweep.packing import lane_seconds
from sweep.proposing import Proposer
from sweep.records import JOB_OVERHEAD_SECONDS, Bundle, Ending, TrialRecord


class Refiller:
    """Keeps the launcher busy while the budgets last."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.proposer = Proposer(board)
        self.feeder = Feeder(board, self.proposer)
        self.no_more: Ending | None = None  # why no new trial is proposed

    def refill(self) -> None:
        """Feed the jobs that take further trials, then launch new ones while there are places."""
        self.no_more = None
        self.proposer.needs.clear()
        self.feeder.feed()
        launcher = self.board.launcher
        while self.busy_jobs() < self.places() and launcher.may_submit:
            trials = self.trials_for_a_job()
            if isinstance(trials, Ending):
                self.no_more = trials
                return
            self.launch(trials)

    def busy_jobs(self) -> int:
        """Jobs with something left to do; one that has finished its trials is about to leave."""
        board = self.board
        return sum(
            not bundle.is_closed or any(not board.trials[n].state.is_final for n in board.trials_of(bundle))
            for bundle in board.bundles_in_flight().values()
        )

    def places(self) -> int:
        """How many jobs to have in flight: none waits for a slot if the walltime may be over before its turn."""
        turn_seconds = self.board.spec.limits.trial + JOB_OVERHEAD_SECONDS
        left, launcher = self.board.walltime_left(), self.board.launcher
        is_late = left is not None and left <= 2 * turn_seconds
        places = min(launcher.slots, launcher.capacity) if is_late else launcher.capacity
        return min(places, self.jobs_needed())

    def jobs_needed(self) -> int:
        """Jobs for the trials to come, if each does as many as the profile says; one to find that none is."""
        board, packing = self.board, self.board.launcher.packing
        return max(1, math.ceil(board.undecided() / (packing.lanes * packing.trials_per_lane)))

    def trials_for_a_job(self) -> list[TrialRecord] | Ending:
        """One trial for each lane, those that wait for another attempt first; or why there is none.

        With jobs in flight, that may still change. A lane whose trial the budget has no room for stays out.
        """
        chosen: list[TrialRecord] = []
        for lanes in range(1, self.board.launcher.packing.lanes + 1):
            choice = self.one_more(chosen, lanes)
            if isinstance(choice, Ending):
                return chosen or choice
            chosen.append(choice)
        return chosen

    def one_more(self, chosen: list[TrialRecord], lanes: int) -> TrialRecord | Ending:
        """A trial for the next lane of a job that already has some."""
        board = self.board
        left = room(board.ledger, board.walltime_left(), board.launcher.packing.gpus(lanes))
        taken = {record.number for record in chosen}
        if chosen and self.request_seconds(chosen, 1) > left.seconds:
            return left.cut_by
        self.proposer.look_ahead(left)
        waiting = [record for record in self.proposer.waiting() if record.number not in taken]
        for record in waiting:
            if self.request_seconds([record], 1) <= left.seconds:
                return record
        return left.cut_by if waiting else self.proposer.propose(left)

    def request_seconds(self, trials: list[TrialRecord], trials_per_lane: int) -> float:
        """What a job asks for that begins with these trials."""
        needs = [self.proposer.needed_seconds(record) for record in trials]
        return self.board.launcher.granted_seconds(lane_seconds(needs, trials_per_lane))

    def launch(self, trials: list[TrialRecord]) -> None:
        """Write the intent down, then submit: a driver that dies in between leaves a name to look up."""
        board, packing = self.board, self.board.launcher.packing
        trials = [self.proposer.with_code(record) for record in trials]
        trials = sorted(trials, key=self.proposer.needed_seconds, reverse=True)
        attempts = tuple(map(self.proposer.next_attempt, trials))
        memories = [mem_gb for record in trials if (mem_gb := self.proposer.mem_gb(record)) is not None]
        first = min(attempts, key=lambda attempt: attempt.trial)
        bundle = Bundle(
            name=f"{board.spec.name}-{first.trial:05d}-{first.number}",
            attempts=attempts,
            request_seconds=self.longest_request(trials),
            submitted_at=board.clock.time(),
            host=socket.gethostname(),
            lanes=len(trials),
            gpus=packing.gpus(len(trials)),
            mem_gb=max(memories, default=None),
            is_closed=not packing.is_fed,
            code=self.proposer.code,
        )
        board.paths.job(bundle.name).folder.mkdir(parents=True, exist_ok=True)
        board.write_bundle(bundle)
        for record, attempt in zip(trials, attempts, strict=True):
            board.hand_out(record, attempt)
        board.launcher.submit(bundle)
        board.events.write("submitted", job=bundle.name, attempts=[[a.trial, a.number] for a in attempts])

    def longest_request(self, trials: list[TrialRecord]) -> float:
        """For as many trials per lane as the profile says, or fewer where the study's limits leave less."""
        board, packing = self.board, self.board.launcher.packing
        left = room(board.ledger, board.walltime_left(), packing.gpus(len(trials))).seconds
        most = min(packing.trials_per_lane, max(1, math.ceil(board.undecided() / len(trials))))
        requests = (self.request_seconds(trials, count) for count in range(most, 1, -1))
        return next((seconds for seconds in requests if seconds <= left), self.request_seconds(trials, 1))
