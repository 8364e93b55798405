"""What a driver costs the login node and Slurm: submissions, queries, CPU while it waits.

    python benchmarks/slurm_load.py --cluster /tmp/slurm --jobs 1 100 500

For each number of jobs, a study is launched on the emulated cluster with jobs that stay on hold, with the
intervals of the profile `generic_gpu`. Slurm's commands are wrapped by scripts that count calls, from outside.

    submission   milliseconds from one sbatch call to the next, while the queue fills: proposal, files, sbatch
    of which     milliseconds of sbatch itself
    queries      calls of sacct and squeue per minute, once all jobs are in the queue
    CPU          of the driver in that time, the commands that it starts included, as a share of one core
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from emulated import add_cluster_options, boot

COMMANDS = ("sbatch", "sacct", "squeue", "scontrol", "scancel")
STUDY = """
name = "load"
goal = "accuracy"
target = 0.9
sampler = "random"
trainer = "sleeping:sleep"
[limits]
trials = {jobs}
trial = "60s"
[space]
draw = {{ low = 0.0, high = 0.999999 }}
"""


def wrap_commands(folder: Path) -> Path:
    """A folder for PATH with commands that note when they begin and end."""
    bin_folder, log = folder / "bin", folder / "calls"
    bin_folder.mkdir()
    for name in COMMANDS:
        script = bin_folder / name
        script.write_text(
            f'#!/bin/sh\nbegan=$(date +%s.%N)\n{shutil.which(name)} "$@"\ncode=$?\n'
            f'echo "{name} $began $(date +%s.%N)" >> {log}\nexit $code\n'
        )
        script.chmod(0o755)
    return log


def calls(log: Path) -> list[tuple[str, float, float]]:
    """Each call so far: the command, when it began and when it ended."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [(name, float(began), float(ended)) for name, began, ended in (line.split() for line in lines)]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def measure(jobs: int, seconds: float) -> tuple[float, float, float, float]:
    """Milliseconds per submission, of sbatch, queries per minute and the share of a core."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        log = wrap_commands(folder)
        study = folder / "study.toml"
        study.write_text(STUDY.format(jobs=jobs))
        keys = {"sbatch_options.hold": "true", "partition": "main", "max_jobs": jobs, "max_queued_jobs": jobs}
        keys |= {"submits_per_minute": 100_000, "account": "research", "mem_gb": 0.1}
        options = [f"--set=profile.slurm.{key}={value}" for key, value in keys.items()]
        command = [sys.executable, "-m", "sweep", "launch", str(study), "--profile", "generic_gpu", *options]
        environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
        with (folder / "log").open("w") as out:
            driver = subprocess.Popen(
                [*command, "--runs", str(folder / "runs")], stdout=out, stderr=out, env=environment
            )
        while sum(name == "sbatch" for name, _, _ in calls(log)) < jobs:
            if driver.poll() is not None:
                raise SystemExit((folder / "log").read_text())
            time.sleep(0.5)
        submits = [(began, ended) for name, began, ended in calls(log) if name == "sbatch"]
        time.sleep(5.0)
        before, cpu = len(calls(log)), cpu_seconds(driver.pid)
        time.sleep(seconds)
        queries, used = len(calls(log)) - before, cpu_seconds(driver.pid) - cpu
        driver.kill()
        driver.wait()
        subprocess.run(["scancel", "--user=root"], check=False)
        apart = (submits[-1][0] - submits[0][0]) / max(1, jobs - 1)
        own = statistics.median(ended - began for began, ended in submits)
        return 1000 * apart, 1000 * own, 60 * queries / seconds, used / seconds


def main() -> None:
    """Measure each number of jobs and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_cluster_options(parser)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 100, 500])
    parser.add_argument("--seconds", type=float, default=120.0, help="how long the driver is watched")
    given = parser.parse_args()
    boot(given)
    print("| jobs | submission | of which sbatch | queries per minute | CPU |\n|---|---|---|---|---|")
    for jobs in given.jobs:
        apart, own, queries, cpu = measure(jobs, given.seconds)
        print(f"| {jobs} | {apart:.0f} ms | {own:.0f} ms | {queries:.1f} | {cpu:.1%} |", flush=True)


if __name__ == "__main__":
    main()
