"""New trials, and what the next attempt of any trial needs."""

from __future__ import annotations

from dataclasses import replace

from sweep import files
from sweep.board import Board
from sweep.failures import MORE_MEMORY
from sweep.history import used_seconds
from sweep.ledger import LEAST_SHARE, Room
from sweep.records import (
    JOB_OVERHEAD_SECONDS,
    Attempt,
    Ending,
    JobState,
    TrialRecord,
    TrialSpec,
    TrialState,
    as_json,
)
from sweep.requests import needed_seconds
from sweep.search import SpaceExhaustedError
from sweep.search.proposals import untimed_recipes
from sweep.snapshot import read_code
from sweep.timings import setting_of, traits_of


class Proposer:
    """Has trials proposed that fit what is left, and writes them down."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.exhausted_at: int | None = None  # jobs in flight when the search found nothing new
        self.needs: dict[tuple[int, int], float] = {}  # by trial and attempts, for one round of the driver
        code = read_code(board.paths)
        self.code = code.hash if code else ""  # that new jobs import

    def waiting(self) -> list[TrialRecord]:
        """Trials that wait for a job, the longest first."""
        waiting = [
            record
            for record in self.board.trials.values()
            if record.state == TrialState.QUEUED and not record.in_flight
        ]
        return sorted(waiting, key=self.needed_seconds, reverse=True)

    @property
    def rounds_ahead(self) -> int:
        """How many of the last trials of each lane are proposed together."""
        return 1 if self.board.search.learns else 2

    def look_ahead(self, left: Room) -> None:
        """Propose the last trials together, as many as run now: the longest of them can then begin first.

        Else a long one that begins last would leave all GPUs but one idle at the end. Of what is told in the
        meantime, these proposals know nothing. Where the sampler would learn nothing from it, twice as many.
        """
        board, launcher = self.board, self.board.launcher
        to_come = board.spec.limits.trials - len(board.trials)
        at_once = board.lanes_at_work()
        longest = launcher.granted_seconds(board.spec.limits.trial + JOB_OVERHEAD_SECONDS)
        if board.models and to_come <= at_once * self.rounds_ahead and to_come * longest <= left.seconds:
            while not isinstance(self.propose(left), Ending):
                pass

    def propose(self, left: Room, seconds_in_lane: float = 0.0) -> TrialRecord | Ending:
        """Ask for a trial and write it down before anything runs.

        Where a budget has no room for a whole trial, only recipes will do that are known to need less. While
        nothing is known, a trial gets what is left, but not before the jobs in flight, which may turn out cheaper.
        A lane of a job that runs has so many seconds for it, which are paid for already.
        """
        board, limit = self.board, self.board.spec.limits.trial
        if len(board.trials) >= board.spec.limits.trials:
            return Ending.TRIALS
        in_flight = len(board.bundles_in_flight())
        has_room = left.seconds >= board.launcher.granted_seconds(limit + JOB_OVERHEAD_SECONDS)
        is_short = not has_room and seconds_in_lane < limit
        in_a_job = board.launcher.grantable_seconds(left.seconds) - JOB_OVERHEAD_SECONDS if is_short else limit
        rest = max(in_a_job, seconds_in_lane)
        is_known = bool(board.models) and ("epochs" in board.spec.space or "epochs" in board.spec.fixed)
        if is_short and (rest < LEAST_SHARE * limit or (in_flight and not is_known)):
            return left.cut_by
        if self.exhausted_at == in_flight:  # nothing has ended since, so asking again would find nothing new
            return left.cut_by if is_short else Ending.SPACE
        trial_limit = rest if is_short else limit
        try:
            proposal = board.search.ask(
                board.models,
                limit if is_known else trial_limit,
                rest if is_short and is_known else None,
                [record for record in board.trials.values() if not record.state.is_final],
            )
        except SpaceExhaustedError:
            self.exhausted_at = in_flight
            return left.cut_by if is_short else Ending.SPACE
        timed = self.timed_words(setting_of(proposal.recipe))
        untimed = untimed_recipes(board.spec, proposal.params, proposal.recipe, timed)
        spec = TrialSpec(
            number=proposal.number,
            trainer=board.spec.trainer,
            recipe=proposal.recipe,
            params=proposal.params,
            limit_seconds=trial_limit,
            stop_at=proposal.stop_at,
            predicted_seconds=proposal.predicted_seconds,
            wants_calibration=bool(untimed),
            alternatives=untimed[1:],
            stop_hopeless=board.spec.stop_hopeless,
            code=self.code,
        )
        self.write_down(spec)
        board.events.write("proposed", trial=spec.number, recipe=spec.recipe)
        board.trials[spec.number] = TrialRecord(spec)
        return board.trials[spec.number]

    def timed_words(self, setting: str) -> frozenset[str] | None:
        """The words whose pace is known with a network, or will be once trials in flight have calibrated."""
        model = self.board.models.get(setting)
        under_way = [
            recipe
            for record in self.board.trials.values()
            if record.spec.wants_calibration and not record.state.is_final
            for recipe in (record.spec.recipe, *record.spec.alternatives)
            if setting_of(recipe) == setting
        ]
        if model is None and not under_way:
            return None
        known = model.words if model else frozenset()
        return known.union(*map(traits_of, under_way))

    def with_code(self, record: TrialRecord) -> TrialRecord:
        """The trial for a new attempt: an earlier one may have run other code."""
        if record.spec.code == self.code:
            return record
        spec = replace(record.spec, code=self.code)
        self.write_down(spec)
        return replace(record, spec=spec)

    def write_down(self, spec: TrialSpec) -> None:
        """Put the trial into its folder, where its worker reads it."""
        trial = self.board.paths.trial(spec.number)
        trial.folder.mkdir(parents=True, exist_ok=True)
        facts = as_json(spec)
        if not spec.alternatives:
            del facts["alternatives"]  # which code of an older launch does not know
        files.replace(trial.spec, files.to_json(facts))

    def next_attempt(self, record: TrialRecord) -> Attempt:
        """The trial's next launch."""
        return Attempt(record.number, record.attempts + 1, self.needed_seconds(record))

    def needed_seconds(self, record: TrialRecord) -> float:
        """Seconds of a lane that the trial's next attempt asks for."""
        board, key = self.board, (record.number, record.attempts)
        if key not in self.needs:
            used = used_seconds(board.paths.trial(record.number)) if record.attempts else 0.0
            self.needs[key] = needed_seconds(record, board.models, used, board.overran.get(record.number))
        return self.needs[key]

    def mem_gb(self, record: TrialRecord) -> float | None:
        """Memory of its lane: more than the profile's once a job was killed for it."""
        mem_gb = self.board.launcher.packing.mem_gb
        return None if mem_gb is None else mem_gb * MORE_MEMORY ** record.failures.count(JobState.OUT_OF_MEMORY)
