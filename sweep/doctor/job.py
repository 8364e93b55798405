"""The short job: its start, the conversation with it, its end, and what is left of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sweep.files import publish, read_json, read_text, replace, to_json
from sweep.launchers.slurm_commands import SlurmError
from sweep.probe import DataSet, ProbeFiles

if TYPE_CHECKING:  # it brings submitit
    from sweep.launchers.probing import Look, ProbeJob

REQUEST_SECONDS = 180.0  # as short as a cold import of torch allows
LEAVING_SECONDS = 30.0
TALK_SECONDS = 0.1  # between looks at files
TAIL_LINES = 8


@dataclass(frozen=True)
class Visit:
    """What became of the job. Times are of this machine's clocks."""

    lanes: int
    word: str  # Slurm's last word on the job
    reason: str = ""
    node: str = ""
    wait_seconds: float | None = None  # from its submission to its start; None: it did not start
    python_seconds: float | None = None  # from its start until Python wrote its first file
    round_trip: float | None = None  # a file there, another one back
    clock_ahead: float | None = None  # the node's, against this machine's
    reports: tuple[dict[str, Any], ...] = ()  # one of each lane that spoke; those that are whole have `sees_ping`
    setup_line: str = ""  # that failed
    log: str = ""  # its end


@dataclass(frozen=True)
class Patience:
    """How long to wait for what, and how often to ask."""

    start_seconds: float
    query_seconds: float
    late_seconds: float  # for files of a job that has ended


class Talk:
    """The conversation through files with a job that runs; see sweep.probe."""

    def __init__(self, files: ProbeFiles, lanes: int) -> None:
        self.files, self.lanes = files, lanes
        self.heard_at: float | None = None  # time.monotonic()
        self.pinged_at = 0.0  # time.time()
        self.round_trip: float | None = None
        self.clock_ahead: float | None = None

    def go_on(self) -> bool:
        """Answer what has been said; False once everything is."""
        if self.heard_at is None and read_json(self.files.hello(0)) is not None:
            self.heard_at, self.pinged_at = time.monotonic(), time.time()
            replace(self.files.ping, to_json({"time": self.pinged_at}))
        if self.heard_at is not None and self.round_trip is None:
            pong = read_json(self.files.pong(0))
            if pong is not None:
                self.round_trip = time.monotonic() - self.heard_at
                self.clock_ahead = pong["time"] - (self.pinged_at + time.time()) / 2
        return not all(self.files.report(lane).exists() for lane in range(self.lanes))

    def reports(self) -> tuple[dict[str, Any], ...]:
        """All that each lane has said."""
        said = [
            [read_json(of(lane)) or {} for of in (self.files.hello, self.files.pong, self.files.report)]
            for lane in range(self.lanes)
        ]
        return tuple(hello | pong | report for hello, pong, report in said if hello)


def visit(job: ProbeJob, data: DataSet | None, patience: Patience, tell: Callable[[str], None]) -> Visit:
    """Run the job to its end; it is cancelled if it does not start in time, or on Ctrl-C.

    Raises:
        SlurmError: sbatch refuses it, or Slurm stops answering.
    """
    files, folder = ProbeFiles(job.paths.root), job.paths.job(job.bundle.name)
    publish(files.claim, "login")
    talk = Talk(files, job.bundle.lanes)
    try:
        job.start(data)
        submitted_at = time.monotonic()
        look, started_at = _follow(job, talk, patience, tell)
    finally:
        _leave(job)
    logs = [text for path in folder.logs() if (text := read_text(path))]
    return Visit(
        lanes=job.bundle.lanes,
        word=look.word,
        reason=look.reason,
        node=look.node,
        wait_seconds=None if started_at is None else started_at - submitted_at,
        python_seconds=None if started_at is None or talk.heard_at is None else talk.heard_at - started_at,
        round_trip=talk.round_trip,
        clock_ahead=talk.clock_ahead,
        reports=talk.reports(),
        setup_line=read_text(folder.setup_failed),
        log="\n".join("\n".join(logs).splitlines()[-TAIL_LINES:]),
    )


def _follow(
    job: ProbeJob, talk: Talk, patience: Patience, tell: Callable[[str], None]
) -> tuple[Look, float | None]:
    """Until all is said, the job has ended, or patience has: its last state, and when it started."""
    look, next_look = job.look(), 0.0
    started_at: float | None = None
    must_end_at = time.monotonic() + patience.start_seconds
    while talk.go_on() and time.monotonic() < must_end_at:
        if time.monotonic() >= next_look:
            look, next_look = job.look(), time.monotonic() + patience.query_seconds
            tell(f"the job is {look.word}{f' ({look.reason})' if look.reason else ''}")
        if started_at is None and (look.has_started or talk.heard_at is not None):
            started_at = time.monotonic()
            must_end_at = started_at + job.bundle.request_seconds + LEAVING_SECONDS
        if not look.is_live:
            must_end_at = min(must_end_at, time.monotonic() + patience.late_seconds)
            next_look = math.inf
        time.sleep(TALK_SECONDS)
    return (look if started_at is None else job.look()), started_at


def _leave(job: ProbeJob) -> None:
    """Nothing stays behind, whatever has gone wrong."""
    patience = time.monotonic() + LEAVING_SECONDS
    with suppress(SlurmError):
        job.cancel()
        while job.look().is_live and time.monotonic() < patience:
            time.sleep(0.5)
