"""What the driver did, and how long it was there to do it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweep.events import EventLog, driven_seconds
from sweep.files import append_line, read_lines


def driven(path: Path, *events: tuple[str, float]) -> float:
    for event, at in events:
        append_line(path, {"time": at, "event": event})
    return driven_seconds(path)


def test_an_event_is_one_line_with_its_facts_and_the_time(tmp_path: Path) -> None:
    EventLog(tmp_path / "events").write("told", trial=3, state="completed")
    (line,) = read_lines(tmp_path / "events")
    assert line.pop("time") > 0
    assert line == {"event": "told", "trial": 3, "state": "completed"}


@pytest.mark.parametrize("events", [(), (("submitted", 5.0), ("told", 9.0)), (("launched", 5.0),)])
def test_a_study_was_driven_no_time_before_a_session_went_on(
    tmp_path: Path, events: tuple[tuple[str, float], ...]
) -> None:
    assert driven(tmp_path / "events", *events) == 0


def test_a_line_that_is_no_event_takes_no_time(tmp_path: Path) -> None:
    append_line(tmp_path / "events", {"note": "by hand"})
    assert driven(tmp_path / "events", ("launched", 100.0), ("ended", 160.0)) == 60


def test_a_session_lasts_until_its_last_event(tmp_path: Path) -> None:
    assert driven(tmp_path / "events", ("launched", 100.0), ("told", 130.0), ("ended", 160.0)) == 60


def test_the_time_between_sessions_does_not_count(tmp_path: Path) -> None:
    events = [("launched", 100.0), ("detached", 130.0), ("resumed", 5000.0), ("ended", 5007.0)]
    assert driven(tmp_path / "events", *events) == 37


def test_a_session_that_was_killed_lasts_until_it_was_last_heard_of(tmp_path: Path) -> None:
    events = [("launched", 100.0), ("submitted", 110.0), ("resumed", 9000.0), ("told", 9001.0)]
    assert driven(tmp_path / "events", *events) == 11


@pytest.mark.parametrize("start", ["launched", "resumed", "stopping"])
def test_a_session_may_drive_on_or_only_stop(tmp_path: Path, start: str) -> None:
    events = [("launched", 100.0), ("told", 130.0), (start, 5000.0), ("job_ended", 5003.0), ("ended", 5004.0)]
    assert driven(tmp_path / "events", *events) == 34


@pytest.mark.parametrize("last", ["detached", "ended", "breaker"])
def test_what_is_booked_after_a_session_was_over_does_not_prolong_it(tmp_path: Path, last: str) -> None:
    assert driven(tmp_path / "events", ("launched", 100.0), (last, 130.0), ("job_ended", 9000.0)) == 30
