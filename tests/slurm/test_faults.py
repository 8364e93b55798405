"""What goes wrong on a cluster, each fault done to a real Slurm: the trial's state, and what became of it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from cluster import Cluster
from driving import Driver, events, results, wait_until, write_study
from slurm_studies import RUN, ends, finish, job_ids, job_of, launch, resume, states


def test_a_study_runs_one_trial_per_job(tmp_path: Path, cluster: Cluster) -> None:
    finish(launch(write_study(tmp_path, trials=6, seconds=0.5)))
    assert states() == dict.fromkeys(range(6), ("completed", 1))
    booked = cluster.run(
        "sacct", "-X", "-n", "-P", "-o", "JobName,State,ElapsedRaw,AllocTRES", "-j", ",".join(job_ids().values())
    )
    rows = [line.split("|") for line in booked.splitlines()]
    assert {row[1] for row in rows} == {"COMPLETED"}
    assert all("gres/gpu=1" in row[3] for row in rows)
    spent = sum(event["gpu_seconds"] for event in events(RUN, "job_ended"))
    assert spent == sum(int(row[2]) for row in rows), "the ledger books what the accounting does"


def test_a_worker_that_is_killed_is_tried_again_from_its_checkpoint(tmp_path: Path) -> None:
    study = write_study(tmp_path, trials=1, seconds=0.5, epochs=8)
    study.write_text(study.read_text().replace("sleepers:sleep", "sleepers:count"))
    driver = launch(study)
    progress = RUN / "trials/00000/progress.jsonl"
    wait_until(lambda: progress.exists() and len(progress.read_text().splitlines()) >= 2, "two epochs are done")
    os.kill(json.loads((RUN / "trials/00000/claim.1").read_text())["pid"], signal.SIGKILL)
    finish(driver)
    assert states() == {0: ("completed", 2)}
    epochs = [json.loads(line).get("epoch") for line in progress.read_text().splitlines()]
    assert epochs == [1, 2, 3, 4, 5, 6, 7, 8], "none was trained twice"


def test_the_trials_of_a_node_that_fails_are_tried_again(tmp_path: Path, cluster: Cluster) -> None:
    driver = launch(write_study(tmp_path, trials=4, seconds=3.0))
    cluster.kill_node(cluster.node_of(job_of(0)))
    finish(driver)
    assert states()[0] == ("completed", 2)
    assert {state for state, _ in states().values()} == {"completed"}
    assert "node_failure" in ends()


def test_a_job_that_somebody_cancels_is_not_tried_again(tmp_path: Path, cluster: Cluster) -> None:
    driver = launch(write_study(tmp_path, trials=3, seconds=4.0))
    cluster.cancel(job_of(1))
    finish(driver)
    assert states() == {0: ("completed", 1), 1: ("cancelled", 1), 2: ("completed", 1)}


def test_a_job_that_is_cancelled_in_the_queue_is_not_submitted_again(tmp_path: Path, cluster: Cluster) -> None:
    driver = launch(write_study(tmp_path, trials=2, seconds=2.0), **{"sbatch_options.hold": True})
    wait_until(lambda: len(job_ids()) == 2, "both jobs are in the queue")
    first, second = (job_ids()[f"sleepy-0000{number}-1"] for number in (0, 1))
    cluster.cancel(first)
    cluster.release(second)
    finish(driver)
    assert states() == {0: ("cancelled", 1), 1: ("completed", 1)}


def test_a_job_on_hold_is_waited_for(tmp_path: Path, cluster: Cluster) -> None:
    driver = launch(write_study(tmp_path, trials=1, seconds=0.5), **{"sbatch_options.hold": True})
    wait_until(lambda: bool(job_ids()), "the job is in the queue")
    (job,) = job_ids().values()
    cluster.wait_for_state(job, "PENDING")
    cluster.release(job)
    finish(driver)
    assert states() == {0: ("completed", 1)}


def test_a_suspended_job_is_waited_for(tmp_path: Path, cluster: Cluster) -> None:
    driver = launch(write_study(tmp_path, trials=1, seconds=2.0))
    job = job_of(0)
    cluster.suspend(job)
    cluster.wait_for_state(job, "SUSPENDED")
    cluster.resume(job)
    finish(driver)
    assert states() == {0: ("completed", 1)}


def test_a_preempted_trial_leaves_with_a_checkpoint_and_is_tried_again(tmp_path: Path, cluster: Cluster) -> None:
    study = write_study(tmp_path, trials=1, seconds=0.5, epochs=12)
    study.write_text(study.read_text().replace("sleepers:sleep", "sleepers:count"))
    driver = launch(study, partition="low")
    node = cluster.node_of(job_of(0))
    wait_until((RUN / "trials/00000/checkpoint.pt").exists, "an epoch is done")
    rival = cluster.submit("sleep 5", "--partition=high", f"--nodelist={node}", "--exclusive", "--time=1")
    finish(driver)
    assert states() == {0: ("completed", 2)}
    assert ends() == ["preempted", "exited"]
    assert any(
        "left_after_seconds" in line for line in (RUN / "trials/00000/progress.jsonl").read_text().splitlines()
    )
    cluster.wait_for_state(rival, "COMPLETED")


def test_a_job_that_the_site_requeues_goes_on_as_the_same_attempt(tmp_path: Path, cluster: Cluster) -> None:
    study = write_study(tmp_path, trials=1, seconds=0.5, epochs=10)
    study.write_text(study.read_text().replace("sleepers:sleep", "sleepers:count"))
    driver = launch(study, requeue=True)
    job = job_of(0)
    wait_until((RUN / "trials/00000/checkpoint.pt").exists, "an epoch is done")
    cluster.requeue(job)
    cluster.wait_for_state(job, "PENDING")
    cluster.release(job)  # requeued jobs wait for a while
    finish(driver)
    assert states() == {0: ("completed", 1)}
    assert (RUN / "trials/00000/claim.1.1").exists()
    assert len(events(RUN, "submitted")) == 1


def test_a_worker_that_heeds_nothing_is_killed_at_its_limit(tmp_path: Path) -> None:
    finish(launch(write_study(tmp_path, trials=1, limit="20s", fault="overstay")), code=1)
    assert states() == {0: ("timeout", 1)}
    assert ends() == ["timeout"]


def test_a_job_that_exceeds_its_memory_gets_more_once(tmp_path: Path) -> None:
    study = write_study(tmp_path, trials=1, seconds=30.0, mb=900)
    study.write_text(study.read_text().replace("sleepers:sleep", "sleepers:hoard"))
    finish(launch(study, mem_gb=0.4), code=1)
    assert states() == {0: ("host_out_of_memory", 2)}
    bundles = [json.loads(path.read_text()) for path in sorted(RUN.glob("jobs/*/bundle.json"))]
    assert [bundle["mem_gb"] for bundle in bundles] == [0.4, pytest.approx(0.6)]


def test_without_accounting_the_controller_is_asked(tmp_path: Path, cluster: Cluster) -> None:
    cluster.stop_accounting()
    finish(launch(write_study(tmp_path, trials=3, seconds=0.5)))
    assert {state for state, _ in states().values()} == {"completed"}
    assert any("squeue is asked instead" in event["text"] for event in events(RUN, "notice"))


def test_a_submission_without_an_answer_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: Cluster
) -> None:
    real = cluster.run("which", "sbatch")
    wrapper = tmp_path / "bin/sbatch"
    wrapper.parent.mkdir()
    error = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"
    wrapper.write_text(f"#!/bin/sh\n{real} \"$@\" > /dev/null\necho '{error}' >&2\nexit 1\n")
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    finish(launch(write_study(tmp_path, trials=3, seconds=0.5)))
    assert states() == dict.fromkeys(range(3), ("completed", 1))
    assert len(events(RUN, "submitted")) == 3


def test_a_restart_of_the_controller_goes_unnoticed(tmp_path: Path, cluster: Cluster) -> None:
    driver = launch(write_study(tmp_path, trials=3, seconds=4.0))
    job_of(0)
    cluster.restart_controller()
    finish(driver)
    assert states() == dict.fromkeys(range(3), ("completed", 1))


def test_a_driver_that_is_killed_finds_its_jobs_again(tmp_path: Path) -> None:
    driver = launch(write_study(tmp_path, trials=6, seconds=8.0))
    job_of(1)
    driver.send(signal.SIGKILL)
    finish(resume())
    assert states() == dict.fromkeys(range(6), ("completed", 1))
    assert len(events(RUN, "submitted")) == 6
    assert events(RUN, "adopted")


def test_a_setup_line_that_fails_stops_the_study_before_it_costs_trials(tmp_path: Path) -> None:
    driver = launch(write_study(tmp_path, trials=20), setup=["true", "module_that_is_not_there load rocm"])
    text = driver.finish(90)
    assert driver.code == 1
    assert "module_that_is_not_there load rocm" in text
    assert results(RUN) == {}
    assert len(events(RUN, "submitted")) < 10 + 5, (
        "ten may be in flight, and four may follow before the fifth has failed"
    )
    finish(resume("--set=profile.slurm.setup=[]", "--set=limits.trials=8"))
    assert {state for state, _ in states().values()} == {"completed"}


@pytest.mark.parametrize(("key", "value"), [("partition", "nowhere"), ("account", "nobody")])
def test_a_job_that_the_site_would_refuse_is_told_before_there_is_a_run(
    tmp_path: Path, key: str, value: str
) -> None:
    driver = launch(write_study(tmp_path, trials=2, seconds=0.5), **{key: value})
    text = driver.finish(60)
    assert driver.code == 1
    assert "Slurm would refuse the study's jobs" in text
    assert key in text.lower()
    assert not RUN.exists()


def test_a_job_that_the_site_refuses_ends_the_drive_with_its_reason(tmp_path: Path) -> None:
    finish(launch(write_study(tmp_path, trials=1, seconds=0.5)))
    driver = resume("--set=limits.trials=3", "--set=profile.slurm.partition=nowhere")
    text = driver.finish(60)
    assert driver.code == 1
    assert "sbatch refused job" in text
    assert "partition" in text
    finish(resume("--set=profile.slurm.partition=main"))
    assert {number: state for number, (state, _) in states().items()} == dict.fromkeys(range(3), "completed")


def test_stop_cancels_the_jobs_and_resume_goes_on_from_their_checkpoints(tmp_path: Path, cluster: Cluster) -> None:
    study = write_study(tmp_path, trials=2, seconds=0.5, epochs=16)
    study.write_text(study.read_text().replace("sleepers:sleep", "sleepers:count"))
    driver = launch(study)
    wait_until((RUN / "trials/00001/checkpoint.pt").exists, "an epoch is done")
    stop = Driver("stop", "sleepy")
    stop.finish(100)
    driver.finish(30)
    assert cluster.run("squeue", "--noheader") == ""
    finish(resume())
    assert states() == {0: ("completed", 2), 1: ("completed", 2)}


def test_an_error_of_the_code_is_told_with_its_traceback(tmp_path: Path) -> None:
    driver = launch(write_study(tmp_path, trials=1, fault="raise"))
    assert "Every trial failed" in finish(driver, code=1)
    result = results(RUN)[0]
    assert result["state"] == "failed"
    assert "this recipe cannot work" in result["detail"]
    assert 'raise ValueError("this recipe cannot work")' in result["traceback"]
