"""What a worker pays before it trains: seconds of imports, data and first step, cold and warm.

    python benchmarks/start_up.py --dataset imagefolder:/data/cifar10

Every run is a process of its own. Cold: an empty data cache, so the data set is decoded. Warm: the cache is there.
The page cache of the operating system is warm for both, and Python's compiled files exist.
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

PARTS = ("python", "imports", "data", "network", "first step", "all")
# The clock starts before the interpreter: the parent hands over its own time.
WORKER = """
import sys, time
marks = [float(sys.argv[1]), time.time()]
import sweep.worker, trainer.training
from trainer.config import TrainConfig
from trainer.augment import epoch_batches
from trainer.context import QuietContext
from trainer.data import load_data
from trainer.devices import choose_device, synchronize
marks.append(time.time())
config = TrainConfig(dataset=sys.argv[2], data_dir=sys.argv[3], device=sys.argv[4])
device = choose_device(config.device)
data = load_data(config, device)
marks.append(time.time())
run = trainer.training.TrainingRun(config, QuietContext(), data, device, time.monotonic())
marks.append(time.time())
images, labels = next(epoch_batches(config, data, 0, 0))
run.step(images, labels, 0.001)
synchronize(device)
marks.append(time.time())
import json
print(json.dumps([later - earlier for earlier, later in zip(marks, marks[1:])]))
print(json.dumps("torchvision" in sys.modules))
"""


def start(given: argparse.Namespace, cache: str, *, warm: bool) -> list[float]:
    """Seconds of each part of one start, and of all."""

    environment = {**os.environ, "SWEEP_CACHE_DIR": cache, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WORKER, repr(time.time()), given.dataset, given.data_dir, given.device]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    seconds, torchvision = map(json.loads, done.stdout.splitlines())
    if warm:
        assert not torchvision, "torchvision was imported though the data set is cached"
    return [*seconds, sum(seconds)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeat", type=int, default=7)
    given = parser.parse_args()
    cold, warm = [], []
    with tempfile.TemporaryDirectory() as shared:
        for number in range(given.repeat):
            if number < 3:
                with tempfile.TemporaryDirectory() as fresh:
                    cold.append(start(given, fresh, warm=False))
            if number == 0:
                start(given, shared, warm=False)
            warm.append(start(given, shared, warm=True))
    print(f"seconds, median (least to most) of {len(cold)} cold and {len(warm)} warm starts\n")
    print("| start | " + " | ".join(PARTS) + " |\n" + "|---" * (len(PARTS) + 1) + "|")
    for name, runs in (("cold", cold), ("warm", warm)):
        parts = zip(*runs, strict=True)
        cells = [f"{statistics.median(part):.2f} ({min(part):.2f} to {max(part):.2f})" for part in parts]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
