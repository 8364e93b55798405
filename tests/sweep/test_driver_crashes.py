"""Drivers and workers die at any moment; the resumed study ends with exactly the trials asked for."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import optuna
import pytest
from driving import Driver, events, results, sweep, told, wait_until, workers, write_study
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from sweep.board import Board
from sweep.driver import Driver as StudyDriver
from sweep.events import EventLog
from sweep.packing import ALONE
from sweep.records import JobState
from sweep.run import create_run, read_files
from sweep.search import Search

RUN = Path("runs/sleepy")


def all_told_once(trials: int) -> bool:
    """A driver that dies while it asks leaves a number without a trial, so numbers may have gaps."""
    return told(RUN) == dict.fromkeys(results(RUN), 1) and len(results(RUN)) == trials


@pytest.mark.parametrize("kills", [1, 3])
def test_a_killed_driver_is_resumed_without_losing_or_repeating_a_trial(tmp_path, kills):
    marker = tmp_path / "calls"
    marker.mkdir()
    study = write_study(tmp_path, trials=8, seconds=0.4, marker=str(marker))
    driver = Driver("launch", study, "--set", "profile.slots=3")
    for kill in range(kills):
        wait_until(lambda seen=kill: len(told(RUN)) > seen and workers(RUN), "trials run and one more is done")
        driver.send(signal.SIGKILL)
        driver = Driver("resume", "sleepy")
    output = driver.finish()
    assert driver.code == 0, output
    assert all_told_once(8)
    assert len(list(marker.iterdir())) == 8, "each recipe was trained by one process, once"


def test_a_live_worker_is_adopted_not_repeated(tmp_path):
    study = write_study(tmp_path, trials=2, seconds=3.0)
    driver = Driver("launch", study, "--set", "profile.slots=2")
    wait_until(lambda: len(workers(RUN)) == 2, "both trials run")
    before = set(workers(RUN))
    driver.send(signal.SIGKILL)
    assert set(workers(RUN)) == before, "workers outlive their driver"
    assert sweep("resume").returncode == 0
    assert {job for event in events(RUN, "adopted") for job in event["trials"]} == {0, 1}
    assert all_told_once(2)
    assert [result["attempt"] for result in results(RUN).values()] == [1, 1]


def test_results_that_came_in_while_no_driver_was_there_are_collected(tmp_path):
    study = write_study(tmp_path, trials=2, seconds=0.5)
    driver = Driver("launch", study, "--set", "profile.slots=2")
    wait_until(lambda: len(workers(RUN)) == 2, "both trials run")
    driver.send(signal.SIGKILL)
    wait_until(lambda: len(results(RUN)) == 2, "both trials are done")
    assert sweep("resume").returncode == 0
    assert all_told_once(2)


def test_a_killed_worker_is_retried_and_its_trial_told_once(tmp_path):
    study = write_study(tmp_path, trials=2, seconds=1.0)
    driver = Driver("launch", study, "--set", "profile.slots=2")
    wait_until(lambda: len(workers(RUN)) == 2, "both trials run")
    os.kill(workers(RUN)[0], signal.SIGKILL)
    driver.finish()
    assert driver.code == 0
    assert all_told_once(2)
    assert sorted(result["attempt"] for result in results(RUN).values()) == [1, 2]
    assert len(events(RUN, "retry")) == 1


def test_a_worker_killed_while_no_driver_was_there_is_retried(tmp_path):
    study = write_study(tmp_path, trials=1, seconds=2.0)
    driver = Driver("launch", study)
    wait_until(lambda: workers(RUN), "the trial runs")
    driver.send(signal.SIGKILL)
    os.kill(workers(RUN)[0], signal.SIGKILL)
    assert sweep("resume").returncode == 0
    assert results(RUN)[0]["attempt"] == 2
    assert all_told_once(1)


def test_a_trial_whose_process_always_dies_is_lost_after_its_retries(tmp_path):
    study = write_study(tmp_path, trials=1, top="retries = 1", fault="die")
    done = sweep("launch", study)
    assert (done.returncode, "Every trial failed; `sweep logs 0" in done.stdout) == (1, True)
    assert (results(RUN)[0]["state"], results(RUN)[0]["attempt"]) == ("lost", 2)


class DiesBeforeLaunching:
    """A launcher whose driver dies after the intent was written and before any process started."""

    slots = capacity = 1
    is_bound_to_host = may_submit = True
    packing, retries, visibility_seconds = ALONE, {}, 0.0

    def earlier_seconds(self, bundle):
        return 0.0

    def granted_seconds(self, wanted_seconds):
        return wanted_seconds

    grantable_seconds = granted_seconds

    def poll(self, bundles):
        return dict.fromkeys(bundles, JobState.EXITED)

    def submit(self, bundle):
        raise KeyboardInterrupt

    def cancel(self, bundles):
        raise AssertionError("nothing runs")


def test_an_intent_whose_process_never_started_is_retried(tmp_path):
    spec, profile = read_files(str(write_study(tmp_path, trials=1)), "local", {})
    paths = create_run(spec, profile, Path("runs").absolute())
    search = Search(spec, paths.journal, paths.run_id.read_text())
    driver = StudyDriver(Board(paths, spec, search, DiesBeforeLaunching(), EventLog(paths.events)))
    with pytest.raises(KeyboardInterrupt):
        driver.run(0.01, lambda driver: None)
    assert sweep("resume").returncode == 0
    assert results(RUN)[0]["attempt"] == 2
    assert all_told_once(1)


def test_a_second_driver_is_refused_with_the_name_host_and_pid_of_the_first(tmp_path):
    study = write_study(tmp_path, trials=1, seconds=3.0)
    driver = Driver("launch", study)
    wait_until(lambda: workers(RUN), "the trial runs")
    second = sweep("resume", "sleepy")
    assert second.returncode == 1
    assert f"process {driver.process.pid}" in second.stderr
    assert os.uname().nodename in second.stderr
    driver.finish()
    assert driver.code == 0


def test_ctrl_c_detaches_and_the_jobs_go_on(tmp_path):
    study = write_study(tmp_path, trials=2, seconds=2.0)
    driver = Driver("launch", study, "--set", "profile.slots=2")
    wait_until(lambda: len(workers(RUN)) == 2, "both trials run")
    driver.send(signal.SIGINT)
    output = driver.finish()
    assert driver.code == 130
    assert "sweep resume sleepy" in output
    assert len(workers(RUN)) == 2
    wait_until(lambda: len(results(RUN)) == 2, "both trials are done without a driver")


def test_a_journal_torn_by_the_crash_is_mended(tmp_path):
    study = write_study(tmp_path, trials=3)
    assert sweep("launch", study).returncode == 0
    with (RUN / "journal.log").open("a") as journal:
        journal.write('{"op_code": 5, "torn')
    assert sweep("resume", "--set", "limits.trials=4").returncode == 0
    assert all_told_once(4)


def test_a_lost_journal_is_rebuilt_from_the_trial_folders(tmp_path):
    study = write_study(tmp_path, trials=3)
    assert sweep("launch", study).returncode == 0
    (RUN / "journal.log").unlink()
    assert sweep("resume", "--set", "limits.trials=5").returncode == 0
    assert set(results(RUN)) == {0, 1, 2, 3, 4}
    assert all_told_once(5)
    storage = JournalStorage(JournalFileBackend(str(RUN / "journal.log")))
    trials = optuna.load_study(study_name="sleepy", storage=storage).get_trials()
    assert [trial.value for trial in trials] == [result["accuracy"] for result in results(RUN).values()]


def test_status_and_report_do_not_need_the_trainer(tmp_path):
    assert sweep("launch", write_study(tmp_path, trials=1)).returncode == 0
    study = RUN / "study.toml"
    study.write_text(study.read_text().replace("sleepers:sleep", "gone_since:sleep"))
    assert sweep("status").returncode == 0
    assert sweep("report").returncode == 0


def test_a_retry_goes_on_from_the_checkpoint(tmp_path):
    """The real trainer: the epochs of the killed attempt are not trained again."""
    study = tmp_path / "long.toml"
    study.write_text(
        'name = "long"\ngoal = "speed"\ntarget = 1.0\nsampler = "random"\n[limits]\ntrials = 1\ntrial = "90s"\n'
        '[fixed]\ndataset = "digits"\nbatch_size = 8\nlr_scale = 0.05\n[space]\nepochs = { low = 20, high = 21 }\n'
    )
    driver = Driver("launch", study)
    run = Path("runs/long")
    progress = run / "trials/00000/progress.jsonl"
    wait_until(lambda: progress.exists() and len(progress.read_text().splitlines()) >= 3, "three epochs are done")
    os.kill(workers(run)[0], signal.SIGKILL)
    driver.finish()
    lines = [json.loads(line) for line in progress.read_text().splitlines()]
    epochs = [line["epoch"] for line in lines if "epoch" in line]
    assert results(run)[0]["attempt"] == 2
    assert len(epochs) - len(set(epochs)) <= 1, "at most the epoch under way was trained twice"
    assert epochs[-1] == results(run)[0]["epochs"]
