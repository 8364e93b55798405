"""SIGKILL after each of the driver's writes: the resumed study is as if nothing had happened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from driving import results, sweep, told, write_study

RUN = Path("runs/sleepy")
DYING_DRIVER = Path(__file__).parent.parent / "dying_driver.py"
WRITES = 36  # of a study of two trials; after the last one the driver simply ends


@pytest.mark.parametrize("write", range(1, WRITES))
def test_a_driver_may_die_at_any_write(tmp_path, write):
    marker = tmp_path / "calls"
    marker.mkdir()
    study = write_study(tmp_path, trials=2, top="retries = 0", seconds=0.05, marker=str(marker))
    command = [sys.executable, DYING_DRIVER, str(write), "launch", study, "--set", "profile.slots=1"]
    subprocess.run(command, capture_output=True, timeout=60, check=False)
    go_on = ["resume"] if (RUN / "study.toml").exists() else ["launch", study]

    done = sweep(*go_on)

    assert done.returncode == 0, done.stderr
    assert {number: result["state"] for number, result in results(RUN).items()} == _completed(results(RUN))
    assert set(told(RUN).values()) == {1}
    assert len(results(RUN)) == len(list(marker.iterdir())) == 2, "each trial ran, and none twice"


def _completed(found):
    return dict.fromkeys(found, "completed")
