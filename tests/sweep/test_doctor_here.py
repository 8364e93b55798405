"""sweep doctor's probe, and a visit to this machine."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from driving import sweep

from sweep.probe import CLAIMS, ProbeFiles, probe, race


def test_two_racers_never_win_the_same_claim(tmp_path):
    assert race(tmp_path / "race") == [1] * CLAIMS


def test_the_probe_notices_a_ping_and_a_claim_of_the_login_node(tmp_path):
    files = ProbeFiles(tmp_path)
    files.ping.write_text("{}")
    files.claim.touch()
    probe(str(tmp_path))
    report = json.loads(files.report(0).read_text())
    assert report["takes_claimed"] is False
    assert report["gpu_error"] == ""
    assert json.loads(files.pong(0).read_text())["sees_ping"]
    assert json.loads(files.hello(0).read_text())["cores"] == len(os.sched_getaffinity(0))


ON_THE_CPU = ("--set", "profile.gpus=0", "--set", "profile.slots=1")


def test_this_machine_is_well():
    done = sweep("doctor", *ON_THE_CPU, "--study", "quickstart", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    checks = {finding["check"]: finding["found"] for finding in json.loads(done.stdout)["findings"]}
    assert "trials run on the CPU" in checks["GPU"] or "torch sees" in checks["GPU"]
    assert "digits" in checks["data"]
    assert list(Path("runs").iterdir()) == []


def test_people_get_a_table_with_what_to_do():
    done = sweep("doctor", "--no-job", *ON_THE_CPU, "--study", "cifar10_60")
    assert done.returncode == 1
    assert "FAILED" in done.stdout
    assert "sweep download cifar10" in " ".join(done.stdout.split()), "wherever the line is broken"
    assert "-> mend this before a launch" in done.stdout


def test_more_gpus_than_there_are_fail_without_a_job():
    done = sweep("doctor", "--set", "profile.gpus=99", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["findings"][-1]["check"] == "slots"


def test_more_threads_than_cores_are_a_warning():
    done = sweep("doctor", "--no-job", "--set", "profile.gpus=0", "--set", "profile.slots=999", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["findings"][-1]["verdict"] == "warning"


def test_a_runs_folder_that_cannot_be_made_is_told():
    Path("file").touch()
    done = sweep("doctor", "--runs", "file", "--json")
    assert done.returncode == 1
    assert "--runs" in json.loads(done.stdout)["findings"][0]["advice"]


@pytest.mark.parametrize(
    ("arguments", "word"), [(("--wait", "soon"), "soon"), (("--set", "limits.trials=3"), "--study")]
)
def test_a_mistake_on_the_command_line_is_told(arguments, word):
    done = sweep("doctor", *arguments)
    assert done.returncode == 1
    assert word in done.stderr


def test_without_slurm_s_commands_that_is_all_there_is_to_tell(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    done = sweep("doctor", "--profile", "testbed", "--json")
    assert done.returncode == 1
    finding = json.loads(done.stdout)["findings"][-1]
    assert (finding["check"], "login node" in finding["advice"]) == ("commands", True)
