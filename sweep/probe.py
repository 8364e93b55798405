"""What a job of a site sees and can do. Runs on the node; reports into a folder that `sweep doctor` made.

The files are a conversation: `hello` from the node, `ping` from the login node, `pong` and `report` from the node.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.files import publish, read_json, replace, to_json

PING_SECONDS = 60.0  # until a file from the login node counts as not seen
LOOK_SECONDS = 0.1
CLAIMS = 20  # that two processes race for
GPU_VARIABLES = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "SLURM_JOB_GPUS")


@dataclass(frozen=True)
class ProbeFiles:
    """The files of the conversation."""

    folder: Path

    @property
    def ping(self) -> Path:
        """Written by the login node once it has seen the first lane's hello."""
        return self.folder / "ping.json"

    @property
    def claim(self) -> Path:
        """Claimed by the login node before the job is submitted."""
        return self.folder / "claim"

    def hello(self, lane: int) -> Path:
        """Written as soon as Python runs."""
        return self.folder / f"hello.{lane}.json"

    def pong(self, lane: int) -> Path:
        """Written as soon as the ping is seen."""
        return self.folder / f"pong.{lane}.json"

    def report(self, lane: int) -> Path:
        """Written last."""
        return self.folder / f"report.{lane}.json"


@dataclass(frozen=True)
class DataSet:
    """What the study's trials will load."""

    name: str
    folder: str
    image_size: int | None


def probe(folder: str, data: DataSet | None = None) -> None:
    """The entry point of each of the job's tasks."""
    files, lane = ProbeFiles(Path(folder)), int(os.environ.get("SLURM_PROCID", "0"))
    replace(files.hello(lane), to_json(about_python()))
    seen = _wait_for(files.ping)
    replace(files.pong(lane), to_json({"time": time.time(), "sees_ping": seen}))
    report = {**about_files(files, lane), **about_torch(), "data": about_data(data)}
    replace(files.report(lane), to_json(report))


def about_python() -> dict[str, Any]:
    """Where this runs, and what Slurm has given it."""
    return {
        "host": platform.node(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "cores": len(os.sched_getaffinity(0)),
        "gpu_variables": {name: os.environ[name] for name in GPU_VARIABLES if name in os.environ},
        "nvidia_devices": len(list(Path("/dev").glob("nvidia[0-9]*"))),
        "amd_driver": Path("/dev/kfd").exists(),
    }


def about_files(files: ProbeFiles, lane: int) -> dict[str, Any]:
    """Whether claims are exclusive: against the login node's, and between two processes of this node."""
    try:
        return {
            "takes_claimed": publish(files.claim, "node"),
            "wins": race(files.folder / f"race.{lane}.{os.getpid()}"),
        }
    except OSError as error:
        return {"link_error": f"{error.strerror}: {error.filename}"}


def race(folder: Path) -> list[int]:
    """Two processes claim the same names as fast as they can: how often each claim was won."""
    folder.mkdir()
    command = [sys.executable, "-P", "-m", "sweep.probe", str(folder)]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for racer in racers:
        assert racer.stdout is not None
        racer.stdout.readline()  # it is ready
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    won = [number for racer in racers for number in racer.communicate()[0].split()]
    return [won.count(str(number)) for number in range(CLAIMS)]


def claim_all(folder: Path) -> list[int]:
    """One racer: the numbers of the claims that it won."""
    return [number for number in range(CLAIMS) if publish(folder / str(number), "")]


def about_torch() -> dict[str, Any]:
    """What torch is built for, which GPUs it sees, and whether the first one computes."""
    began = time.monotonic()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            import torch
        except (ImportError, OSError) as error:  # OSError: a library that it needs is missing
            return {"torch_error": f"{type(error).__name__}: {error}"}
        imported = time.monotonic() - began
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return {
        "torch": torch.__version__,
        "torch_seconds": imported,
        "cuda": torch.version.cuda,
        "hip": torch.version.hip,
        "gpus": [torch.cuda.get_device_name(index) for index in range(count)],
        "gpu_error": _error_of(lambda: torch.ones(8, device="cuda").sum().item()) if count else "",
        "warnings": [str(warning.message) for warning in caught],
    }


def about_data(data: DataSet | None) -> str:
    """`cached` if the decoded data set is found here as it was prepared on the login node, else the reason."""
    if data is None:
        return ""
    from trainer.cache import is_cached
    from trainer.errors import DataError

    try:
        return "cached" if is_cached(data.name, data.folder, data.image_size) else "its decoded copy is not there"
    except (DataError, OSError) as error:
        return str(error)


def _error_of(action: Callable[[], object]) -> str:
    try:
        action()
    except RuntimeError as error:  # torch's, such as a build without kernels for this GPU
        return str(error).partition("\n")[0]
    return ""


def _wait_for(path: Path) -> bool:
    patience = time.monotonic() + PING_SECONDS
    while read_json(path) is None:
        if time.monotonic() > patience:
            return False
        time.sleep(LOOK_SECONDS)
    return True


if __name__ == "__main__":  # a racer
    print("ready", flush=True)
    sys.stdin.readline()
    print(*claim_all(Path(sys.argv[1])))
