"""Which processes of this machine belong to one emulated cluster, read from /proc."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

DAEMONS = ("slurmctld", "slurmd", "slurmstepd", "slurmdbd", "munged", "mariadbd")
GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


def wait_until(condition: Callable[[], bool], seconds: float, problem: Callable[[], str]) -> None:
    """Poll until the condition holds; otherwise a TimeoutError that names the problem."""
    deadline = monotonic() + seconds
    while not condition():
        if monotonic() > deadline:
            raise TimeoutError(f"after {seconds:.0f} s: {problem()}")
        sleep(0.1)


def daemons_of(folder: Path) -> set[int]:
    """Every daemon and step manager that has a file of the cluster's folder open."""
    return {pid for pid in _pids() if _program(pid) in DAEMONS and _has_open(pid, f"{folder}/")}


def step_managers_of(log: Path) -> set[int]:
    """The slurmstepd of one node: they write to their slurmd's log."""
    return {pid for pid in _pids() if _program(pid) == "slurmstepd" and _has_open(pid, str(log))}


def job_processes(folder: Path, node: str | None = None) -> set[int]:
    """Processes of the cluster's jobs, also those that left their step, by the variables Slurm gives them."""
    wanted = {f"SLURM_CONF={folder}/slurm.conf"} | ({f"SLURMD_NODENAME={node}"} if node else set())
    found = {pid: _environment(pid) for pid in _pids()}
    return {
        pid
        for pid, variables in found.items()
        if wanted <= variables and any(one.startswith("SLURMD_NODENAME=") for one in variables)
    }


def with_descendants(pids: Iterable[int]) -> set[int]:
    """The processes and all below them."""
    parents = {pid: _parent(pid) for pid in _pids()}
    found = set(pids)
    while below := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= below
    return found


def kill(pids: Iterable[int], number: signal.Signals = signal.SIGKILL) -> None:
    """Signal them all; those that have ended already are no problem."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    return _status(pid)[0] not in ("", "Z")


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _program(pid: int) -> str:
    with suppress(*GONE):
        return Path(f"/proc/{pid}/exe").readlink().name.removesuffix("-wlm")  # as Debian renames them
    return ""


def _has_open(pid: int, start: str) -> bool:
    with suppress(*GONE):
        return any(str(link.readlink()).startswith(start) for link in Path(f"/proc/{pid}/fd").iterdir())
    return False


def _environment(pid: int) -> set[str]:
    with suppress(*GONE):
        return set(Path(f"/proc/{pid}/environ").read_text(errors="replace").split("\0"))
    return set()


def _status(pid: int) -> tuple[str, int]:
    """State letter and parent, from the fields after the program's name."""
    with suppress(*GONE):
        state, parent, *_ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return state, int(parent)
    return "", 0


def _parent(pid: int) -> int:
    return _status(pid)[1]
