"""How busy are the local slots? 64 sleeping trials on 8 slots, one process per trial.

Prints, per repetition, trial seconds / (slots x makespan), where the makespan runs from the launch to the
last result. The ideal is what a list scheduler without any cost of its own reaches on the same durations.

    python benchmarks/slots_busy.py --repeat 3
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
STUDY = """
name = "slots_busy"
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


def measure(seed: int, trials: int, slots: int) -> tuple[float, float, float]:
    """Utilisation, the ideal one, and the makespan in seconds of one study."""
    import sweep

    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study.toml"
        study.write_text(STUDY.format(seed=seed, trials=trials))
        run = sweep.launch(study, changes={"profile.slots": slots, "profile.gpus": 0}, runs=Path(folder))
        results = [json.loads(path.read_text()) for path in sorted(run.glob("trials/*/result.json"))]
        events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    began = next(event["time"] for event in events if event["event"] == "launched")
    ended = max(event["time"] for event in events if event["event"] == "told")
    durations = [result["train_seconds"] for result in results]
    return sum(durations) / (slots * (ended - began)), ideal(durations, slots), ended - began


def ideal(durations: list[float], slots: int) -> float:
    """Utilisation when each trial, in the same order, goes to the slot that is free first, at no cost."""
    free = [0.0] * slots
    for seconds in durations:
        heapq.heappush(free, heapq.heappop(free) + seconds)
    return sum(durations) / (slots * max(free))


def main() -> None:
    """Repeat with several seeds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    sys.path.insert(0, str(HERE))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    print(f"{arguments.trials} trials on {arguments.slots} slots, {os.cpu_count()} CPU cores")
    rows = []
    for seed in range(arguments.repeat):
        busy, best, seconds = measure(seed, arguments.trials, arguments.slots)
        rows.append(busy)
        print(f"seed {seed}: utilisation {busy:.1%}, without any overhead {best:.1%}, makespan {seconds:.1f} s")
    print(f"median {statistics.median(rows):.1%}, from {min(rows):.1%} to {max(rows):.1%}")


if __name__ == "__main__":
    main()
