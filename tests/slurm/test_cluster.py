"""The emulated cluster itself does what the tests of the launcher rely on."""

from __future__ import annotations

import pytest
from cluster import Cluster
from cluster_config import NODES
from cluster_processes import daemons_of, job_processes, kill


def test_four_idle_nodes_have_two_gpus_each(cluster: Cluster) -> None:
    shown = cluster.run("sinfo", "--noheader", "--Node", "--partition=main", "--format=%N %T %G")
    assert shown.splitlines() == [f"{node} idle gpu:2" for node in NODES]


def test_a_job_sees_its_gpus_and_has_them_booked(cluster: Cluster) -> None:
    job = cluster.submit("echo gpus=$CUDA_VISIBLE_DEVICES", "--gres=gpu:2", "--account=research")
    cluster.wait_for_state(job, "COMPLETED")
    assert cluster.output_of(job) == "gpus=0,1\n"
    booked = cluster.run("sacct", "-X", "-n", "-P", "-j", job, "-o", "Account,AllocTRES")
    assert booked.startswith("research|") and "gres/gpu=2" in booked


def test_two_jobs_share_a_node_but_no_gpu(cluster: Cluster) -> None:
    script = "echo $CUDA_VISIBLE_DEVICES; sleep 60"
    jobs = [cluster.submit(script, "--gres=gpu:1", "--nodelist=n2") for _ in range(2)]
    for job in jobs:
        cluster.wait_for_state(job, "RUNNING")
    third = cluster.submit(script, "--gres=gpu:1", "--nodelist=n2")
    assert {cluster.node_of(job) for job in jobs} == {"n2"}
    assert cluster.state_of(third) == "PENDING"


def test_a_killed_node_fails_its_job_within_a_minute(cluster: Cluster) -> None:
    job = cluster.submit("sleep 300", "--no-requeue")
    cluster.wait_for_state(job, "RUNNING")
    cluster.kill_node(cluster.node_of(job))
    assert cluster.wait_for_state(job, "NODE_FAIL", 60) == "NODE_FAIL"


def test_starting_twice_changes_nothing(cluster: Cluster) -> None:
    pids = [file.read_text() for file in sorted(cluster.folder.glob("*.pid"))]
    Cluster(cluster.folder, cluster.base_port).start()
    assert [file.read_text() for file in sorted(cluster.folder.glob("*.pid"))] == pids


@pytest.mark.parametrize("option", ["--partition=nowhere", "--account=nobody", "--gres=gpu:3", "--mem=9000"])
def test_what_no_node_offers_is_refused(cluster: Cluster, option: str) -> None:
    with pytest.raises(RuntimeError, match="Batch job submission failed"):
        cluster.submit("true", option)


def test_jobs_outlive_their_controller(cluster: Cluster) -> None:
    job = cluster.submit("sleep 300")
    cluster.wait_for_state(job, "RUNNING")
    cluster.restart_controller()
    assert cluster.queue_state_of(job) == "RUNNING"
    assert "Restarts=0" in cluster.run("scontrol", "show", "job", job)


def test_a_cluster_whose_daemons_were_killed_boots_again(cluster: Cluster) -> None:
    lost = cluster.submit("sleep 300", "--no-requeue")
    cluster.wait_for_state(lost, "RUNNING")
    kill(daemons_of(cluster.folder))
    assert not cluster.answers()
    cluster.start()
    assert not job_processes(cluster.folder)
    cluster.wait_for_state(cluster.submit("true"), "COMPLETED")


def test_squeue_knows_jobs_while_accounting_is_away(cluster: Cluster) -> None:
    cluster.stop_accounting()
    assert not cluster.accounting_answers()
    job = cluster.submit("sleep 300")
    assert cluster.wait_for_state(job, "RUNNING")
    cluster.start_accounting()
    assert cluster.accounting_answers()
