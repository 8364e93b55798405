"""sweep doctor on a real Slurm: what is well, and what is named with its remedy."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster
from driving import Driver, sweep, wait_until

Findings = dict[str, dict[str, str]]
IN_TIME = "profile.slurm.query_seconds=0.2"


def doctor(*arguments: str, code: int = 1) -> Findings:
    """The findings by check; nothing may be left in the runs folder."""
    done = sweep("doctor", "--profile", "testbed", "--json", "--set", IN_TIME, *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["healthy"] == (code == 0)
    assert list(Path("runs").iterdir()) == []
    assert all(finding["advice"] for finding in told["findings"] if finding["verdict"] != "ok")
    return {finding["check"]: finding for finding in told["findings"]}


def bad(findings: Findings) -> list[str]:
    return [check for check, finding in findings.items() if finding["verdict"] != "ok"]


def test_of_a_good_profile_only_the_emulated_gpu_is_amiss(cluster: Cluster) -> None:
    findings = doctor("--study", "quickstart")
    assert bad(findings) == ["GPU"]
    assert "CUDA_VISIBLE_DEVICES=" in findings["GPU"]["found"]
    assert "torch is built for" in findings["GPU"]["advice"]
    assert "Slurmctld" in findings["controller"]["found"]
    assert "4 of 4 nodes" in findings["partition"]["found"]
    assert "each of 20 claims was won once" in findings["files"]["found"]
    assert {"start", "python", "visibility", "clock", "cores", "torch", "data", "data on the node"} <= set(
        findings
    )
    assert cluster.run("squeue", "--noheader") == ""


def test_every_lane_of_a_job_reports(cluster: Cluster) -> None:
    findings = doctor("--set", "profile.slurm.lanes_per_job=2", "--set", "profile.slurm.gpu_option=none", code=0)
    assert "2 processors" in findings["request"]["found"]
    assert "report" not in findings


def test_without_a_job_nothing_is_submitted(cluster: Cluster) -> None:
    findings = doctor("--no-job", code=0)
    assert list(findings)[-1] == "accounting"
    assert "start" not in findings


@pytest.mark.parametrize(
    ("key", "check", "advice"),
    [
        ("slurm.partition=nowhere", "partition", "one of main, short"),
        ("slurm.account=nobody", "request", "profile.slurm.account"),
        ("slurm.constraint=fast", "request", "profile.slurm.constraint"),
        ("slurm.mem_gb=9", "request", "mem_gb"),
        ("slurm.gpu_type=a100", "request", "1 GPU(s) of type a100"),
        ("slurm.sbatch_options.reservation=mine", "request", "reservation"),
    ],
)
def test_what_the_site_refuses_names_the_key(cluster: Cluster, key: str, check: str, advice: str) -> None:
    findings = doctor("--set", f"profile.{key}")
    assert findings[check]["verdict"] == "FAILED"
    assert advice in findings[check]["advice"]
    assert "start" not in findings, "a refused job is not submitted"


def test_a_limit_above_the_partition_s_is_found_before_a_job_waits_for_ever(cluster: Cluster) -> None:
    findings = doctor("--no-job", "--set", "profile.slurm.partition=short", "--set", "profile.time_limit=10min")
    assert bad(findings) == ["time limit"]
    assert 'profile.time_limit = "5min"' in findings["time limit"]["advice"]


def test_a_setup_line_that_fails_is_named(cluster: Cluster) -> None:
    findings = doctor("--set", 'profile.slurm.setup=["true", "module load nothing"]')
    assert bad(findings) == ["setup"]
    assert "this line failed: module load nothing" in findings["setup"]["found"]
    assert "command not found" in findings["setup"]["found"]


def test_a_python_without_sweep_is_named(cluster: Cluster) -> None:
    findings = doctor("--set", 'profile.slurm.python="/opt/nowhere/python3"')
    assert bad(findings) == ["python"]
    assert "/opt/nowhere/python3" in findings["python"]["found"]


def test_a_process_that_dies_in_torch_is_told_by_its_log(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("import os\nos.abort()\n")
    findings = doctor("--set", f"profile.env.PYTHONPATH={tmp_path}:{os.environ['PYTHONPATH']}")
    assert bad(findings) == ["report"]
    assert "Aborted" in findings["report"]["found"]


def test_a_partition_that_is_down_is_told(cluster: Cluster) -> None:
    cluster.run("scontrol", "update", "PartitionName=high", "State=DOWN")
    try:
        findings = doctor("--set", "profile.slurm.partition=high")
    finally:
        cluster.run("scontrol", "update", "PartitionName=high", "State=UP")
    assert findings["partition"]["verdict"] == "FAILED"
    assert "high is DOWN" in findings["partition"]["found"]
    assert not {"request", "start"} & set(findings), "which would be refused for the same reason"


def test_accounting_that_is_away_is_a_warning(cluster: Cluster) -> None:
    cluster.stop_accounting()
    findings = doctor("--no-job", code=0)
    assert bad(findings) == ["accounting"]
    assert "squeue" in findings["accounting"]["advice"]


def test_a_controller_that_is_away_ends_the_visit(cluster: Cluster) -> None:
    cluster.kill_controller()
    findings = doctor()
    assert list(findings) == ["runs folder", "commands", "controller"]


def fill(cluster: Cluster) -> None:
    jobs = [cluster.submit("sleep 600", "--exclusive") for _ in range(4)]
    for job in jobs:
        cluster.wait_for_state(job, "RUNNING")


def test_a_job_that_cannot_start_in_time_is_cancelled_with_its_reason(cluster: Cluster) -> None:
    fill(cluster)
    findings = doctor("--wait", "4s")
    assert bad(findings) == ["start"]
    assert "Resources" in findings["start"]["found"] or "Priority" in findings["start"]["found"]
    assert "--wait" in findings["start"]["advice"]
    assert "doctor" not in cluster.run("squeue", "--noheader", "--format=%j")


def test_ctrl_c_cancels_the_job_and_clears_up(cluster: Cluster) -> None:
    fill(cluster)
    visit = Driver("doctor", "--profile", "testbed")
    wait_until(lambda: "doctor" in cluster.run("squeue", "--noheader", "--format=%j"), "the job is in the queue")
    visit.send(signal.SIGINT)
    assert "nothing is left behind" in visit.finish()
    assert visit.code == 1
    assert "doctor" not in cluster.run("squeue", "--noheader", "--format=%j")
    assert list(Path("runs").iterdir()) == []
