"""The driver's own Slurm job: its script, and drivers that follow each other in vain."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweep_builders import study, written_run

from sweep.clock import VirtualClock
from sweep.errors import BreakerError
from sweep.events import EventLog, notices
from sweep.launchers.driver_job import check_succession, driver_script
from sweep.paths import RunPaths
from sweep.profile import Profile


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return written_run(tmp_path, study(), [])


def begin(paths: RunPaths, *minutes: float, then: str = "") -> None:
    """Driver jobs that began at these minutes, and an event after them."""
    clock = VirtualClock()
    log, start = EventLog(paths.events, clock), clock.now
    for minute in minutes:
        clock.now = start + 60 * minute
        log.write("succeeded")
    if then:
        log.write(then)


def test_drivers_that_all_end_within_minutes_are_not_succeeded(paths: RunPaths) -> None:
    begin(paths, 0, 1, 2, 3, 4)
    with pytest.raises(BreakerError, match=r"5 driver jobs in a row .*\n.*driver_mem_gb"):
        check_succession(paths)
    assert notices(paths.events) == [
        "5 driver jobs in a row ended within minutes, without coming to the study's end"
    ]


@pytest.mark.parametrize("minutes", [(0, 1, 2, 3), (0, 60, 120, 180, 240, 300)])
def test_drivers_that_live_for_hours_or_are_few_are_succeeded(paths: RunPaths, minutes: tuple[int, ...]) -> None:
    begin(paths, *minutes)
    check_succession(paths)


def test_a_resume_gives_drivers_a_new_chance(paths: RunPaths) -> None:
    begin(paths, 0, 1, 2, 3, 4, then="resumed")
    check_succession(paths)


def test_a_driver_job_asks_for_its_own_memory_and_no_gpu(paths: RunPaths) -> None:
    slurm = {"partition": "gpu", "account": "abc", "driver_options": {"partition": "serial"}, "driver_time": "2h"}
    profile = Profile.model_validate({"name": "x", "launcher": "slurm", "slurm": slurm})
    lines = driver_script(profile, paths, after="17").splitlines()
    assert {
        "#SBATCH --partition=serial",
        "#SBATCH --account=abc",
        "#SBATCH --mem=2048M",
        "#SBATCH --time=120",
        "#SBATCH --dependency=afterany:17",
    } <= set(lines)
    assert not [line for line in lines if "gpu" in line.lower()]


def test_folders_that_setup_makes_on_the_drivers_node_are_not_handed_to_other_jobs(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SWEEP_CACHE_DIR", raising=False)
    monkeypatch.setenv("SWEEP_DATA_DIR", "/shared/data")
    slurm = {"setup": ["export SWEEP_CACHE_DIR=/local/cache SWEEP_DATA_DIR=/local/data"]}
    profile = Profile.model_validate({"name": "x", "launcher": "slurm", "slurm": slurm})
    lines = driver_script(profile, paths).splitlines()
    after = lines[lines.index(slurm["setup"][0]) :]
    assert "unset SWEEP_CACHE_DIR" in after
    assert "export SWEEP_DATA_DIR=/shared/data" in after
