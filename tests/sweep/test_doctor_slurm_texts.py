"""What sweep doctor makes of Slurm's answers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from sweep.doctor.findings import Verdict
from sweep.doctor.site import check_environment, judge_limit, judge_partition, told_of_start
from sweep.doctor.slurm_texts import Partition, advise, count_nodes, limit_key, parse_limit, parse_partitions


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


def test_variables_that_win_over_the_profile_are_told():
    assert [finding.verdict for finding in check_environment({"SBATCH_ACCOUNT": "old", "PATH": "/bin"})] == [
        "warning"
    ]
    assert list(check_environment({"SLURM_CONF": "/etc/slurm.conf"})) == []


def test_a_site_s_greeting_does_not_hide_the_start():
    said = "sbatch: Welcome!\nsbatch: Job 7 to start at 2026-01-01T00:00:00 using 1 processors on nodes n1"
    assert told_of_start(said).startswith("Job 7 to start")
