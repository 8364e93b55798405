"""A real Slurm for the tests of this folder, where the machine can run one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import APT, Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster of this worker; one that SWEEP_SLURM_FOLDER names is used, and left running."""
    if missing := Cluster.missing():
        pytest.skip(f"no Slurm here, for want of {', '.join(missing)}; as root: {APT}")
    kept = os.environ.get("SWEEP_SLURM_FOLDER")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    # Not below pytest's own folder: the path of a socket may have 107 characters.
    folder = Path(kept or tempfile.mkdtemp(prefix=f"slurm-{worker}-"))
    number = 0 if kept else int(worker.removeprefix("gw")) + 1
    cluster = Cluster(folder, 17000 + 20 * number)
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
