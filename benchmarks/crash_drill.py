"""Kill the driver and a worker in the middle of a study, resume, and check that no trial was lost or run twice.

    python benchmarks/crash_drill.py studies/cifar10_60.toml --kills 3 \\
        --set fixed.dataset=imagefolder:/data/cifar10 --set limits.trial=60s --set profile.slots=2

Launches the study, kills the driver with SIGKILL at random moments and one worker once, resumes each time, and
then reads events.jsonl, the claims and the results as an outsider would.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path


def drive(arguments: list[str], seconds: float | None, log: Path) -> int:
    """Run a sweep command; after `seconds`, kill its driver with SIGKILL. Returns the exit code."""
    with log.open("a") as out:
        process = subprocess.Popen([sys.executable, "-m", "sweep", *arguments], stdout=out, stderr=out)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            return process.wait()


def kill_a_worker(run: Path) -> str:
    """SIGKILL the process of one claimed, unfinished trial; returns which."""
    for trial in sorted(run.glob("trials/*")):
        claims = [json.loads(path.read_text()) for path in trial.glob("claim.*")]
        if claims and "pid" in claims[-1] and not (trial / "result.json").exists():
            try:
                os.kill(claims[-1]["pid"], signal.SIGKILL)
            except ProcessLookupError:
                continue
            return trial.name
    return "none"


def check(run: Path) -> list[str]:
    """What is wrong with a finished run: trials lost, told twice, or run by two attempts at a time."""
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    told = Counter(event["trial"] for event in events if event["event"] == "told")
    ended = {event["job"]: event["time"] for event in events if event["event"] == "job_ended"}
    problems = [f"trial {number} was told {count} times" for number, count in told.items() if count != 1]
    for spec in sorted(run.glob("trials/*/trial.json")):
        number, folder = int(spec.parent.name), spec.parent
        if number not in told or not (folder / "result.json").exists():
            problems.append(f"trial {number} was never told or has no result")
            continue
        result = json.loads((folder / "result.json").read_text())
        claims = [json.loads(path.read_text()) for path in sorted(folder.glob("claim.*"))]
        ran = sorted((claim for claim in claims if "pid" in claim), key=lambda claim: claim["attempt"])
        if not ran or ran[-1]["attempt"] != result["attempt"]:
            problems.append(f"trial {number}: its result is not of the last attempt that ran")
        for earlier, later in pairwise(ran):
            job = next(name for name in ended if name.endswith(f"-{number:05d}-{earlier['attempt']}"))
            if ended[job] > later["claimed_at"]:
                problems.append(f"trial {number}: attempt {later['attempt']} began before the one before was over")
    return problems


def main() -> int:
    """Run the drill; exit code 1 if anything was lost or repeated."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study")
    parser.add_argument("--name", default="crash_drill")
    parser.add_argument("--set", action="append", default=[], dest="changes")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--between", type=float, nargs=2, default=(60.0, 150.0), help="seconds between kills")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    dice, run = random.Random(arguments.seed), arguments.runs / arguments.name
    log = arguments.runs / f"{arguments.name}.log"
    arguments.runs.mkdir(parents=True, exist_ok=True)
    changes = [part for change in [*arguments.changes, f"name={arguments.name}"] for part in ("--set", change)]
    command = ["launch", arguments.study, "--runs", str(arguments.runs), *changes]
    began = time.monotonic()
    for kill in range(arguments.kills):
        code = drive(command, dice.uniform(*arguments.between), log)
        print(f"{time.monotonic() - began:6.0f} s  driver killed ({code})", flush=True)
        if kill == 0:
            print(f"          worker of trial {kill_a_worker(run)} killed", flush=True)
        command = ["resume", arguments.name, "--runs", str(arguments.runs)]
    code = drive(command, None, log)
    print(f"{time.monotonic() - began:6.0f} s  driver ended ({code}); its output is in {log}")
    kinds = Counter(json.loads(line)["event"] for line in (run / "events.jsonl").read_text().splitlines())
    print("events:", ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
    problems = check(run)
    print("\n".join(problems) or f"no trial of {len(list(run.glob('trials/*')))} lost, none run twice")
    return bool(problems or code)


if __name__ == "__main__":
    sys.exit(main())
