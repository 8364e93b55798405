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
        **{name: os.environ[name] for name in FOLDERS if os.environ.get(name)},
        **_python_path(),
        **profile.env,
    }


def _python_path() -> dict[str, str]:
    """As the driver was given it, each folder once: driver jobs hand theirs on."""
    folders = dict.fromkeys(os.environ.get("PYTHONPATH", "").split(os.pathsep))
    path = os.pathsep.join(filter(None, folders))
    return {"PYTHONPATH": path} if path else {}
