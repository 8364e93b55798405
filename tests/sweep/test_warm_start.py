"""Trials of one study as history of another: which count, and as what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sweep_builders import ended, epoch, here, outcome, study, trial_spec, written_run

from sweep.errors import RunFolderError, StudyFileError
from sweep.history import load_history
from sweep.records import TrialRecord, TrialState
from sweep.run import create_run
from sweep.search import Search
from sweep.spec import StudySpec
from sweep.warm_start import gather, out_of_reach, save_history, warm_start

OURS = "trainer.training:train"
SPACE = {
    "epochs": {"up_to": 20},
    "optimizer": {"choices": ["adam", "sgd"]},
    "lr_scale": {"low": 0.1, "high": 10.0},
}


def of_ours(**changes: Any) -> StudySpec:
    facts = {"trainer": OURS, "fixed": {"dataset": "digits"}, "space": SPACE, "target": 0.9}
    return study(**(facts | changes))


def old(number: int = 0, state: str = "completed", accuracy: float = 0.8, **recipe: Any) -> TrialRecord:
    """A trial of two epochs of six seconds."""
    whole = {"dataset": "digits", "epochs": 2, "optimizer": "adam", "lr_scale": 1.0, "seed": number} | recipe
    spec = trial_spec(number, trainer=OURS, recipe=whole)
    return replace(
        ended(number, state, accuracy, 10.0, spec=spec), epochs=(epoch(1, 8.0, 0.5), epoch(2, 14.0, accuracy))
    )


def refused(record: TrialRecord, spec: StudySpec | None = None) -> list[str]:
    return list(warm_start(spec or of_ours(), "old", of_ours(), [record]).refused)


def test_a_trial_whose_recipe_lies_in_the_space_counts() -> None:
    start = warm_start(of_ours(), "old", of_ours(), [old(), old(1, lr_scale=2.0)])
    assert [record.number for record in start.history] == [-1, -2]
    assert start.describe() == "2 trials of old"
    assert start.history[1].spec.recipe == {"dataset": "digits", "epochs": 2, "optimizer": "adam", "lr_scale": 2.0}


def test_a_key_that_was_not_searched_counts_with_the_trainers_default() -> None:
    spec = of_ours(space=SPACE | {"flip": {"choices": [False, True]}})
    (record,) = warm_start(spec, "old", of_ours(), [old()]).history
    assert record.spec.params["flip"] is False


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (old(lr_scale=50.0), "lr_scale = 50.0 is not in this space"),
        (old(optimizer="muon"), "optimizer = 'muon' is not in this space"),
        (old(epochs=21), "epochs = 21 is not in this space"),
        (old(model="mlp"), "model is 'mlp' there, 'convnet' here"),
        (old(0, "failed"), "no measurement"),
        (replace(old(), outcome=None, state="running"), "not finished"),
        (replace(old(), outcome=outcome("completed", wall_seconds=61.0)), "took longer than 60 s"),
        (replace(old(0, "target"), spec=replace(old().spec, stop_at=0.7)), "stopped at its target of 70%"),
        (replace(old(0, "pruned"), spec=replace(old().spec, stop_at=0.7)), "stopped early for another target"),
        (
            replace(old(0, "deadline"), spec=replace(old().spec, limit_seconds=30.0)),
            "ran out of its limit of 30 s",
        ),
    ],
)
def test_a_trial_that_does_not_fit_is_left_out_with_the_reason(record: TrialRecord, reason: str) -> None:
    assert refused(replace(record, state=TrialState(record.state))) == [reason]


def test_what_two_recipes_of_one_search_may_differ_in_does_not_matter() -> None:
    assert refused(old(seed=77, data_dir="/elsewhere", loss_steps=7)) == []


def test_another_data_set_or_trainer_is_refused_whole() -> None:
    with pytest.raises(StudyFileError, match="same data set; old trained on mnist, this study on digits"):
        warm_start(of_ours(), "old", of_ours(fixed={"dataset": "mnist"}), [])
    with pytest.raises(StudyFileError, match="same trainer"):
        warm_start(of_ours(), "old", study(), [])


def test_a_key_on_a_condition_that_does_not_hold_gets_any_value() -> None:
    space = SPACE | {"momentum": {"low": 0.5, "high": 0.99, "when": {"optimizer": "sgd"}}}
    (record,) = warm_start(of_ours(space=space), "old", of_ours(), [old()]).history
    assert "momentum" in record.spec.params
    assert "momentum" not in record.spec.recipe


def test_epochs_are_the_share_that_they_are_of_what_fits() -> None:
    spec = of_ours(limits={"trials": 10, "trial": 60})
    whole, single = (old(epochs=count) for count in (8, 1))
    starts = [warm_start(spec, "old", of_ours(), [record]) for record in (whole, single)]
    most, least = (start.history[0].spec.params["epochs_share"] for start in starts)
    assert least == 0.0
    assert most == 1.0, "six seconds each, and no more than eight fit with a margin"


def test_the_history_of_a_run_is_read_as_it_was_written_by_every_driver(tmp_path: Path) -> None:
    written_run(tmp_path, of_ours(name="old"), [old(), old(1, lr_scale=2.0)])
    spec = of_ours(name="new", goal="accuracy")
    starts = gather(spec, ["old"], tmp_path)
    paths = create_run(spec, here(), tmp_path)
    save_history(paths, starts)
    read = [(record.spec, record.state, record.outcome, record.epochs) for record in load_history(paths)]
    assert read == [(record.spec, record.state, record.outcome, record.epochs) for record in starts[0].history]
    search = Search(spec, paths.journal, history=load_history(paths))
    told = search.views["accuracy"].study.trials
    assert [trial.value for trial in told] == [0.8, 0.8]


def test_two_runs_are_numbered_on(tmp_path: Path) -> None:
    for name in ("one", "two"):
        written_run(tmp_path, of_ours(name=name), [old()])
    starts = gather(of_ours(), ["one", "two"], tmp_path)
    assert [record.number for start in starts for record in start.history] == [-1, -2]
    with pytest.raises(RunFolderError, match="no run 'three'"):
        gather(of_ours(), ["three"], tmp_path)


def test_a_target_that_the_history_does_not_come_near_is_called_out_of_reach() -> None:
    history = [old(number, accuracy=0.5 + number / 100) for number in range(10)]
    assert "best of 10 earlier trials got to 59.00%" in out_of_reach(of_ours(target=0.9), history)
    assert out_of_reach(of_ours(target=0.62), history) == ""
    assert out_of_reach(of_ours(target=0.9), history[:9]) == ""
