"""From files and changes to a run folder, and changes of a run that is resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sweep_builders import ended, here, study, written_run

from sweep.driving import drive
from sweep.errors import StudyFileError
from sweep.files import read_lines
from sweep.paths import RunPaths
from sweep.run import change_limits, check_search, create_run, open_run, read_files


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    """A run whose only trial is done."""
    return written_run(tmp_path, study(limits={"trials": 1, "trial": 60}), [ended(0)])


def test_changes_reach_the_study_and_after_profile_the_profile() -> None:
    spec, profile = read_files("quickstart", "local", {"limits.trials": 3, "profile.slots": 7})
    assert (spec.limits.trials, profile.slots) == (3, 7)


@pytest.mark.parametrize("changes", [{"limits.trials": 0}, {"profile.slots": 0}, {"limits.trial.x": 1}])
def test_a_change_that_breaks_a_rule_is_refused(changes: dict[str, Any]) -> None:
    (key,) = changes
    with pytest.raises(StudyFileError, match=key.removeprefix("profile.").replace(".", r"\.")):
        read_files("quickstart", "local", changes)


def test_the_data_folder_of_a_profile_is_that_of_a_study_without_one(tmp_path: Path) -> None:
    changes = {"profile.data_dir": "here", "fixed.dataset": "digits"}
    assert read_files("quickstart", "local", changes)[0].fixed["data_dir"] == str(tmp_path / "here")
    changes["fixed.data_dir"] = "there"
    assert read_files("quickstart", "local", changes)[0].fixed["data_dir"] == str(tmp_path / "there")


def test_the_data_folder_of_our_trainer_is_absolute_though_nobody_names_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEP_DATA_DIR", "images")
    assert read_files("quickstart", "local", {})[0].fixed["data_dir"] == str(tmp_path / "images")


def test_a_trainer_of_the_users_own_gets_no_data_folder() -> None:
    changes = {"trainer": "sleepers:sleep", "profile.data_dir": "here"}
    assert "data_dir" not in read_files("quickstart", "local", changes)[0].fixed


@pytest.mark.parametrize("url", ["nonsense", "nonsense://somewhere", "sqlite:////no/such/folder/optuna.db"])
def test_a_storage_that_cannot_be_opened_is_told_with_its_url(url: str) -> None:
    with pytest.raises(StudyFileError) as refusal:
        check_search(study(storage=url))
    assert f"storage must be an Optuna storage URL that can be opened; got {url!r} (" in str(refusal.value)
    assert "leave it empty for a journal in the run folder" in str(refusal.value)


def test_a_storage_that_can_be_opened_or_is_the_journal_is_no_mistake(tmp_path: Path) -> None:
    check_search(study())
    assert list(tmp_path.iterdir()) == []
    check_search(study(storage=f"sqlite:///{tmp_path / 'optuna.db'}"))


def test_every_run_has_an_id_of_its_own(tmp_path: Path) -> None:
    ids = [create_run(study(name=name), here(), tmp_path).run_id.read_text() for name in ("one", "two")]
    assert all(ids)
    assert len(set(ids)) == 2


def test_limits_retries_and_the_profile_of_a_run_can_be_changed(paths: RunPaths) -> None:
    change_limits(paths, {"limits.trials": 5, "retries": 0, "profile.slots": 7, "profile.env.A": "1"})
    run = open_run(paths)
    assert (run.spec.limits.trials, run.spec.limits.trial, run.spec.retries) == (5, 60, 0)
    assert (run.profile.slots, run.profile.env, run.profile.name) == (7, {"A": "1"}, "here")


@pytest.mark.parametrize(
    "key",
    [
        *("target", "goal", "name", "space.x.high", "fixed.x", "trainer", "limits", "limits.trial"),
        *("profile.name", "profile.data_dir"),
    ],
)
def test_anything_else_of_a_run_cannot_be_changed(paths: RunPaths, key: str) -> None:
    before = paths.study.read_bytes(), paths.profile.read_bytes()
    with pytest.raises(StudyFileError, match=rf"limits\.gpu_hours, retries and profile\.\* .*only; got {key};"):
        change_limits(paths, {"limits.trials": 5, "profile.slots": 7, key: "other"})
    assert (paths.study.read_bytes(), paths.profile.read_bytes()) == before


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"profile.slots": 7}, {"limits.trials": 0}),
        ({"limits.trials": 5}, {"profile.slots": 0}),
    ],
)
def test_changes_of_a_run_are_made_together_or_not_at_all(
    paths: RunPaths, good: dict[str, Any], bad: dict[str, Any]
) -> None:
    before = paths.study.read_bytes(), paths.profile.read_bytes()
    with pytest.raises(StudyFileError, match=r"1 mistake\(s\)"):
        change_limits(paths, good | bad)
    assert (paths.study.read_bytes(), paths.profile.read_bytes()) == before


def test_the_changes_of_a_session_are_noted_with_their_values(paths: RunPaths) -> None:
    changes = {"limits.walltime": "1h", "profile.slots": 3}
    drive(paths, "resumed", lambda driver: None, changes)
    (session,) = (line for line in read_lines(paths.events) if line["event"] == "resumed")
    assert session["changes"] == changes
