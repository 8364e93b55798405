"""Where jobs run and how many at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sweep_builders import here

from sweep import profile as profile_module
from sweep.errors import StudyFileError
from sweep.launchers import make_launcher
from sweep.paths import RunPaths
from sweep.toml_files import load_profile, parse_changes


@pytest.fixture(autouse=True)
def a_machine_of_eight_cores_and_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(profile_module, "count_gpus", lambda: 0)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_the_profile_of_this_machine_loads() -> None:
    local = load_profile("local")
    assert (local.name, local.launcher, local.slots) == ("local", "local", "auto")


@pytest.mark.parametrize(
    "change",
    [
        "slots=0",
        "slots=many",
        "slots=1.5",
        "gpus=-1",
        "threads=0",
        "poll_seconds=0",
        "poll_seconds=inf",
        "launcher=fork",
        "env.A=1",
    ],
)
def test_a_value_that_breaks_a_rule_is_refused_with_its_key(change: str) -> None:
    key = change.partition("=")[0]
    with pytest.raises(StudyFileError, match=rf"\n  {key}"):
        load_profile("local", parse_changes([change]))


def test_an_unknown_key_is_named_with_those_allowed() -> None:
    with pytest.raises(StudyFileError, match="slot: unknown key; allowed here: name, description, launcher"):
        load_profile("local", {"slot": 1})


def test_a_wrong_number_of_slots_is_one_mistake() -> None:
    with pytest.raises(StudyFileError, match=r"1 mistake\(s\)\n  slots: "):
        load_profile("local", {"slots": 0})


def test_slots_that_are_given_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    assert here(slots=5).slot_count() == 5


@pytest.mark.parametrize(("threads", "slots"), [(1, 8), (3, 2), (8, 1), (64, 1)])
def test_without_a_gpu_there_is_a_slot_for_every_thread_that_a_job_wants(threads: int, slots: int) -> None:
    assert here(slots="auto", threads=threads).slot_count() == slots


def test_with_gpus_there_is_a_slot_for_each_that_is_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5,7")
    assert here(slots="auto").slot_count() == 3
    assert here(slots="auto").gpu_ids() == ["2", "5", "7"]


def test_gpus_without_the_variable_are_counted_from_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile_module, "count_gpus", lambda: 2)
    assert here(slots="auto").gpu_ids() == ["0", "1"]


def test_gpus_may_be_named_by_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1f,GPU-2e")
    assert here(slots="auto").gpu_ids() == ["GPU-1f", "GPU-2e"]


@pytest.mark.parametrize(("gpus", "handed_out"), [(0, []), (1, ["4"]), (2, ["4", "6"]), (9, ["4", "6"])])
def test_no_more_gpus_are_handed_out_than_asked_for(
    monkeypatch: pytest.MonkeyPatch, gpus: int, handed_out: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert here(gpus=gpus).gpu_ids() == handed_out


def test_more_gpus_than_are_visible_are_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    with pytest.raises(StudyFileError, match=r"profile\.gpus must not exceed the 2 GPU\(s\) visible here; got 3"):
        make_launcher(here(gpus=3), RunPaths(tmp_path / "run"), print)
    assert make_launcher(here(gpus=2), RunPaths(tmp_path / "run"), print).slots == 2


def test_without_gpus_to_hand_out_the_cores_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert here(slots="auto", gpus=0).slot_count() == 8


def test_gpus_that_the_variable_hides_are_not_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile_module, "count_gpus", lambda: 4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert here().gpu_ids() == []


@pytest.mark.parametrize(
    ("slots", "standby", "started_ahead"),
    [(8, "auto", 2), (3, "auto", 0), (3, 5, 5), (8, 0, 0), ("auto", "auto", 2)],
)
def test_jobs_are_started_ahead_one_for_every_four_slots_or_as_told(
    slots: int | str, standby: int | str, started_ahead: int
) -> None:
    assert here(slots=slots, standby=standby).standby_count() == started_ahead
