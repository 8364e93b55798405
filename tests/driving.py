"""Helpers of the tests that drive studies with real processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

STUDY = """
name = "sleepy"
goal = "{goal}"
target = 0.9
sampler = "random"
trainer = "sleepers:sleep"
{top}
[limits]
trials = {trials}
trial = "{limit}"
{limits}
[fixed]
{fixed}
[space]
x = {{ low = 0.0, high = 1.0 }}
"""


def write_study(
    folder: Path,
    *,
    trials: int = 4,
    limit: str = "30s",
    goal: str = "accuracy",
    top: str = "",
    limits: str = "",
    **fixed: Any,
) -> Path:
    """A study of the sleeping trainer; `fixed` are keys of its recipe."""
    path = folder / "study.toml"
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in fixed.items())
    path.write_text(STUDY.format(goal=goal, top=top, trials=trials, limit=limit, limits=limits, fixed=lines))
    return path


def sweep(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a sweep command to its end."""
    return subprocess.run(_command(arguments), capture_output=True, text=True, timeout=120, check=False)


class Driver:
    """A sweep command that runs in the background; its output goes to a file."""

    def __init__(self, *arguments: str | Path) -> None:
        self.log = Path(f"driver-{time.monotonic_ns()}.log").absolute()
        with self.log.open("w") as out:
            self.process = subprocess.Popen(_command(arguments), stdout=out, stderr=out)

    def send(self, number: signal.Signals) -> None:
        """Send a signal; wait for the end if it cannot be refused."""
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()

    def finish(self, seconds: float = 90) -> str:
        """Wait for the end; what was printed."""
        self.process.wait(seconds)
        return self.log.read_text()

    @property
    def code(self) -> int | None:
        return self.process.returncode


def _command(arguments: tuple[str | Path, ...]) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "sweep", *map(str, arguments)]


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> None:
    """Look until the condition holds; fail the test if it never does."""
    patience = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < patience, f"waited {seconds:g} s in vain until {what}"
        time.sleep(0.02)


def events(run: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """The run's events, or those of one kind."""
    path = run / "events.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    found = [json.loads(line) for line in lines if line.endswith("}")]
    return [event for event in found if kind is None or event["event"] == kind]


def told(run: Path) -> Counter[int]:
    """How often each trial was told to Optuna."""
    return Counter(event["trial"] for event in events(run, "told"))


def results(run: Path) -> dict[int, dict[str, Any]]:
    """Every result.json of the run, by trial number."""
    return {
        int(path.parent.name): json.loads(path.read_text()) for path in sorted(run.glob("trials/*/result.json"))
    }


def workers(run: Path) -> list[int]:
    """The processes that claimed a trial of this run and are still alive."""
    pids = [json.loads(path.read_text()).get("pid") for path in run.glob("trials/*/claim.*")]
    return [pid for pid in pids if pid is not None and _is_alive(pid)]


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
