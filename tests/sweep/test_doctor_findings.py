"""What sweep doctor makes of a job's report."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sweep.doctor.findings import Verdict
from sweep.doctor.job import Visit
from sweep.doctor.reports import judge_visit
from sweep.probe import CLAIMS
from sweep.profile import Profile

SLURM = Profile(name="site", launcher="slurm")
GOOD = {
    "host": "n1",
    "python": "3.12.1",
    "executable": "/opt/python3",
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
    findings = list(judge_visit(profile, visit, 300.0))
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
        (replace(SILENT, log="Unknown option: -P"), "python", "-P", "3.11"),
        (replace(SILENT, log="could not find submitted jobs"), "python", "submitted", "bind it"),
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
