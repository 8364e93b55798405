"""A real Slurm for the tests of this folder, where the machine can run one."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import APT, Cluster


def free_ports(base: int) -> int:
    """The first base from here on whose ports no other cluster has, such as that of another checkout."""
    while True:
        try:
            for number in range(1, 12):
                with socket.socket() as trial:
                    trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    trial.bind(("", base + number))
        except OSError:
            base += 400
        else:
            return base


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster of this worker; the one in SWEEP_SLURM_FOLDER, with the default ports, is left running."""
    if missing := Cluster.missing():
        refuse = pytest.fail if os.environ.get("SWEEP_REQUIRE_SLURM") else pytest.skip
        refuse(f"no Slurm here, for want of {', '.join(missing)}; as root: {APT}")
    kept = os.environ.get("SWEEP_SLURM_FOLDER")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    # Not below pytest's own folder: the path of a socket may have 107 characters.
    folder = Path(kept or tempfile.mkdtemp(prefix=f"slurm-{worker}-"))
    cluster = Cluster(folder) if kept else Cluster(folder, free_ports(17020 + 20 * int(worker.removeprefix("gw"))))
    before = {name: os.environ.get(name) for name in cluster.environ}
    try:
        cluster.start()
        os.environ.update(cluster.environ)
        yield cluster
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        if not kept:
            cluster.stop()
            shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def left_as_found(cluster: Cluster) -> Iterator[None]:
    """The next test finds four idle nodes and an empty queue."""
    yield
    cluster.revive()
    cluster.free_cancel_all()
