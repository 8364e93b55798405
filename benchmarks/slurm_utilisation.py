"""How busy are the GPUs of a cluster? 96 sleeping trials on the emulated one, with its eight GPUs.

    python benchmarks/slurm_utilisation.py --cluster /tmp/slurm --repeat 3

Trials sleep 2, 2, 2, 3, 3, 4, 6 or 12 s, drawn at random, a second per epoch; each way runs the same durations in
the same order. Utilisation is trial seconds over GPUs times makespan, from the launch to the last result.

    one trial per job      the profile as it is
    lanes kept warm        eight jobs of one lane for twelve trials each
    two lanes per job      four jobs of two lanes
    pulled from a journal  eight long-lived jobs around Optuna's journal file, written by hand: no budget, no
                           limits, no resume
    list scheduler         without any cost of its own, on the same durations in the same order: what remains to it
                           is the end, when the last long trials run alone
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from emulated import HERE, add_cluster_options, boot
from sleeping import DURATIONS
from slots_busy import ideal

import sweep

GPUS = 8
STUDY = """
name = "utilisation"
goal = "accuracy"
target = 0.9
sampler = "random"
trainer = "sleeping:nap"
[limits]
trials = {trials}
trial = "60s"
[space]
x = {{ low = 0.0, high = 1.0 }}
epochs = {{ choices = [2, 3, 4, 6, 12] }}
{start}
"""


def ours(changes: dict[str, Any], folder: Path, durations: list[int]) -> float:
    """The makespan in seconds of our study."""
    start = "\n".join(f"[[start]]\nepochs = {seconds}\nx = {n / 1000}" for n, seconds in enumerate(durations))
    study = folder / "study.toml"
    study.write_text(STUDY.format(trials=len(durations), start=start))
    run = sweep.launch(study, profile="testbed", changes=changes, runs=folder / "runs")
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    began = next(event["time"] for event in events if event["event"] == "launched")
    slept = [json.loads(path.read_text())["train_seconds"] for path in run.glob("trials/*/result.json")]
    assert sorted(slept) == sorted(durations)
    return max(path.stat().st_mtime for path in run.glob("trials/*/result.json")) - began


def pulled(folder: Path, durations: list[int]) -> float:
    """The makespan of jobs that pull."""
    (folder / "durations.json").write_text(json.dumps(durations))
    journal = folder / "journal.log"
    began = time.time()
    command = [sys.executable, str(HERE / "journal_puller.py"), str(journal), str(len(durations))]
    for _ in range(GPUS):
        options = ["--gpus-per-node=1", "--mem=1G", "--time=60", f"--output={folder}/%j.log", "--job-name=puller"]
        subprocess.run(["sbatch", *options, "--wrap", " ".join(command)], check=True, stdout=subprocess.DEVNULL)
    while subprocess.run(["squeue", "-h", "--name=puller"], check=True, capture_output=True).stdout:
        time.sleep(0.2)
    lines = (json.loads(text) for text in journal.read_text().splitlines())
    ends = [line["datetime_complete"] for line in lines if line.get("state") == 1]
    assert len(ends) == len(durations)
    return max(datetime.fromisoformat(end).timestamp() for end in ends) - began


def main() -> None:
    """Run every way in turn, as often as asked, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_cluster_options(parser)
    parser.add_argument("--trials", type=int, default=96)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    boot(given)
    warm = {"profile.slurm.trials_per_lane": given.trials // GPUS, "profile.slurm.max_jobs": GPUS}
    two = warm | {"profile.slurm.lanes_per_job": 2, "profile.slurm.max_jobs": GPUS // 2}
    ways: dict[str, Callable[[Path, list[int]], float]] = {
        "one trial per job": partial(ours, {}),
        "lanes kept warm": partial(ours, warm),
        "two lanes per job": partial(ours, two),
        "pulled from a journal": pulled,
    }
    rows: dict[str, list[float]] = {name: [] for name in (*ways, "list scheduler")}
    for seed in range(given.repeat):
        durations = random.Random(seed).choices(DURATIONS, k=given.trials)
        for name, way in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                makespan = way(Path(folder), durations)
            rows[name].append(sum(durations) / (GPUS * makespan))
            print(f"seed {seed}, {name}: {rows[name][-1]:.1%}, makespan {makespan:.1f} s", flush=True)
        rows["list scheduler"].append(ideal([float(seconds) for seconds in durations], GPUS))
    print("| way | median | from | to |\n|---|---|---|---|")
    for name, found in rows.items():
        print(f"| {name} | {statistics.median(found):.1%} | {min(found):.1%} | {max(found):.1%} |")


if __name__ == "__main__":
    main()
