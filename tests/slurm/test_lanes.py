"""Several trials in a job, on a real Slurm: lanes that draw from a bundle, fed while they run."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from cluster import Cluster
from driving import Driver, events, results, told, wait_until, write_study
from slurm_studies import RUN, ends, finish, job_ids, launch, states

WARM = {"lanes_per_job": 2, "trials_per_lane": 8, "max_jobs": 1}


def claims() -> dict[int, dict[str, object]]:
    """The first claim of each trial."""
    found = {int(path.parent.name): path for path in RUN.glob("trials/*/claim.1")}
    return {number: json.loads(path.read_text()) for number, path in sorted(found.items())}


def test_two_warm_lanes_do_all_trials_of_a_study_in_one_job(tmp_path: Path, cluster: Cluster) -> None:
    finish(launch(write_study(tmp_path, trials=10, seconds=0.5), **WARM))
    assert states() == dict.fromkeys(range(10), ("completed", 1))
    assert len(job_ids()) == 1
    assert len({claim["pid"] for claim in claims().values()}) == 2, "a process for each lane, and no more"
    assert {claim["lane"] for claim in claims().values()} == {0, 1}
    (job,) = job_ids().values()
    booked = cluster.run("sacct", "-X", "-n", "-P", "-o", "ElapsedRaw,AllocTRES", "-j", job)
    seconds, tres = booked.split("|")
    assert "gres/gpu=2" in tres
    assert events(RUN, "job_ended")[0]["gpu_seconds"] == 2 * int(seconds)


def test_the_trials_that_a_lost_job_had_finished_count_and_the_others_are_tried_again(
    tmp_path: Path, cluster: Cluster
) -> None:
    driver = launch(write_study(tmp_path, trials=8, seconds=2.0), **WARM)
    wait_until(lambda: len(results(RUN)) >= 2, "two trials are done")
    (job,) = job_ids().values()
    done = set(results(RUN))
    cluster.kill_node(cluster.node_of(job))
    finish(driver)
    assert {state for state, _ in states().values()} == {"completed"}
    assert {states()[number] for number in done} == {("completed", 1)}
    assert ends()[0] == "node_failure"
    assert {attempt for _, attempt in states().values()} == {1, 2}


def test_a_lane_after_an_error_goes_on_in_a_new_process(tmp_path: Path) -> None:
    study = write_study(tmp_path, trials=4, fault="raise")
    finish(launch(study, lanes_per_job=1, trials_per_lane=8, max_jobs=1), code=1)
    assert {state for state, _ in states().values()} == {"failed"}
    assert len(job_ids()) == 1
    assert len({claim["monotonic"] for claim in claims().values()}) == 4


def test_a_driver_that_dies_leaves_lanes_that_go_on_and_finds_them_again(tmp_path: Path) -> None:
    driver = launch(write_study(tmp_path, trials=10, seconds=2.0), **WARM)
    wait_until(lambda: len(results(RUN)) >= 1, "a trial is done")
    driver.send(signal.SIGKILL)
    finish(Driver("resume", "sleepy"))
    assert states() == dict.fromkeys(range(10), ("completed", 1))
    assert len(job_ids()) == 1
    assert len(events(RUN, "adopted")) == 1


def test_lanes_that_share_a_gpu_are_charged_for_it_once(tmp_path: Path, cluster: Cluster) -> None:
    study = write_study(tmp_path, trials=4, seconds=1.0)
    finish(launch(study, lanes_per_job=2, lanes_per_gpu=2, max_jobs=2))
    assert states() == dict.fromkeys(range(4), ("completed", 1))
    booked = cluster.run("sacct", "-X", "-n", "-P", "-o", "AllocTRES", "-j", ",".join(job_ids().values()))
    assert all("gres/gpu=1" in line for line in booked.splitlines())


def test_a_worker_that_is_killed_leaves_the_other_lane_alone(tmp_path: Path) -> None:
    driver = launch(write_study(tmp_path, trials=4, seconds=3.0), **WARM)
    wait_until(lambda: len(claims()) >= 2, "both lanes run")
    os.kill(int(str(claims()[0]["pid"])), signal.SIGKILL)
    finish(driver)
    assert {state for state, _ in states().values()} == {"completed"}
    assert states()[0] == ("completed", 2)
    assert told(RUN)[0] == 1


def test_a_driver_job_that_is_killed_is_succeeded(tmp_path: Path, cluster: Cluster) -> None:
    launched = Driver("launch", write_study(tmp_path, trials=12, seconds=3.0), "--profile", "testbed", "--detach")
    text = launched.finish(60)
    assert launched.code == 0
    assert "Driven by Slurm job" in text
    wait_until(lambda: len(json.loads((RUN / "driver_jobs.json").read_text())["ids"]) == 2, "a successor waits")
    wait_until(lambda: bool(results(RUN)), "a trial is done")
    first, second = json.loads((RUN / "driver_jobs.json").read_text())["ids"]
    cluster.run("scancel", "--full", "--signal=KILL", first)
    wait_until(lambda: len(results(RUN)) == 12, "the successor drives the study to its end", 120)
    wait_until(lambda: cluster.run("squeue", "--noheader") == "", "no driver job is left", 60)
    assert set(told(RUN).values()) == {1}
    assert {state for state, _ in states().values()} == {"completed"}
    attempts = sorted(attempt for _, attempt in states().values())
    assert attempts in ([1] * 12, [1] * 11 + [2]), "only a job under submission when its driver died is sent again"
    assert cluster.wait_for_state(second, "COMPLETED") == "COMPLETED", "accounting may lag behind the queue"


def test_stop_ends_a_study_that_a_job_drives(tmp_path: Path, cluster: Cluster) -> None:
    Driver("launch", write_study(tmp_path, trials=50, seconds=2.0), "--profile", "testbed", "--detach").finish(60)
    wait_until(lambda: bool(results(RUN)), "a trial is done")
    stop = Driver("stop", "sleepy")
    assert "Stopped sleepy" in stop.finish(150)
    wait_until(lambda: cluster.run("squeue", "--noheader") == "", "no job is left", 60)


def test_a_budget_holds_for_lanes_by_slurms_own_count(tmp_path: Path, cluster: Cluster) -> None:
    study = write_study(tmp_path, trials=100, limit="20s", limits="gpu_hours = 0.05", seconds=3.0)
    text = finish(launch(study, lanes_per_job=2, trials_per_lane=3, max_jobs=2))
    assert "the GPU-hours are spent" in text
    booked = cluster.run(
        "sacct", "-X", "-n", "-P", "-o", "ElapsedRaw,AllocTRES", "-j", ",".join(job_ids().values())
    )
    rows = [line.split("|") for line in booked.splitlines()]
    charged = sum(int(seconds) * (2 if "gres/gpu=2" in tres else 1) for seconds, tres in rows)
    assert charged <= 0.05 * 3600
    assert charged == sum(event["gpu_seconds"] for event in events(RUN, "job_ended"))
    assert len(states()) >= 4
