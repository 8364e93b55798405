"""One driver at a time, and a dead one is succeeded safely."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sweep.errors import DriverLockedError
from sweep.lock import STALE_SECONDS, DriverLock, heartbeat_age, live_owner, read_owner

HOLDER = """
import sys
from pathlib import Path
from sweep.lock import DriverLock
with DriverLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "driver.lock"


@contextmanager
def another_driver(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock until its stdin is closed."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield holder
        finally:
            holder.kill()


def write_owner(path: Path, host: str = "elsewhere", age: float = 0.0) -> None:
    """What a driver on that host wrote, with its last heartbeat so long ago."""
    path.write_text(json.dumps({"token": "t", "host": host, "pid": 4711, "user": "ada", "since": 0.0}))
    beat = time.time() - age
    os.utime(path, (beat, beat))


def test_a_lock_that_is_held_tells_who_holds_it(path: Path) -> None:
    with DriverLock(path) as lock:
        assert lock.is_ours()
        assert read_owner(path) == lock.owner == live_owner(path)
        assert (lock.owner.host, lock.owner.pid) == (socket.gethostname(), os.getpid())


def test_a_lock_that_was_released_has_no_owner_and_can_be_taken_again(path: Path) -> None:
    with DriverLock(path) as first:
        pass
    assert read_owner(path) is None
    assert live_owner(path) is None
    assert not first.is_ours()
    with DriverLock(path) as second:
        assert second.is_ours()


def test_a_lock_is_released_when_the_drive_fails(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), DriverLock(path):
        raise ZeroDivisionError
    assert live_owner(path) is None


def test_a_lock_that_nobody_ever_took_has_no_owner(path: Path) -> None:
    assert read_owner(path) is None
    assert live_owner(path) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", '{"token": "t"}'])
def test_a_lock_file_of_other_content_has_no_owner(path: Path, content: str) -> None:
    path.write_text(content)
    assert read_owner(path) is None


def test_a_second_driver_is_refused_with_the_host_and_the_process_of_the_first(path: Path) -> None:
    with another_driver(path) as holder:
        with pytest.raises(DriverLockedError) as refusal, DriverLock(path):
            pass
        assert f"process {holder.pid} of" in str(refusal.value)
        assert socket.gethostname() in str(refusal.value)


def test_a_driver_that_was_refused_leaves_the_owner_as_it_is(path: Path) -> None:
    with another_driver(path) as holder:
        with pytest.raises(DriverLockedError), DriverLock(path):
            pass
        owner = live_owner(path)
        assert owner is not None
        assert owner.pid == holder.pid


def test_a_driver_that_has_not_written_itself_down_yet_is_told_to_be_starting(path: Path) -> None:
    with DriverLock(path):
        os.truncate(path, 0)
        with pytest.raises(DriverLockedError, match="a process that is just starting"), DriverLock(path):
            pass


def test_a_driver_that_left_is_succeeded(path: Path) -> None:
    with another_driver(path) as holder:
        holder.communicate()
        with DriverLock(path) as lock:
            assert lock.is_ours()


def test_a_driver_that_was_killed_is_succeeded_at_once(path: Path) -> None:
    with another_driver(path) as holder:
        holder.kill()
        holder.wait()
        assert live_owner(path) is None
        former = read_owner(path)
        assert former is not None
        assert former.pid == holder.pid
        with DriverLock(path) as lock:
            assert lock.is_ours()


def test_a_driver_on_another_host_that_was_heard_of_lately_is_not_succeeded(path: Path) -> None:
    write_owner(path, age=STALE_SECONDS / 2)
    with pytest.raises(DriverLockedError, match="process 4711 of ada on elsewhere"), DriverLock(path):
        pass
    owner = live_owner(path)
    assert owner is not None
    assert owner.host == "elsewhere"


def test_a_driver_on_another_host_that_fell_silent_is_succeeded(path: Path) -> None:
    write_owner(path, age=2 * STALE_SECONDS)
    assert live_owner(path) is None
    with DriverLock(path) as lock:
        assert lock.is_ours()


def test_a_refused_driver_does_not_keep_the_lock_from_others(path: Path) -> None:
    write_owner(path, age=0.0)
    with pytest.raises(DriverLockedError), DriverLock(path):
        pass
    write_owner(path, age=2 * STALE_SECONDS)
    with DriverLock(path) as lock:
        assert lock.is_ours()


def test_a_dead_driver_of_this_host_is_succeeded_though_it_was_heard_of_lately(path: Path) -> None:
    write_owner(path, host=socket.gethostname(), age=0.0)
    assert live_owner(path) is None
    with DriverLock(path) as lock:
        assert lock.is_ours()


def test_a_driver_whose_lock_was_taken_over_knows(path: Path) -> None:
    with DriverLock(path) as lock:
        write_owner(path)
        assert not lock.is_ours()


def test_a_driver_whose_lock_was_taken_over_leaves_the_new_owner_written_down(path: Path) -> None:
    with DriverLock(path):
        write_owner(path)
    owner = read_owner(path)
    assert owner is not None
    assert owner.host == "elsewhere"


def test_a_heartbeat_grows_old_and_leaves_no_files(path: Path) -> None:
    write_owner(path, age=500.0)
    assert heartbeat_age(path) == pytest.approx(500.0, abs=100.0)
    assert list(path.parent.iterdir()) == [path]


def test_a_driver_keeps_its_heartbeat_young(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweep.lock.BEAT_SECONDS", 0.01)
    with DriverLock(path):
        os.utime(path, (0, 0))
        while path.stat().st_mtime == 0:  # the next beat ends this
            time.sleep(0.005)
    assert heartbeat_age(path) < STALE_SECONDS
