"""The driver: one loop that collects, retries and refills until a limit of the study is reached."""

from __future__ import annotations

import socket
from collections.abc import Callable

from sweep import files
from sweep.board import Board
from sweep.collecting import Collector
from sweep.errors import RunFolderError, SubmissionError
from sweep.records import Ending, JobState
from sweep.refilling import Refiller


class Driver:
    """Drives one run. The caller holds the driver's lock; only the driver writes the study and the events."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.collector, self.refiller = Collector(board), Refiller(board)

    def run(self, poll_seconds: float, on_step: Callable[[Board], None]) -> Ending:
        """Drive until the study is over.

        Raises:
            BreakerError: the same kind of failure hit trial after trial.
        """
        self.adopt()
        while (ending := self.step()) is None:
            on_step(self.board)
            self.board.clock.sleep(poll_seconds)
        self.board.events.write("ended", why=ending.value)
        on_step(self.board)
        return ending

    def adopt(self) -> None:
        """Bring the storage in line with the folders and note the jobs of an earlier driver that still live.

        Raises:
            RunFolderError: jobs are in flight on another host, of which nothing can be known here.
        """
        board = self.board
        for number in board.search.reconcile(board.trials):
            board.events.write("abandoned", trial=number, why="the driver died before it was written down")
        told = self.told()
        for record in board.trials.values():
            if record.outcome is None:
                continue
            if record.number in told:
                board.search.tell(record)  # in case the storage was lost; else it has heard
            else:  # ended while no driver was there
                self.collector.settle(record, record.outcome)
        self.collector.settle_the_dead()
        bundles = board.bundles_in_flight()
        elsewhere = sorted({bundle.host for bundle in bundles.values()} - {socket.gethostname()})
        if elsewhere and board.launcher.is_bound_to_host:
            raise RunFolderError(
                f"jobs of this run were started on {', '.join(elsewhere)} and may still run there; resume there"
            )
        states = board.launcher.poll(bundles)
        for name, state in states.items():
            if state.is_live:
                trials = [attempt.trial for attempt in board.jobs[name].bundle.attempts]
                board.events.write("adopted", job=name, trials=trials, state=state.value)

    def told(self) -> set[int]:
        """The trials of which an earlier driver has told the end, less those that were put back since."""
        told: set[int] = set()
        for line in files.read_lines(self.board.paths.events):
            if line.get("event") == "told":
                told.add(line["trial"])
            elif line.get("event") == "put_back":
                told.discard(line["trial"])
        return told

    def step(self) -> Ending | None:
        """One round: collect what happened, then either wind down or fill the free slots.

        Raises:
            BreakerError: the same kind of failure hit trial after trial.
        """
        self.collector.collect()
        if self.board.paths.stop.exists():
            return self.wind_down()
        if self.collector.breaker is not None:
            self.board.events.write("breaker", why=str(self.collector.breaker))
            raise self.collector.breaker
        self.refiller.refill()
        return None if self.board.bundles_in_flight() else self.refiller.no_more

    def wind_down(self) -> Ending:
        """Cancel what runs and keep what is done: the next resume goes on from the checkpoints."""
        bundles = self.board.bundles_in_flight()
        for name in bundles:  # so that nobody takes them for cancelled by somebody else, should this be cut short
            files.publish(self.board.paths.job(name).cancelled, "")
        gone = self.board.launcher.cancel(bundles)
        for name in sorted(gone):
            bundle = bundles[name]
            for number in self.board.trials_of(bundle):
                self.collector.look_at(number)
            self.collector.close_job(name, JobState.EXITED, cancelled=True)
        if left := sorted(set(bundles) - gone):
            raise SubmissionError(
                f"{len(left)} job(s) are not known to have ended: {', '.join(left)}\n"
                "Run `sweep stop` again when Slurm answers, or cancel them with scancel; what is done is kept"
            )
        self.board.paths.stop.unlink()
        return Ending.STOPPED
