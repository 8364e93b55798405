"""The commands, on a study that ran for real."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from driving import results, sweep, write_study

RUN = Path("runs/sleepy")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A runs folder with one finished study: two trials above the target of 0.9, two below it."""
    folder = tmp_path_factory.mktemp("finished")
    study = folder / "study.toml"
    study.write_text(
        'name = "sleepy"\ndescription = "sleeps"\ngoal = "accuracy"\ntarget = 0.9\nsampler = "random"\n'
        'trainer = "sleepers:sleep"\n[limits]\ntrials = 4\ntrial = "30s"\n'
        "[space]\nx = { choices = [0.3, 0.25, 0.8, 0.9] }\n"
    )
    done = sweep("launch", study, "--runs", folder / "runs")
    assert done.returncode == 0, done.stderr
    return folder / "runs", done.stdout


def test_launch_on_a_pipe_prints_a_plain_line_per_trial_then_the_leaderboards(finished):
    _, output = finished
    assert "\x1b" not in output
    assert sum(line.startswith("[") and "trial " in line for line in output.splitlines()) == 4
    assert output.index("Top accuracy") < output.index("Top speed") < output.index("Not ranked")
    assert output.rstrip().endswith("report/index.html")


def test_status_shows_counts_and_the_best_trial(finished):
    runs, _ = finished
    output = sweep("status", "--runs", runs).stdout
    assert "4/4 done" in output
    assert "100.00%" in output


def test_status_as_json(finished):
    runs, _ = finished
    facts = json.loads(sweep("status", "sleepy", "--json", "--runs", runs).stdout)
    assert (facts["done"], facts["states"], facts["driver"]) == (4, {"completed": 4}, None)
    assert facts["best_accuracy"] == pytest.approx(1.0)


def test_status_tells_of_a_driver_s_job_whose_setup_failed_until_a_driver_works(tmp_path):
    assert sweep("launch", write_study(tmp_path, trials=1, seconds=0.01)).returncode == 0
    (RUN / "driver_setup_failed").write_text("module load nothing")
    assert "failed at the setup line 'module load nothing'" in " ".join(sweep("status").stdout.split())
    assert sweep("resume").returncode == 0
    assert "setup line" not in sweep("status").stdout


def test_report_ranks_trials_at_the_target_and_gives_a_reason_for_the_others(finished):
    runs, _ = finished
    boards = json.loads(sweep("report", "--json", "--runs", runs).stdout)
    assert [row["Accuracy"] for row in boards["top_accuracy"]] == pytest.approx([1.0, 0.95])
    assert {row["Trial"] for row in boards["top_speed"]} == {row["Trial"] for row in boards["top_accuracy"]}
    assert [row["Reason"] for row in boards["others"]] == ["below the target after its last epoch"] * 2


def test_report_writes_csv_markdown_and_a_page(finished):
    runs, _ = finished
    paths = json.loads(sweep("report", "--json", "--runs", runs).stdout)
    with Path(paths["csv"]).open() as file:
        assert sorted(float(row["recipe.x"]) for row in csv.DictReader(file)) == [0.25, 0.3, 0.8, 0.9]
    assert "| Rank | Trial | Accuracy |" in Path(paths["markdown"]).read_text()
    assert "Plotly.newPlot" in Path(paths["page"]).read_text()


def test_list_names_runs_and_built_in_files(finished):
    runs, _ = finished
    found = json.loads(sweep("list", "--json", "--runs", runs).stdout)
    assert [row["run"] for row in found["runs"]] == ["sleepy"]
    assert {"quickstart", "cifar10_60", "frontier_challenge"} <= set(found["studies"])
    assert "local" in found["profiles"]


def test_logs_prints_what_the_job_wrote(finished):
    runs, _ = finished
    output = sweep("logs", "2", "--runs", runs).stdout
    assert "sleepy-00002-1" in output
    assert "Job completed successfully" in output


def test_logs_of_an_unknown_trial_says_which_exist(finished):
    runs, _ = finished
    done = sweep("logs", "99", "--runs", runs)
    assert done.returncode == 1
    assert "trials 0 to 3 exist" in done.stderr


def test_resume_of_a_finished_study_ends_at_once(finished):
    runs, _ = finished
    done = sweep("resume", "--runs", runs)
    assert done.returncode == 0
    assert "all trials are done" in done.stdout
    assert len(results(runs / "sleepy")) == 4


def test_launch_into_an_existing_run_is_refused_and_loses_nothing(finished):
    runs, _ = finished
    done = sweep("launch", runs.parent / "study.toml", "--runs", runs)
    assert done.returncode == 1
    assert "sweep resume sleepy" in done.stderr
    assert len(results(runs / "sleepy")) == 4


def test_resume_refuses_to_change_the_search(finished):
    runs, _ = finished
    done = sweep("resume", "--set", "goal=speed", "--runs", runs)
    assert done.returncode == 1
    assert "limits.trials" in done.stderr


def test_plan_spends_nothing(tmp_path):
    done = sweep("plan", write_study(tmp_path, trials=7))
    assert done.returncode == 0
    assert "Sample proposals" in done.stdout
    assert not Path("runs").exists()


def test_plan_as_json(tmp_path):
    plan = json.loads(sweep("plan", "frontier_challenge", "--json", "--set", "profile.slots=4").stdout)
    assert plan["slots"] == 4
    assert plan["gpu_hours_at_most"] == 40
    assert all(50_000 % sample["batch_size"] == 0 for sample in plan["samples"])
