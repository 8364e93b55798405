"""How busy are the GPUs of a cluster? 96 sleeping trials on the emulated one, with its eight GPUs.

    python benchmarks/slurm_utilisation.py --cluster /tmp/slurm --repeat 3

Trials sleep 2, 2, 2, 3, 3, 4, 6 or 12 s, drawn at random; each way runs the same durations. Utilisation is trial
seconds over GPUs times makespan, which runs from the launch (the first sbatch) to the last result.

    one trial per job      the profile as it is
    lanes kept warm        eight jobs of one lane, which take trials while their time lasts
    two lanes per job      four jobs of two lanes
    jobs pull from a journal   eight long-lived jobs around Optuna's journal file, written by hand: no budget,
                               no limits, no resume
    ideal                  a list scheduler without any cost of its own, on the same durations in the same order
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests" / "slurm"))

from cluster import Cluster  # noqa: E402  # which lies with the tests
from sleeping import DURATIONS  # noqa: E402
from slots_busy import ideal  # noqa: E402

import sweep  # noqa: E402

GPUS = 8
STUDY = """
name = "utilisation"
goal = "accuracy"
target = 0.9
sampler = "random"
trainer = "sleeping:sleep"
seed = {seed}
[limits]
trials = {trials}
trial = "60s"
[space]
draw = {{ low = 0.0, high = 0.999999 }}
"""


def ours(changes: dict[str, Any], folder: Path, seed: int, trials: int) -> tuple[list[float], float]:
    """The trials' seconds, in the order of their numbers, and the makespan."""
    study = folder / "study.toml"
    study.write_text(STUDY.format(seed=seed, trials=trials))
    run = sweep.launch(study, profile="testbed", changes=changes, runs=folder / "runs")
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    began = next(event["time"] for event in events if event["event"] == "launched")
    ended = max(path.stat().st_mtime for path in run.glob("trials/*/result.json"))
    results = [json.loads(path.read_text()) for path in sorted(run.glob("trials/*/result.json"))]
    return [result["train_seconds"] for result in results], ended - began


def pulled(draws: list[float], folder: Path, seed: int, trials: int) -> tuple[list[float], float]:
    """The same with jobs that pull; `draws` are those of our trials."""
    (folder / f"durations-{seed}.json").write_text(json.dumps(draws))
    journal = folder / "journal.log"
    began = time.time()
    command = [sys.executable, str(HERE / "journal_puller.py"), str(journal), str(trials), str(seed)]
    for _ in range(GPUS):
        options = ["--gpus-per-node=1", "--mem=1G", "--time=60", f"--output={folder}/%j.log", "--job-name=puller"]
        subprocess.run(["sbatch", *options, "--wrap", " ".join(command)], check=True, stdout=subprocess.DEVNULL)
    while subprocess.run(["squeue", "-h", "--name=puller"], check=True, capture_output=True).stdout:
        time.sleep(0.2)
    ends = [
        line["datetime_complete"]
        for text in journal.read_text().splitlines()
        if "datetime_complete" in (line := json.loads(text)) and line.get("state") == 1
    ]
    from datetime import datetime

    ended = max(datetime.fromisoformat(end).timestamp() for end in ends)
    return [float(DURATIONS[int(draw * len(DURATIONS))]) for draw in draws], ended - began


def main() -> None:
    """Run every way in turn, as often as asked, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cluster", type=Path, required=True, help="its folder; it is booted if need be")
    parser.add_argument("--base-port", type=int, default=17000)
    parser.add_argument("--trials", type=int, default=96)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    cluster = Cluster(given.cluster, given.base_port)
    cluster.start()
    os.environ.update(cluster.environ)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    warm = {"profile.slurm.trials_per_lane": 2 * given.trials // GPUS, "profile.slurm.max_jobs": GPUS}
    two = warm | {"profile.slurm.lanes_per_job": 2, "profile.slurm.max_jobs": GPUS // 2}
    rows: dict[str, list[float]] = {}
    for seed in range(given.repeat):
        draws: list[float] = []
        ways: dict[str, Callable[..., tuple[list[float], float]]] = {
            "one trial per job": partial(ours, {}),
            "lanes kept warm": partial(ours, warm),
            "two lanes per job": partial(ours, two),
            "jobs pull from a journal": partial(pulled, draws),
        }
        for name, way in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                seconds, makespan = way(Path(folder), seed, given.trials)
                if not draws:
                    draws += [_draw(path) for path in sorted(Path(folder).glob("runs/*/trials/*/trial.json"))]
            rows.setdefault(name, []).append(sum(seconds) / (GPUS * makespan))
            print(f"seed {seed}, {name}: {rows[name][-1]:.1%}, makespan {makespan:.1f} s", flush=True)
        rows.setdefault("ideal", []).append(
            ideal([float(DURATIONS[int(d * len(DURATIONS))]) for d in draws], GPUS)
        )
        print(f"seed {seed}, ideal: {rows['ideal'][-1]:.1%}", flush=True)
    print("| way | median | from | to |\n|---|---|---|---|")
    for name, found in rows.items():
        print(f"| {name} | {statistics.median(found):.1%} | {min(found):.1%} | {max(found):.1%} |")


def _draw(path: Path) -> float:
    return float(json.loads(path.read_text())["recipe"]["draw"])


if __name__ == "__main__":
    main()
