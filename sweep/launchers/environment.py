"""What every job finds in its environment, whichever way it is started."""

from __future__ import annotations

import os

from sweep.paths import RunPaths
from sweep.profile import Profile
from sweep.snapshot import job_pythonpath

FOLDERS = ("SWEEP_CACHE_DIR", "SWEEP_DATA_DIR")  # as the driver was given them


def environment(profile: Profile, paths: RunPaths) -> dict[str, str]:
    """Threads, folders, what the profile says, and where the code lies."""
    threads = str(profile.threads)
    pythonpath = job_pythonpath(paths, profile.env.get("PYTHONPATH"))
    return {
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        **{name: os.environ[name] for name in FOLDERS if os.environ.get(name)},
        **profile.env,
        **({"PYTHONPATH": pythonpath} if pythonpath else {}),
    }
