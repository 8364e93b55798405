"""Kill the driver and a worker or a node in the middle of a study, and check that no trial was lost or run twice.

    python benchmarks/crash_drill.py cifar10_60 --kills 3 \\
        --set fixed.dataset=imagefolder:/data/cifar10 --set limits.trial=60s --set profile.slots=2

    python benchmarks/crash_drill.py cifar10_60 --kills 5 --cluster /tmp/slurm --profile testbed \\
        --set fixed.dataset=imagefolder:/data/cifar10 --set limits.trial=60s

Launches the study, kills the driver with SIGKILL at random moments, resumes each time, and kills one worker; with
the folder of an emulated cluster (tests/slurm/cluster.py), it kills one of its nodes instead. check_run.py then
reads what is left, as an outsider would.
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
import tomllib
from collections import Counter
from pathlib import Path

from check_run import check
from emulated import Cluster, add_cluster_options, boot


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


def kill_a_node(run: Path, cluster: Cluster) -> str:
    """Kill a node of the emulated cluster that runs a trial, with all that runs on it; Slurm notices by itself."""
    for name, facts in (
        (path.parent.name, json.loads(path.read_text())) for path in run.glob("jobs/*/slurm.json")
    ):
        if "job_id" in facts and not (run / "jobs" / name / "ended.json").exists():
            node = cluster.run(
                "squeue", "--noheader", "--states=RUNNING", "--format=%N", f"--jobs={facts['job_id']}"
            )
            if node:
                cluster.kill_node(node)
                return node
    return "none"


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
    parser.add_argument("--profile", default="local")
    add_cluster_options(parser, required=False)
    arguments = parser.parse_args()
    cluster = None if arguments.cluster is None else boot(arguments)
    dice, run = random.Random(arguments.seed), arguments.runs / arguments.name
    log = arguments.runs / f"{arguments.name}.log"
    arguments.runs.mkdir(parents=True, exist_ok=True)
    changes = [part for change in [*arguments.changes, f"name={arguments.name}"] for part in ("--set", change)]
    command = ["launch", arguments.study, "--profile", arguments.profile, "--runs", str(arguments.runs), *changes]
    began = time.monotonic()
    for kill in range(arguments.kills):
        code = drive(command, dice.uniform(*arguments.between), log)
        print(f"{time.monotonic() - began:6.0f} s  driver killed ({code})", flush=True)
        if kill == 0 and cluster is None:
            print(f"          worker of trial {kill_a_worker(run)} killed", flush=True)
        if kill == min(1, arguments.kills - 1) and cluster is not None:
            print(f"          node {kill_a_node(run, cluster)} killed", flush=True)
        command = ["resume", arguments.name, "--runs", str(arguments.runs)]
    if cluster is not None:
        cluster.revive()
    code = drive(command, None, log)
    print(f"{time.monotonic() - began:6.0f} s  driver ended ({code}); its output is in {log}")
    kinds = Counter(json.loads(line)["event"] for line in (run / "events.jsonl").read_text().splitlines())
    print("events:", ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
    wanted = tomllib.loads((run / "study.toml").read_text())["limits"]["trials"]
    problems = check(run, wanted)
    print("\n".join(problems) or f"no trial of {len(list(run.glob('trials/*')))} lost, none run twice")
    return bool(problems or code)


if __name__ == "__main__":
    sys.exit(main())
