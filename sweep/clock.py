"""Time, as the driver sees it: the machine's, or a simulation's."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the driver uses of the module `time`."""

    def time(self) -> float:
        """Seconds since 1970."""

    def monotonic(self) -> float:
        """Seconds of a clock that is never set back."""

    def sleep(self, seconds: float, /) -> None:
        """Let so many seconds pass."""


MACHINE: Clock = time


class VirtualClock:
    """Stands still until it is told. It begins a day ahead, later than any file that is really written."""

    def __init__(self) -> None:
        self.now = time.time() + 86_400

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.now += seconds
