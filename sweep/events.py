"""events.jsonl: what the driver did, append only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sweep.clock import MACHINE, Clock
from sweep.files import append_line, read_lines

SESSION_STARTS = ("launched", "resumed", "succeeded", "stopping")
SESSION_ENDS = ("ended", "detached", "breaker")


class EventLog:
    """Appends one JSON line per event."""

    def __init__(self, path: Path, clock: Clock = MACHINE) -> None:
        self.path, self.clock = path, clock
        self.notices: list[str] = []  # of this session

    def write(self, event: str, **facts: Any) -> None:
        append_line(self.path, {"time": round(self.clock.time(), 3), "event": event, **facts})

    def notice(self, text: str) -> None:
        """Something that the people who run the study should know, once."""
        if text not in self.notices:
            self.notices.append(text)
            self.write("notice", text=text)


def notices(path: Path) -> list[str]:
    """What the last session noted for people: the latest notice, and why it stopped submitting if it did."""
    found: dict[str, str] = {}
    for line in read_lines(path):
        if line.get("event") in SESSION_STARTS:
            found = {}
        elif line.get("event") == "notice":
            found["notice"] = line["text"]
        elif line.get("event") == "breaker":
            found["breaker"] = line["why"].split("\n")[0]
    return list(found.values())


def driven_seconds(path: Path) -> float:
    """How long the study was driven so far; the session of a killed driver lasts until its last event."""
    total, began, last = 0.0, None, 0.0
    for line in read_lines(path):
        event, at = line.get("event"), line.get("time", last)
        if event in SESSION_STARTS:
            total += last - began if began is not None else 0.0
            began = at
        elif event in SESSION_ENDS and began is not None:
            total, began = total + at - began, None
        last = at
    return total + (last - began if began is not None else 0.0)
