"""Studies of the sleeping trainer on the emulated cluster, and what is left of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from driving import Driver, events, results, told, wait_until

RUN = Path("runs/sleepy")


def launch(study: Path, **changes: Any) -> Driver:
    """`sweep launch` on the emulated cluster, in the background; `changes` are keys of the profile's table."""
    options = [f"--set=profile.slurm.{key}={json.dumps(value)}" for key, value in changes.items()]
    return Driver("launch", study, "--profile", "testbed", *options)


def resume(*options: str) -> Driver:
    return Driver("resume", "sleepy", *options)


def job_ids() -> dict[str, str]:
    """Slurm's ids of the jobs submitted so far, by our names."""
    found = {path.parent.name: json.loads(path.read_text()) for path in RUN.glob("jobs/*/slurm.json")}
    return {name: facts["job_id"] for name, facts in found.items() if "job_id" in facts}


def job_of(trial: int, attempt: int = 1) -> str:
    """The id of the job that runs the trial, as soon as it has begun."""
    name = f"sleepy-{trial:05d}-{attempt}"
    wait_until(
        (RUN / f"trials/{trial:05d}/claim.{attempt}").exists, f"attempt {attempt} of trial {trial} has begun"
    )
    wait_until(lambda: name in job_ids(), f"the id of {name} is written down")
    return job_ids()[name]


def states() -> dict[int, tuple[str, int]]:
    """Each trial's state and the attempt that led to it."""
    return {number: (result["state"], result["attempt"]) for number, result in results(RUN).items()}


def ends() -> list[str]:
    """How the jobs that have ended did so."""
    return [event["state"] for event in events(RUN, "job_ended")]


def finish(driver: Driver, code: int = 0) -> str:
    """Wait for the driver's end, a good one unless every trial fails; each trial was then told once."""
    text = driver.finish(150)
    assert driver.code == code, text
    assert set(told(RUN).values()) == {1}
    return text
