"""What is refused before there is a run: budgets without room for a job, sites that would not take it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sweep_builders import here, study

from sweep.errors import StudyFileError, SubmissionError
from sweep.paths import RunPaths
from sweep.preflight import check_budget, check_site
from sweep.profile import Profile

LIMITS = {"trials": 10, "trial": 30.0}


def cluster(**options: Any) -> Profile:
    return Profile.model_validate({"name": "x", "launcher": "slurm", "slurm": options})


def test_a_budget_must_cover_a_job_in_the_whole_minutes_that_slurm_counts() -> None:
    spec = study(limits=LIMITS | {"gpu_hours": 0.013})
    check_budget(spec, here())
    with pytest.raises(StudyFileError, match=r"costs 0\.01667 here \(1 GPU\(s\) for 60 s at least\)"):
        check_budget(spec, cluster())


def test_a_budget_must_cover_the_whole_node_that_is_charged() -> None:
    spec = study(limits=LIMITS | {"gpu_hours": 0.1})
    check_budget(spec, cluster())
    with pytest.raises(StudyFileError, match=r"8 GPU\(s\)"):
        check_budget(spec, cluster(lanes_per_job=8, gpus_charged=8))


def test_the_walltime_must_cover_a_job() -> None:
    with pytest.raises(StudyFileError, match=r"limits\.walltime must cover a job of 60 s; got 50 s"):
        check_budget(study(limits=LIMITS | {"walltime": 50.0}), cluster())


def test_without_slurm_no_run_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SubmissionError, match="sbatch is not installed here; run this on a login node"):
        check_site(study(), cluster(), RunPaths(tmp_path / "toy"))


@pytest.mark.parametrize(
    ("said", "is_refused"),
    [
        ("sbatch: error: invalid partition specified: nowhere", True),
        ("sbatch: error: Unable to contact slurm controller (connect failure)", False),
    ],
)
def test_slurm_is_asked_before_there_is_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, is_refused: bool
) -> None:
    sbatch = tmp_path / "sbatch"
    sbatch.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    if not is_refused:
        check_site(study(), cluster(), RunPaths(tmp_path / "toy"))
        return
    with pytest.raises(SubmissionError, match="invalid partition specified: nowhere"):
        check_site(study(), cluster(), RunPaths(tmp_path / "toy"))
