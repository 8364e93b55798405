"""What ends a trial, and what ends a study."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from driving import Driver, events, results, sweep, told, wait_until, workers, write_study

import sweep as api
from sweep.errors import BreakerError
from sweep.paths import RunPaths
from sweep.run import open_run

RUN = Path("runs/sleepy")


def test_a_study_runs_exactly_the_trials_asked_for(tmp_path):
    api.launch(write_study(tmp_path, trials=5), changes={"profile.slots": 3})
    assert told(RUN) == dict.fromkeys(range(5), 1)
    assert {result["state"] for result in results(RUN).values()} == {"completed"}


def test_slots_bound_the_trials_that_run_at_once(tmp_path):
    api.launch(write_study(tmp_path, trials=6, seconds=0.3), changes={"profile.slots": 2, "profile.standby": 2})
    spans = []
    for number, result in results(RUN).items():
        claim = json.loads((RUN / f"trials/{number:05d}/claim.1").read_text())
        spans.append((claim["claimed_at"], claim["claimed_at"] + result["wall_seconds"]))
    for start, _ in spans:
        assert sum(begin <= start < end for begin, end in spans) <= 2


def test_goal_speed_ends_a_trial_at_the_first_epoch_that_reaches_the_target(tmp_path):
    study = write_study(tmp_path, trials=1, goal="speed", epochs=50, seconds=0.05)
    api.launch(study, changes={"target": 0.01})
    assert (results(RUN)[0]["state"], results(RUN)[0]["epochs"]) == ("target", 1)


def test_a_trial_stops_itself_at_its_limit(tmp_path):
    api.launch(write_study(tmp_path, trials=1, limit="1s", seconds=30.0))
    assert results(RUN)[0]["state"] == "deadline"


def test_a_trial_that_does_not_stop_is_killed_and_told_as_a_failure(tmp_path, monkeypatch):
    monkeypatch.setattr("sweep.requests.JOB_OVERHEAD_SECONDS", 1.0)
    monkeypatch.setattr("sweep.collecting.JOB_OVERHEAD_SECONDS", 1.0)
    monkeypatch.setattr("sweep.launchers.local.KILL_SECONDS", 0.5)
    api.launch(write_study(tmp_path, trials=1, limit="1s", fault="overstay"))
    assert results(RUN)[0]["state"] == "timeout"
    assert results(RUN)[0]["attempt"] == 1, "a second attempt would take as long"


def test_an_exception_is_the_trials_outcome_with_its_last_line(tmp_path):
    api.launch(write_study(tmp_path, trials=1, fault="raise"))
    assert results(RUN)[0]["state"] == "failed"
    assert results(RUN)[0]["detail"] == "ValueError: this recipe cannot work"


def test_the_same_failure_again_and_again_trips_the_breaker(tmp_path):
    with pytest.raises(BreakerError, match="this recipe cannot work"):
        api.launch(write_study(tmp_path, trials=40, fault="raise"), changes={"profile.slots": 2})
    assert len(events(RUN, "submitted")) <= 8


def test_gpu_hours_are_never_exceeded_and_end_the_study(tmp_path):
    limits = "gpu_hours = 0.0065"  # 23.4 s: one whole request of 20 s, then what short trials leave
    api.launch(
        write_study(tmp_path, trials=100, limit="5s", limits=limits, seconds=1.0), changes={"profile.slots": 2}
    )
    run = open_run(RunPaths(RUN))
    assert 1 < len(run.trials) < 100
    assert run.ledger.spent_seconds <= 0.0065 * 3600
    assert run.ledger.committed_seconds == 0
    assert events(RUN, "ended")[0]["why"] == "the GPU-hours are spent"


def test_the_walltime_ends_the_study(tmp_path):
    study = write_study(tmp_path, trials=1000, limit="2s", limits='walltime = "18s"', seconds=0.5)
    began = time.monotonic()
    api.launch(study, changes={"profile.slots": 2})
    assert time.monotonic() - began < 18 + 5
    assert events(RUN, "ended")[0]["why"] == "the walltime is over"
    assert len(results(RUN)) > 1


def test_a_raised_limit_continues_the_study(tmp_path):
    run = api.launch(write_study(tmp_path, trials=2))
    api.resume(run, changes={"limits.trials": 4})
    assert told(RUN) == dict.fromkeys(range(4), 1)


def test_a_small_space_ends_the_study_when_it_is_used_up(tmp_path):
    study = tmp_path / "tiny.toml"
    study.write_text(
        'name = "sleepy"\ngoal = "accuracy"\ntarget = 0.9\ntrainer = "sleepers:sleep"\nsampler = "random"\n'
        '[limits]\ntrials = 10\ntrial = "30s"\n[space]\nx = { choices = [0.1, 0.2, 0.3] }\n'
    )
    api.launch(study)
    assert sorted(spec["recipe"]["x"] for spec in _specs()) == [0.1, 0.2, 0.3]
    assert "no new recipe" in events(RUN, "ended")[0]["why"]


def test_each_trial_trains_with_a_seed_of_its_own(tmp_path):
    api.launch(write_study(tmp_path, trials=3, top="seed = 5"))
    assert [spec["recipe"]["seed"] for spec in _specs()] == [5, 6, 7]


def test_stop_keeps_what_is_done_and_resume_does_the_rest(tmp_path):
    driver = Driver("launch", write_study(tmp_path, trials=4, seconds=0.2), "--set", "profile.slots=1")
    wait_until(lambda: len(results(RUN)) >= 1, "one trial is done")
    assert sweep("stop").returncode == 0
    driver.finish()
    assert driver.code == 0
    assert workers(RUN) == []
    done = len(results(RUN))
    assert sweep("resume").returncode == 0
    assert told(RUN) == dict.fromkeys(range(4), 1)
    assert done < 4 or len(events(RUN, "retry")) == 0


def test_stop_without_a_driver_cancels_the_workers_that_live(tmp_path):
    driver = Driver("launch", write_study(tmp_path, trials=2, seconds=20.0), "--set", "profile.slots=2")
    wait_until(lambda: len(workers(RUN)) == 2, "both trials run")
    driver.send(signal.SIGKILL)
    assert sweep("stop").returncode == 0
    assert workers(RUN) == []
    assert results(RUN) == {}, "a cancelled trial is not decided: the next resume runs it"
    assert sweep("status").returncode == 0


def _specs():
    return [json.loads(path.read_text()) for path in sorted(RUN.glob("trials/*/trial.json"))]
