"""What the launcher makes of Slurm's answers. The commands are scripts that print what a test has written down."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sweep_builders import job, study, written_run

from sweep.errors import SubmissionError
from sweep.files import must_read_json
from sweep.launchers import slurm_commands
from sweep.launchers.slurm import SlurmLauncher
from sweep.launchers.slurm_script import job_name
from sweep.paths import RunPaths
from sweep.profile import Profile
from sweep.records import Bundle, JobState


class FakeSlurm:
    """Slurm's commands on PATH: each prints its answer, and its call is counted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in ("sbatch", "sacct", "squeue", "scancel"):
            script = folder / name
            script.write_text(
                f'#!/bin/sh\necho "$@" >> {folder}/{name}.calls\n'
                f"cat {folder}/{name}.out 2>/dev/null\ncat {folder}/{name}.err >&2 2>/dev/null\n"
                f"exit $(cat {folder}/{name}.code 2>/dev/null || echo 0)\n"
            )
            script.chmod(0o755)

    def answers(self, command: str, out: str = "", err: str = "", code: int = 0) -> None:
        for part, text in (("out", out), ("err", err), ("code", str(code))):
            (self.folder / f"{command}.{part}").write_text(text)

    def calls(self, command: str) -> list[str]:
        path = self.folder / f"{command}.calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    fake = FakeSlurm(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{fake.folder}:{os.environ['PATH']}")
    fake.answers("sbatch", "Submitted batch job 17\n")
    return fake


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return written_run(tmp_path / "runs", study(), [])


Make = Callable[..., SlurmLauncher]


@pytest.fixture
def make(paths: RunPaths) -> Make:
    """A launcher that asks at every poll; its notices are in `notices`."""

    def launcher(**options: object) -> SlurmLauncher:
        keys = {"query_seconds": 1e-6, **options}
        profile = Profile.model_validate({"name": "x", "launcher": "slurm", "slurm": keys})
        notices: list[str] = []
        made = SlurmLauncher(profile, paths, notices.append)
        made.notices = notices  # type: ignore[attr-defined]
        return made

    return launcher


def submitted(launcher: SlurmLauncher, *, minutes_ago: float = 0.0) -> Bundle:
    bundle = replace(job(0).bundle, submitted_at=time.time() - 60 * minutes_ago)
    launcher.paths.job(bundle.name).folder.mkdir(parents=True, exist_ok=True)
    launcher.submit(bundle)
    return bundle


def state(launcher: SlurmLauncher, bundle: Bundle) -> JobState:
    return launcher.poll({bundle.name: bundle})[bundle.name]


def name_of(launcher: SlurmLauncher, bundle: Bundle) -> str:
    return job_name(bundle.name, launcher.run_id)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("PENDING", JobState.PENDING),
        ("REQUEUE_HOLD", JobState.PENDING),
        ("CONFIGURING", JobState.PENDING),
        ("SUSPENDED", JobState.RUNNING),
        ("COMPLETING", JobState.RUNNING),
        ("A_STATE_OF_A_LATER_SLURM", JobState.RUNNING),
        ("COMPLETED", JobState.EXITED),
        ("FAILED", JobState.EXITED),
        ("CANCELLED by 1000", JobState.CANCELLED),
        ("TIMEOUT", JobState.TIMEOUT),
        ("PREEMPTED", JobState.PREEMPTED),
        ("NODE_FAIL", JobState.NODE_FAILURE),
        ("OUT_OF_MEMORY", JobState.OUT_OF_MEMORY),
    ],
)
def test_a_state_of_slurm_is_one_of_ours(slurm: FakeSlurm, make: Make, told: str, expected: JobState) -> None:
    launcher = make()
    bundle = submitted(launcher)
    slurm.answers("sacct", f"17|{name_of(launcher, bundle)}|{told}|42\n")
    assert state(launcher, bundle) == expected
    assert launcher.charged_seconds(replace(bundle, gpus=2)) == 84.0


def test_a_job_that_the_accounting_does_not_know_yet_is_asked_of_the_controller_next(
    slurm: FakeSlurm, make: Make
) -> None:
    launcher = make()
    bundle = submitted(launcher)
    slurm.answers("squeue", f"17|{name_of(launcher, bundle)}|RUNNING|1:05|None\n")
    assert state(launcher, bundle) == JobState.PENDING
    assert state(launcher, bundle) == JobState.RUNNING
    assert (len(slurm.calls("sacct")), len(slurm.calls("squeue"))) == (1, 1), "one question per poll"
    assert launcher.charged_seconds(bundle) == 65.0


@pytest.mark.parametrize(
    ("requeue", "states"),
    [(False, [JobState.PREEMPTED] * 2), (True, [JobState.PENDING, JobState.PENDING])],
)
def test_where_a_site_requeues_the_controller_has_the_last_word_on_a_preempted_job(
    slurm: FakeSlurm, make: Make, requeue: bool, states: list[JobState]
) -> None:
    launcher = make(requeue=requeue)
    bundle = submitted(launcher)
    slurm.answers("sacct", f"17|{name_of(launcher, bundle)}|PREEMPTED|42\n")
    slurm.answers("squeue", f"17|{name_of(launcher, bundle)}|PENDING|0:00|BeginTime\n")
    assert [state(launcher, bundle) for _ in range(2)] == states


def test_a_preempted_job_that_the_controller_has_forgotten_is_gone(slurm: FakeSlurm, make: Make) -> None:
    launcher = make(requeue=True)
    bundle = submitted(launcher)
    slurm.answers("sacct", f"17|{name_of(launcher, bundle)}|PREEMPTED|42\n")
    slurm.answers("squeue", err="slurm_load_jobs error: Invalid job id specified", code=1)
    assert [state(launcher, bundle) for _ in range(2)] == [JobState.PENDING, JobState.PREEMPTED]


def test_of_two_jobs_with_one_id_the_older_was_lost(slurm: FakeSlurm, make: Make, paths: RunPaths) -> None:
    older = submitted(make(), minutes_ago=10)
    launcher = make()
    newer = replace(job(1).bundle, submitted_at=time.time())
    paths.job(newer.name).folder.mkdir()
    launcher.submit(newer)  # and gets 17 again
    slurm.answers("sacct", f"17|{name_of(launcher, newer)}|RUNNING|42\n")
    both = {bundle.name: bundle for bundle in (older, newer)}
    for _ in range(4):
        states = launcher.poll(both)
    assert states == {older.name: JobState.EXITED, newer.name: JobState.RUNNING}


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("QOSMaxSubmitJobPerUserLimit", slurm_commands.QueueFullError),
        ("AssocMaxSubmitJobLimit", slurm_commands.QueueFullError),
        ("AssocGrpSubmitJobsLimit", slurm_commands.QueueFullError),
        ("Batch job submission failed: Requested time limit is invalid", slurm_commands.RefusedError),
        ("QOSMaxWallDurationPerJobLimit", slurm_commands.RefusedError),
        ("Batch job submission failed: Invalid account or account/partition", slurm_commands.RefusedError),
    ],
)
def test_a_full_queue_is_told_from_a_job_that_can_never_run(
    slurm: FakeSlurm, tmp_path: Path, said: str, error: type[Exception]
) -> None:
    slurm.answers("sbatch", err=f"sbatch: error: {said}", code=1)
    with pytest.raises(error):
        slurm_commands.submit(tmp_path / "job.sh")


def test_the_starts_of_a_requeued_job_are_all_charged(slurm: FakeSlurm, make: Make) -> None:
    launcher = make()
    bundle = submitted(launcher)
    name = name_of(launcher, bundle)
    slurm.answers("sacct", f"17|{name}|REQUEUED|30\n17|{name}|RUNNING|5\n")
    assert state(launcher, bundle) == JobState.RUNNING
    assert (launcher.charged_seconds(bundle), launcher.earlier_seconds(bundle)) == (35.0, 30.0)


def test_jobs_that_slurm_cannot_be_asked_about_are_not_taken_for_cancelled(slurm: FakeSlurm, make: Make) -> None:
    launcher = make()
    bundle = submitted(launcher)
    slurm.answers("squeue", err="Unable to contact slurm controller", code=1)
    assert launcher.cancel({bundle.name: bundle}) == set()
    slurm.answers("squeue", "")
    assert launcher.cancel({bundle.name: bundle}) == {bundle.name}


def test_another_job_that_was_given_the_same_id_is_none_of_ours(slurm: FakeSlurm, make: Make) -> None:
    launcher = make()
    bundle = submitted(launcher)
    slurm.answers("sacct", "17|somebody-elses|COMPLETED|42\n")
    slurm.answers("squeue", "17|somebody-elses|RUNNING|0:42|None\n")
    assert [state(launcher, bundle) for _ in range(3)] == [JobState.PENDING] * 3


def test_a_job_that_nobody_knows_any_more_is_gone(slurm: FakeSlurm, make: Make) -> None:
    bundle = submitted(make(), minutes_ago=10)
    launcher = make()  # of a later driver
    assert state(launcher, bundle) == JobState.PENDING
    assert state(launcher, bundle) == JobState.EXITED


def test_while_nobody_answers_the_last_word_counts(slurm: FakeSlurm, make: Make) -> None:
    launcher = make()
    bundle = submitted(launcher, minutes_ago=10)
    slurm.answers("sacct", f"17|{name_of(launcher, bundle)}|RUNNING|42\n")
    assert state(launcher, bundle) == JobState.RUNNING
    for command in ("sacct", "squeue"):
        slurm.answers(command, err="Unable to contact slurm controller (connect failure)", code=1)
    assert [state(launcher, bundle) for _ in range(3)] == [JobState.RUNNING] * 3
    assert any("Slurm does not answer" in text for text in launcher.notices)  # type: ignore[attr-defined]


def test_a_site_without_accounting_is_never_asked_for_it(slurm: FakeSlurm, make: Make) -> None:
    launcher = make(accounting=False)
    bundle = submitted(launcher)
    slurm.answers("squeue", f"17|{name_of(launcher, bundle)}|COMPLETED|2-03:04:05|None\n")
    assert state(launcher, bundle) == JobState.EXITED
    assert slurm.calls("sacct") == []
    assert launcher.charged_seconds(bundle) == 2 * 86_400 + 3 * 3600 + 4 * 60 + 5


def test_a_full_queue_is_waited_for_and_nothing_else_is_submitted(
    slurm: FakeSlurm, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = make()
    slurm.answers("sbatch", err="sbatch: error: QOSMaxSubmitJobPerUserLimit", code=1)
    bundle = submitted(launcher)
    assert not launcher.may_submit
    assert state(launcher, bundle) == JobState.PENDING
    slurm.answers("sbatch", "Submitted batch job 18\n")
    later = time.monotonic() + 120
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert state(launcher, bundle) == JobState.PENDING
    assert must_read_json(launcher.paths.job(bundle.name).slurm) == {"job_id": "18"}
    assert launcher.may_submit


def test_a_refusal_says_what_sbatch_said(slurm: FakeSlurm, make: Make) -> None:
    launcher = make()
    slurm.answers("sbatch", err="sbatch: error: Batch job submission failed: Invalid qos specification", code=1)
    with pytest.raises(SubmissionError, match="Invalid qos specification"):
        submitted(launcher)


def test_an_unclear_answer_is_settled_by_the_jobs_name(slurm: FakeSlurm, make: Make) -> None:
    launcher = make()
    slurm.answers("sbatch", err="sbatch: error: Socket timed out on send/recv operation", code=1)
    bundle = submitted(launcher)
    slurm.answers("squeue", f"23|{name_of(launcher, bundle)}|RUNNING|0:07|None\n")
    assert state(launcher, bundle) == JobState.RUNNING
    assert must_read_json(launcher.paths.job(bundle.name).slurm)["job_id"] == "23"


def test_a_job_whose_log_tells_of_memory_was_killed_for_it(slurm: FakeSlurm, make: Make) -> None:
    launcher = make()
    bundle = submitted(launcher)
    slurm.answers("sacct", f"17|{name_of(launcher, bundle)}|FAILED|42\n")
    log = launcher.paths.job(bundle.name).folder / "17_0_log.err"
    log.write_text("slurmstepd-n1: error: StepId=17.0 exceeded memory limit (2 > 1), being killed\n")
    assert state(launcher, bundle) == JobState.OUT_OF_MEMORY


def test_no_more_is_submitted_in_a_minute_than_the_profile_says(slurm: FakeSlurm, make: Make) -> None:
    launcher = make(submits_per_minute=2)
    submitted(launcher)
    assert launcher.may_submit
    submitted(launcher)
    assert not launcher.may_submit


def test_a_queue_is_filled_no_further_than_the_profile_says(slurm: FakeSlurm, make: Make) -> None:
    launcher = make(max_jobs=10, max_queued_jobs=3)
    assert launcher.capacity == 3
    bundle = submitted(launcher)
    slurm.answers("sacct", f"17|{name_of(launcher, bundle)}|RUNNING|42\n")
    state(launcher, bundle)
    assert launcher.capacity == 4, "three may wait behind the one that runs"


def test_variables_of_a_job_do_not_reach_slurms_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_MEM_PER_CPU", "500")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")
    text = slurm_commands.run(["env"])
    assert "SLURM_MEM_PER_CPU" not in text
    assert "SLURM_CONF=/etc/slurm.conf" in text
