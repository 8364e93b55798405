"""The built-in profiles' scripts on a real Slurm: accepted, and with the environment that they promise."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster
from cluster_config import ACCOUNT
from driving import events, results, sweep, write_study

from sweep.launchers import job_script
from sweep.paths import RunPaths
from sweep.toml_files import load_profile

# What the emulated cluster cannot know of the sites: it has one account, and nodes with two GPUs of no type,
# 8 cores, 4 GB, no features and no cores set aside.
ADAPTED: dict[str, dict[str, Any]] = {
    "testbed": {},
    "generic_gpu": {"slurm.account": ACCOUNT, "slurm.partition": "main", "slurm.mem_gb": 2},
    "alliance": {"slurm.account": ACCOUNT, "slurm.gpu_type": "", "slurm.mem_gb": 2},
    "oci": {},
    "frontier": {
        "slurm.account": ACCOUNT,
        "slurm.partition": "main",
        "slurm.constraint": "",
        "slurm.sbatch_options": {"export": "NONE"},
        "slurm.lanes_per_job": 2,
        "slurm.gpus_charged": 2,
        "threads": 4,
    },
}


@pytest.mark.parametrize("name", ADAPTED)
def test_sbatch_would_take_the_script(cluster: Cluster, tmp_path: Path, name: str) -> None:
    profile = load_profile(name, ADAPTED[name])
    script = tmp_path / "job.sh"
    script.write_text(job_script(profile, RunPaths(tmp_path), "study", profile.granted_seconds(3615.0)))
    cluster.run("sbatch", "--test-only", str(script))


@pytest.mark.parametrize("name", sorted(ADAPTED.keys() - {"testbed", "oci"}))
def test_sbatch_refuses_a_profile_whose_account_was_not_changed(
    cluster: Cluster, tmp_path: Path, name: str
) -> None:
    changes = {key: value for key, value in ADAPTED[name].items() if key != "slurm.account"}
    profile = load_profile(name, changes)
    script = tmp_path / "job.sh"
    script.write_text(job_script(profile, RunPaths(tmp_path), "study", 3600.0))
    with pytest.raises(RuntimeError, match="Invalid account"):
        cluster.run("sbatch", "--test-only", str(script))


def launch(study: Path, changes: dict[str, Any], profile: str = "testbed", code: int = 0) -> None:
    """Drive the study to its end on the emulated cluster, with keys of the profile changed."""
    sets = [f"--set=profile.{key}={json.dumps(value)}" for key, value in changes.items()]
    done = sweep("launch", study, "--profile", profile, *sets)
    assert done.returncode == code, done.stderr + done.stdout


def environments(run: Path) -> list[dict[str, str]]:
    """What the trials' trainers had in their environment."""
    return [json.loads(path.read_text()) for path in sorted(run.glob("trials/*/environment.json"))]


def test_a_setup_line_that_fails_is_named_in_the_trial(cluster: Cluster, tmp_path: Path) -> None:
    launch(write_study(tmp_path, trials=1), {"slurm.setup": ["true", "ls /no/such/module"]}, code=1)
    run = tmp_path / "runs/sleepy"
    assert {number: (result["state"], result["detail"]) for number, result in results(run).items()} == {
        0: ("setup_failed", "a setup line of the profile failed: ls /no/such/module")
    }
    assert {path.read_text() for path in run.glob("jobs/*/setup_failed")} == {"ls /no/such/module"}
    assert len(events(run, "submitted")) == 3  # two retries


def test_with_export_none_workers_get_what_the_script_exports_and_nothing_of_the_login_shell(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_LOGIN_SHELL", "1")
    changes = {
        "slurm.sbatch_options.export": "NONE",
        "slurm.srun_options": ["--export=ALL"],
        "slurm.setup": ['export OF_SETUP="job $SLURM_JOB_ID"'],
    }
    launch(write_study(tmp_path, trials=1, tells_environment=True), changes)
    [found] = environments(tmp_path / "runs/sleepy")
    assert os.environ["PYTHONPATH"].strip(os.pathsep) in found["PYTHONPATH"]
    assert found["OMP_NUM_THREADS"] == "1"
    assert found["OF_SETUP"] == f"job {found['SLURM_JOB_ID']}"
    assert "OF_THE_LOGIN_SHELL" not in found


@pytest.mark.parametrize("gpu_option", ["gpus-per-node", "gres", "gpus-per-task"])
def test_each_of_two_lanes_sees_a_gpu_of_its_own(cluster: Cluster, tmp_path: Path, gpu_option: str) -> None:
    study = write_study(tmp_path, trials=2, tells_environment=True, seconds=2)
    launch(study, {"slurm.lanes_per_job": 2, "slurm.gpu_option": gpu_option})
    run = tmp_path / "runs/sleepy"
    found = environments(run)
    assert len(events(run, "submitted")) == 1
    assert {variables["SLURM_PROCID"] for variables in found} == {"0", "1"}
    seen = [variables["CUDA_VISIBLE_DEVICES"] for variables in found]
    assert len(seen) == 2 and all("," not in gpus for gpus in seen)
    if gpu_option != "gpus-per-task":  # there Slurm may call each task's GPU the first
        assert set(seen) == {"0", "1"}


def test_a_study_runs_with_the_profile_of_frontier(cluster: Cluster, tmp_path: Path) -> None:
    """Beside what the cluster cannot know: its nodes are shared, so GPUs are asked for; it has no modules."""
    changes = ADAPTED["frontier"] | {
        "slurm.sbatch_options.export": "NONE",
        "slurm.gpu_option": "gres",
        "slurm.setup": ['export WORK_OF="$WORK $USER"'],
        "slurm.python": sys.executable,
        "slurm.max_jobs": 1,
        "slurm.query_seconds": 1,
        "slurm.visibility_seconds": 0,
    }
    del changes["slurm.sbatch_options"]
    changes["slurm.sbatch_options.core-spec"] = False
    launch(write_study(tmp_path, trials=4, tells_environment=True), changes, "frontier")
    run = tmp_path / "runs/sleepy"
    assert {result["state"] for result in results(run).values()} == {"completed"}
    found = environments(run)
    assert {variables["SLURM_JOB_ID"] for variables in found} == {found[0]["SLURM_JOB_ID"]}  # fed with all four
    assert {variables["OMP_NUM_THREADS"] for variables in found} == {"4"}
    assert {variables["WORK_OF"].split()[0] for variables in found} == {load_profile("frontier").env["WORK"]}
    assert all("," not in variables["CUDA_VISIBLE_DEVICES"] for variables in found)


def test_python_runs_behind_the_command_of_a_container(cluster: Cluster, tmp_path: Path) -> None:
    """`env A=1 python` stands for `apptainer exec image python`."""
    changes = {"slurm.container_command": "env", "slurm.container": "IMAGE=some image"}
    study = write_study(tmp_path, trials=1, tells_environment=True)
    launch(study, changes | {"slurm.python": sys.executable})
    assert [found["IMAGE"] for found in environments(tmp_path / "runs/sleepy")] == ["some image"]
