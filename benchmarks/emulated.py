"""The emulated cluster of the tests, for benchmarks that need a Slurm."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests" / "slurm"))

from cluster import Cluster  # noqa: E402  # found by the line above

__all__ = ["Cluster", "add_cluster_options", "boot"]


def add_cluster_options(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """The options by which a benchmark finds its cluster."""
    parser.add_argument(
        "--cluster",
        type=Path,
        required=required,
        help="the folder of an emulated cluster; it is booted if need be",
    )
    parser.add_argument("--base-port", type=int, default=17000)


def boot(given: argparse.Namespace) -> Cluster:
    """The cluster that the options name: Slurm's commands then speak to it, and its jobs find our trainers."""
    cluster = Cluster(given.cluster, given.base_port)
    cluster.start()
    os.environ.update(cluster.environ)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    return cluster
