"""What every test may rely on: caches and runs in temporary folders, one thread, no colours."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["NO_COLOR"] = "1"
TESTS = Path(__file__).parent
settings.register_profile("untimed", deadline=None)  # a busy machine is no defect of what is tested
settings.load_profile("untimed")
# A shell's background job has Ctrl-C ignored, and so would all that tests start from there.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def data_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One decoded data cache for the whole session, shared with the workers that tests start."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["SWEEP_CACHE_DIR"] = str(folder)
    # Workers import the trainers of tests/ by name.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    return folder


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs land in ./runs, so no test may start in the checkout."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEP_RUNS_DIR", raising=False)
    monkeypatch.delenv("SWEEP_DATA_DIR", raising=False)
    monkeypatch.syspath_prepend(str(TESTS))
    return tmp_path
