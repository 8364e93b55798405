"""events.jsonl: what the driver did, append only."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sweep.files import append_line, read_lines

SESSION_STARTS = ("launched", "resumed")


class EventLog:
    """Appends one JSON line per event."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, event: str, **facts: Any) -> None:
        append_line(self.path, {"time": round(time.time(), 3), "event": event, **facts})


def driven_seconds(path: Path) -> float:
    """How long the study was driven so far: each session lasts until its last event."""
    return _sessions((line["event"], line["time"]) for line in read_lines(path) if "event" in line)


def _sessions(events: Iterable[tuple[str, float]]) -> float:
    total, began, last = 0.0, None, 0.0
    for event, at in events:
        if event in SESSION_STARTS:
            total += last - began if began is not None else 0.0
            began = at
        last = at
    return total + (last - began if began is not None else 0.0)
