"""What every job finds in its environment, whichever way it is started."""

from __future__ import annotations

import os

from sweep.paths import RunPaths
from sweep.profile import Profile

FOLDERS = ("SWEEP_CACHE_DIR", "SWEEP_DATA_DIR")  # as the driver was given them


def environment(profile: Profile, paths: RunPaths) -> dict[str, str]:
    """Threads, folders, what the profile says, and where the code lies."""
    threads = str(profile.threads)
    return {
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        **{name: os.environ[name] for name in (*FOLDERS, "PYTHONPATH") if os.environ.get(name)},
        **profile.env,
    }
