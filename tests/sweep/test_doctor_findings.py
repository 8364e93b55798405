"""What sweep doctor makes of Slurm's answers and of a job's report; and a visit to this machine."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest
from driving import sweep

from sweep.doctor.findings import Verdict
from sweep.doctor.job import Visit
from sweep.doctor.reports import judge_visit
from sweep.doctor.site import judge_limit, judge_partition, told_of_start
from sweep.doctor.slurm_texts import Partition, advise, count_nodes, limit_key, parse_limit, parse_partitions
from sweep.probe import CLAIMS, ProbeFiles, probe, race
from sweep.profile import Profile

SLURM = Profile(name="site", launcher="slurm")
GOOD = {
    "host": "n1",
    "python": "3.12.1",
    "executable": "/opt/python3",
    "sweep": "0.1.0",
    "cores": 4,
    "gpu_variables": {"CUDA_VISIBLE_DEVICES": "0"},
    "nvidia_devices": 1,
    "amd_driver": False,
    "time": 0.0,
    "sees_ping": True,
    "takes_claimed": False,
    "wins": [1] * CLAIMS,
    "torch": "2.9.0",
    "torch_seconds": 3.0,
    "cuda": "12.8",
    "hip": None,
    "gpus": ["NVIDIA H100"],
    "gpu_error": "",
    "warnings": [],
    "data": "cached",
}
SEEN = Visit(1, "RUNNING", "", "n1", 2.0, 1.0, 0.2, 0.05, (GOOD,))


def judged(visit: Visit = SEEN, profile: Profile = SLURM, **changed) -> dict[str, tuple[str, str, str]]:
    """Whatever is not ok, by check; `changed` goes into the report."""
    if changed:
        visit = replace(visit, reports=({**GOOD, **changed},))
    findings = list(judge_visit(profile, visit, "0.1.0", 300.0))
    return {
        finding.check: (finding.verdict.value, finding.found, finding.advice)
        for finding in findings
        if finding.verdict != Verdict.OK
    }


def slurm(**options) -> Profile:
    return Profile.model_validate({"name": "site", "launcher": "slurm", "slurm": options})


def test_a_good_report_leaves_nothing_to_do():
    assert judged() == {}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1-00:00:00", 86_400),
        ("00:05:00", 300),
        ("30-12:30:01", 30 * 86_400 + 12 * 3600 + 1801),
        ("UNLIMITED", math.inf),
        ("NONE", math.inf),
    ],
)
def test_a_limit_as_slurm_writes_it(text, seconds):
    assert parse_limit(text) == seconds


@pytest.mark.parametrize(("seconds", "text"), [(86_400, '"24h"'), (300, '"5min"'), (5400, '"90min"')])
def test_a_limit_as_a_profile_writes_it(seconds, text):
    assert limit_key(seconds) == text


def test_partitions_are_read_from_scontrol():
    text = (
        "PartitionName=gpu AllowGroups=ALL Default=YES MaxTime=2-00:00:00 State=UP TRES=cpu=32,gres/gpu=8\n"
        "PartitionName=old Default=NO MaxTime=UNLIMITED State=DRAIN\n"
    )
    assert parse_partitions(text) == [
        Partition("gpu", "UP", 172_800.0, is_default=True),
        Partition("old", "DRAIN", math.inf, is_default=False),
    ]


def test_nodes_that_are_down_drained_or_silent_run_no_jobs():
    assert count_nodes("4|idle\n2|mixed\n1|allocated~\n3|down*\n5|drained\n1|idle*\n1|maint\n\n") == (7, 17)


UP = Partition("gpu", "UP", 3600.0, is_default=True)


def test_a_partition_needs_to_be_up_with_a_node():
    assert judge_partition(UP, 1, 4).verdict == Verdict.OK
    assert "sinfo -R" in judge_partition(UP, 0, 4).advice
    assert judge_partition(replace(UP, state="INACTIVE"), 4, 4).verdict == Verdict.FAILED


def test_a_profile_s_limit_is_held_against_the_partition_s():
    assert judge_limit(UP, 3600.0).verdict == Verdict.OK
    assert judge_limit(UP, None).verdict == Verdict.WARNING
    assert judge_limit(UP, 7200.0).verdict == Verdict.FAILED
    assert 'time_limit = "1h"' in judge_limit(UP, 7200.0).advice
    assert judge_limit(replace(UP, max_seconds=math.inf), None).verdict == Verdict.OK


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ("invalid partition specified: x", "slurm.partition"),
        ("Invalid partition name specified", "slurm.partition"),
        ("Invalid account or account/partition combination specified", "slurm.account"),
        ("Invalid qos specification", "slurm.qos"),
        ("Requested node configuration is not available", "8 GPU(s)"),
        ("Memory required by task is not available", "slurm.mem_gb"),
        ("Requested time limit is invalid (missing or exceeds some limit)", "time_limit"),
        ("Invalid feature specification", "slurm.constraint"),
        ("Invalid generic resource (gres) specification", "gpu_option"),
        (
            "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
            "slurm.max_jobs",
        ),
        ("QOSMaxSubmitJobPerUserLimit", "slurm.max_jobs"),
        ("QOSMaxWallDurationPerJobLimit", "profile.time_limit"),
        ("Requested reservation is invalid", "reservation"),
        ("Invalid node name specified", "sbatch_options"),
        ("sbatch: unrecognized option '--bogus'", "sbatch_options"),
        ("Unable to contact slurm controller (connect failure)", "login node"),
        ("PartitionTimeLimit", "time_limit"),
        ("Priority", "--wait"),
        ("Resources", "--wait"),
        ("ReqNodeNotAvail, UnavailableNodes:n1", "partition"),
        ("AssocGrpGRES", "slurm.max_jobs"),
        ("something new", "sbatch --test-only"),
    ],
)
def test_what_slurm_says_is_told_with_the_key_to_change(said, key):
    assert key in advise(said, "8 GPU(s)")


def test_a_site_s_greeting_does_not_hide_the_start():
    said = "sbatch: Welcome!\nsbatch: Job 7 to start at 2026-01-01T00:00:00 using 1 processors on nodes n1"
    assert told_of_start(said).startswith("Job 7 to start")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"gpu_variables": {}}, "Slurm gave the job no GPU"),
        ({"cuda": None}, "install a CUDA build"),
        ({"cuda": None, "nvidia_devices": 0}, "built for the CPU"),
        ({"nvidia_devices": 0}, "driver is not loaded"),
        ({}, "driver is too old"),
        ({"nvidia_devices": 0, "amd_driver": True}, "install the ROCm build"),
    ],
)
def test_a_torch_that_sees_no_gpu_fails_with_the_likely_cause(changed, words):
    verdict, found, advice = judged(gpus=[], **changed)["GPU"]
    assert verdict == "FAILED"
    assert "torch sees none of 1" in found
    assert words in advice


def test_a_gpu_that_does_not_compute_fails():
    assert "no kernel image" in judged(gpu_error="CUDA error: no kernel image is available")["GPU"][1]


def test_lanes_that_share_fewer_gpus_than_asked_for_fail():
    profile = slurm(lanes_per_job=4, lanes_per_gpu=2)
    visit = replace(SEEN, lanes=4, reports=(GOOD,) * 4)
    assert "torch sees 1: NVIDIA H100 of 2" in judged(visit, profile)["GPU"][1]
    assert judged(replace(visit, reports=({**GOOD, "gpus": ["H100"] * 2},) * 4), profile) == {}


def test_where_no_gpu_is_asked_for_none_is_missed():
    assert judged(profile=slurm(gpu_option="none"), gpus=[], gpu_variables={}) == {}


@pytest.mark.parametrize(
    ("changed", "check", "words"),
    [
        ({"sees_ping": False}, "files", "does not see"),
        ({"link_error": "Operation not permitted: claim"}, "files", "no hard links"),
        ({"takes_claimed": True}, "files", "the same claim"),
        ({"wins": [1, 2]}, "files", "the same claim"),
        ({"sweep": "0.0.9"}, "python", "0.0.9"),
        ({"torch_error": "ImportError: libfoo.so"}, "torch", "libfoo"),
        ({"data": "data set 'mnist' is not in /data"}, "data on the node", "not in /data"),
    ],
)
def test_each_trouble_on_the_node_has_its_check(changed, check, words):
    findings = judged(**changed)
    assert list(findings) == [check]
    assert words in findings[check][1]


def test_too_few_cores_are_a_warning():
    profile = Profile(name="site", launcher="slurm", threads=8)
    assert judged(profile=profile)["cores"][0] == "warning"


@pytest.mark.parametrize(
    ("ahead", "verdict"), [(4.0, None), (-4.0, None), (7.0, "warning"), (-59.0, "warning"), (90.0, "FAILED")]
)
def test_clocks_apart_are_told(ahead, verdict):
    findings = judged(replace(SEEN, clock_ahead=ahead))
    assert findings.get("clock", (None,))[0] == verdict


def test_what_a_slow_file_system_delays_does_not_count_against_the_clock():
    assert "clock" not in judged(replace(SEEN, clock_ahead=14.0, round_trip=30.0))


def test_files_later_than_the_profile_grants_are_a_warning():
    advice = judged(replace(SEEN, round_trip=25.4))["visibility"][2]
    assert "visibility_seconds = 26" in advice


SILENT = replace(SEEN, word="FAILED", reports=(), round_trip=None, clock_ahead=None)


@pytest.mark.parametrize(
    ("visit", "check", "found", "advice"),
    [
        (replace(SILENT, setup_line="module load x", log="sh: no module"), "setup", "module load x", "setup"),
        (replace(SILENT, reason="JobLaunchFailure"), "python", "JobLaunchFailure", "--runs"),
        (replace(SILENT, log="No module named 'sweep'"), "python", "No module", "slurm.python"),
        (replace(SILENT, log="Illegal instruction"), "python", "Illegal", "the log says why"),
        (replace(SILENT, wait_seconds=None, word="PENDING", reason="Priority"), "start", "Priority", "--wait"),
        (replace(SEEN, lanes=2, word="OUT_OF_MEMORY", log="Killed"), "report", "1 of 2", "memory"),
    ],
)
def test_a_job_that_says_nothing_is_told_by_what_is_left_of_it(visit, check, found, advice):
    findings = judged(visit)
    assert list(findings) == [check]
    assert found in findings[check][1]
    assert advice in findings[check][2]


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
    assert "sweep download cifar10" in done.stdout
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
