"""driver.lock: who drives a study. One driver at a time, and a dead one is succeeded safely."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
import threading
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from sweep.errors import DriverLockedError

BEAT_SECONDS = 5.0
PROBES = 10  # tries to take the lock: `sweep status` holds it for an instant to see whether it is held
STALE_SECONDS = 60.0  # a silent driver on another host is taken for dead after this


@dataclass(frozen=True)
class Owner:
    """The driver that holds a lock, as it wrote itself down."""

    token: str
    host: str
    pid: int
    user: str
    since: float  # time.time()


class DriverLock:
    """Held by the one driver of a run, as a context manager.

    The kernel's lock on the file decides between drivers of one host, and of several where the file system
    shares such locks. Where it does not, a heartbeat (the file's change time) tells a live owner on another host.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.owner = Owner(uuid.uuid4().hex, socket.gethostname(), os.getpid(), _user(), time.time())
        self._stop = threading.Event()
        self._beat = threading.Thread(target=self._keep_beating, daemon=True)

    def __enter__(self) -> DriverLock:
        """Take the lock.

        Raises:
            DriverLockedError: a live driver holds it; the message names its host and pid.
        """
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        if not self._take():
            os.close(self._file)
            raise _refusal(self.path)
        former = read_owner(self.path)
        if former and former.host != self.owner.host and heartbeat_age(self.path) < STALE_SECONDS:
            os.close(self._file)
            raise _refusal(self.path)
        text = json.dumps(asdict(self.owner)).encode()
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, text, 0)
        self._beat.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._beat.join()
        if self.is_ours():
            os.ftruncate(self._file, 0)
        os.close(self._file)

    def _take(self) -> bool:
        for _ in range(PROBES):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                time.sleep(0.02)
        return False

    def is_ours(self) -> bool:
        """Whether nobody has taken the lock from us meanwhile; a driver that lost it must write no more."""
        owner = read_owner(self.path)
        return owner is not None and owner.token == self.owner.token

    def _keep_beating(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            if self.is_ours():
                os.utime(self._file)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user id without a name
        return str(os.getuid())


def read_owner(path: Path) -> Owner | None:
    """Who wrote itself into the lock last, or None if it was released or never taken."""
    try:
        return Owner(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def heartbeat_age(path: Path) -> float:
    """Seconds since the last beat, by the file system's own clock, so that hosts need not agree."""
    probe = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    probe.touch()
    now = probe.stat().st_mtime
    probe.unlink()
    return now - path.stat().st_mtime


def live_owner(path: Path) -> Owner | None:
    """The driver at work on this run, or None if there is none."""
    owner = read_owner(path)
    if owner is None:
        return None
    if owner.host != socket.gethostname():
        return owner if time.time() - path.stat().st_mtime < STALE_SECONDS else None
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return owner
    return None


def _refusal(path: Path) -> DriverLockedError:
    owner = read_owner(path)
    who = f"process {owner.pid} of {owner.user} on {owner.host}" if owner else "a process that is just starting"
    return DriverLockedError(
        f"study {path.parent.name!r} is already driven by {who}; watch it with `sweep status {path.parent.name} "
        f"--watch`, end it there with Ctrl-C (its jobs go on), or with `sweep stop {path.parent.name}`"
    )
