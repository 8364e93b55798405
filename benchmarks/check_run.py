"""Was each trial of a run told once, none lost, none run twice? Checked from outside, without the sweep package.

    python benchmarks/check_run.py runs/cifar10_60 --trials 40

Reads events.jsonl, the claims and results in the trials' folders, the bundles in the jobs' folders and, of a Slurm
run, what sacct has booked; each must agree with the others. Prints what is wrong; exit code 1 if anything is.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

CLOCK_SECONDS = 2.0  # sacct tells whole seconds, and starts and ends jobs a little around their processes


@dataclass(frozen=True)
class Run:
    """The files of a run, as they are."""

    root: Path
    events: list[dict[str, Any]]
    claims: dict[int, list[dict[str, Any]]]  # by workers, in the order of time
    results: dict[int, dict[str, Any]]
    trials: list[int]
    bundles: dict[str, dict[str, Any]]
    ids: dict[str, str]  # of Slurm jobs, by bundle


@dataclass(frozen=True)
class Booked:
    """A job in Slurm's accounting."""

    name: str
    start: float
    end: float
    seconds: int
    gpus: int


def read(root: Path) -> Run:
    """Everything that the checks need."""
    events = [json.loads(line) for line in (root / "events.jsonl").read_text().splitlines() if line.endswith("}")]
    folders = {int(path.name): path for path in sorted((root / "trials").iterdir())}
    claims = {}
    for number, folder in folders.items():
        found = [json.loads(path.read_text()) for path in folder.glob("claim.*")]
        claims[number] = sorted((claim for claim in found if "pid" in claim), key=lambda c: c["claimed_at"])
    results = {
        number: json.loads((folder / "result.json").read_text())
        for number, folder in folders.items()
        if (folder / "result.json").exists()
    }
    jobs = {path.parent.name: json.loads(path.read_text()) for path in sorted(root.glob("jobs/*/bundle.json"))}
    slurm = {path.parent.name: json.loads(path.read_text()) for path in root.glob("jobs/*/slurm.json")}
    ids = {name: facts["job_id"] for name, facts in slurm.items() if "job_id" in facts}
    return Run(root, events, claims, results, list(folders), jobs, ids)


def check_trials(run: Run, wanted: int | None) -> list[str]:
    """Each trial asked for has one result and was told once, and the result is of the attempt that ran last."""
    problems = []
    if wanted is not None and len(run.trials) != wanted:
        problems.append(f"{wanted} trials were asked for, there are {len(run.trials)}")
    told = Counter(event["trial"] for event in run.events if event["event"] == "told")
    back = Counter(event["trial"] for event in run.events if event["event"] == "put_back")
    for number in run.trials:
        if told[number] - back[number] != 1:
            problems.append(f"trial {number} was told {told[number]} times and put back {back[number]} times")
        if number not in run.results:
            problems.append(f"trial {number} has no result")
        elif not run.claims[number] or run.claims[number][-1]["attempt"] != run.results[number]["attempt"]:
            problems.append(f"trial {number}: its result is not of the attempt that ran last")
    return problems


def check_overlaps(run: Run, ends: dict[str, float]) -> list[str]:
    """No two attempts of a trial ran at a time, and a decided trial was not begun again."""
    problems = []
    for number, claims in run.claims.items():
        for earlier, later in pairwise(claims):
            if earlier["job"] == later["job"] and earlier.get("restart", 0) < later.get("restart", 0):
                continue  # the site has started the job again
            over = ends.get(earlier["job"])
            if over is None or over > later["claimed_at"] + CLOCK_SECONDS:
                problems.append(
                    f"trial {number}: attempt {later['attempt']} began before {earlier['attempt']} was over"
                )
        attempts = Counter((claim["attempt"], claim.get("restart", 0)) for claim in claims)
        problems += [
            f"trial {number}: {key} was claimed {count} times" for key, count in attempts.items() if count > 1
        ]
    return problems


def check_bundles(run: Run) -> list[str]:
    """Every claim is of an attempt that was handed to its job, and no attempt was handed out twice."""
    handed: dict[tuple[int, int], list[str]] = defaultdict(list)
    for name, bundle in run.bundles.items():
        for attempt in bundle["attempts"]:
            handed[attempt["trial"], attempt["number"]].append(name)
    problems = [f"attempt {key} was handed to {names}" for key, names in handed.items() if len(names) > 1]
    for number, claims in run.claims.items():
        for claim in claims:
            if handed.get((number, claim["attempt"])) != [claim["job"]]:
                problems.append(
                    f"trial {number}: attempt {claim['attempt']} was claimed by {claim['job']}, not its job"
                )
    return problems


def check_accounting(run: Run, booked: dict[str, Booked]) -> list[str]:
    """Slurm ran the jobs that the run knows, each once, when their claims say, and the ledger books it."""
    suffix = (run.root / "run_id").read_text()[:6]
    ours = {job_id: job for job_id, job in booked.items() if job.name.endswith(f"-{suffix}")}
    known = {job_id: name for name, job_id in run.ids.items()}
    problems = [
        f"Slurm ran job {job_id} ({job.name}), of which the run knows nothing"
        for job_id, job in ours.items()
        if job_id not in known and "-driver-" not in job.name
    ]
    names = Counter(job.name for job in ours.values() if "-driver-" not in job.name)
    problems += [f"{name} was submitted {count} times" for name, count in names.items() if count > 1]
    for number, claims in run.claims.items():
        for claim in claims:
            job = booked.get(run.ids.get(claim["job"], ""))
            if job is None:
                problems.append(f"trial {number}: Slurm does not know {claim['job']}, which ran it")
            elif not job.start - CLOCK_SECONDS <= claim["claimed_at"] <= job.end + CLOCK_SECONDS:
                problems.append(f"trial {number}: claimed outside of the time of {claim['job']}")
    spent = {event["job"]: event["gpu_seconds"] for event in run.events if event["event"] == "job_ended"}
    for name, seconds in spent.items():
        job = booked.get(run.ids.get(name, ""))
        if job is not None and abs(seconds - job.seconds * job.gpus) > CLOCK_SECONDS * job.gpus:
            problems.append(f"{name}: {seconds} GPU-seconds are booked, Slurm charged {job.seconds * job.gpus}")
    charged = sum(job.seconds * job.gpus for job_id, job in ours.items() if job_id in known)
    limits = tomllib.loads((run.root / "study.toml").read_text())["limits"]
    if "gpu_hours" in limits and charged > limits["gpu_hours"] * 3600:
        problems.append(f"{charged:.0f} GPU-seconds were spent of {limits['gpu_hours'] * 3600:.0f}")
    return problems


def ask_accounting(run: Run) -> dict[str, Booked]:
    """All jobs since the run began, by id."""
    since = datetime.fromtimestamp(run.events[0]["time"] - 60).isoformat(timespec="seconds")
    fields = "JobIDRaw,JobName,Start,End,ElapsedRaw,AllocTRES"
    command = ["sacct", "-X", "-D", "-n", "-P", "-a", "-S", since, "-o", fields]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    booked: dict[str, Booked] = {}
    for line in text.splitlines():
        job_id, name, start, end, seconds, tres = line.split("|")
        gpus = next((int(part.split("=")[1]) for part in tres.split(",") if part.startswith("gres/gpu=")), 1)
        job = Booked(name, _time(start), _time(end), int(seconds), gpus)
        if job_id in booked and booked[job_id].name == name:  # an earlier start of it
            job = replace(job, start=booked[job_id].start, seconds=booked[job_id].seconds + job.seconds)
        booked[job_id] = job
    return booked


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() if text[:1].isdigit() else float("inf")


def check(root: Path, wanted: int | None = None) -> list[str]:
    """Everything that is wrong with a finished run."""
    run = read(root)
    problems = [*check_trials(run, wanted), *check_bundles(run)]
    if not run.ids:
        ended = {event["job"]: event["time"] for event in run.events if event["event"] == "job_ended"}
        return problems + check_overlaps(run, ended)
    booked = ask_accounting(run)
    ends = {name: booked[job_id].end for name, job_id in run.ids.items() if job_id in booked}
    return [*problems, *check_overlaps(run, ends), *check_accounting(run, booked)]


def main() -> int:
    """Check a run folder and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--trials", type=int, help="how many were asked for")
    given = parser.parse_args()
    problems = check(given.run, given.trials)
    run = read(given.run)
    claims = sum(map(len, run.claims.values()))
    print(
        "\n".join(problems)
        or f"{len(run.trials)} trials, {claims} attempts in {len(run.bundles)} jobs: none lost, none run twice"
    )
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
