"""Whole studies in seconds: the real driver and search, on a virtual clock."""

from __future__ import annotations

from pathlib import Path

from sweep.board import Board
from sweep.clock import VirtualClock
from sweep.driver import Driver
from sweep.events import EventLog
from sweep.launchers.simulated import SimulatedLauncher, Surrogate
from sweep.profile import Profile
from sweep.records import Ending
from sweep.run import create_run
from sweep.search import Search
from sweep.spec import StudySpec


def simulate(spec: StudySpec, surrogate: Surrogate, slots: int, folder: Path) -> tuple[Board, Ending]:
    """Drive a study to its end in a new run folder below `folder`, with `slots` GPUs that only seem to train."""
    paths = create_run(spec, Profile(name="simulated", launcher="local", slots=slots), folder)
    clock = VirtualClock()
    events = EventLog(paths.events, clock)
    launcher = SimulatedLauncher(paths, clock, surrogate, slots)
    search = Search(spec, paths.journal, paths.run_id.read_text())
    events.write("launched")
    driver = Driver(Board(paths, spec, search, launcher, events))
    driver.adopt()
    while (ending := driver.step()) is None:
        clock.now = max(clock.now, launcher.next_event())
    return driver.board, ending
