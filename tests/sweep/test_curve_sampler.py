"""The sampler that learns from every epoch."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweep_builders import ended, epoch, exact_model, study, trial_spec

from sweep.errors import StudyFileError
from sweep.records import TrialRecord, TrialState
from sweep.search import Search, samplers
from sweep.search.curve_sampler import POINTS, curve, expected_excess, expected_saving, learn
from sweep.search.features import Features
from sweep.search.samplers import CURVES, check_sampler, sampler_name
from sweep.spec import StudySpec
from sweep.timings import setting_of
from sweep.walltime import WalltimeModels

STARTS = samplers.STARTS[CURVES]
SPACE: dict[str, Any] = {"x": {"low": 0.0, "high": 1.0}, "epochs": {"up_to": 8}}
MODELS: WalltimeModels = {setting_of({}): exact_model(2.0, startup_seconds=1.0, margin=1.1)}


def accuracy_at(recipe: dict[str, Any], done: int) -> float:
    """Best at x = 0.3; curves that bend down."""
    return (0.9 - abs(recipe["x"] - 0.3)) * done / (done + 1)


def trained(record: TrialRecord, epochs: int | None = None, state: str = "completed") -> TrialRecord:
    """The trial after some of its epochs, of two seconds each."""
    whole = record.spec.recipe["epochs"]
    reports = tuple(
        epoch(done, 2.0 * done, accuracy_at(record.spec.recipe, done), epochs=whole)
        for done in range(1, (epochs or whole) + 1)
    )
    if state == "running":
        return replace(record, state=TrialState.RUNNING, attempts=1, in_flight=True, epochs=reports)
    last = reports[-1]
    made = ended(record.number, state, last.validation_accuracy, last.train_seconds, spec=record.spec)
    return replace(made, epochs=reports)


def asked(search: Search, *running: TrialRecord) -> TrialRecord:
    new = search.ask(MODELS, 60.0, running=running)
    return TrialRecord(trial_spec(new.number, recipe=new.recipe, params=new.params))


def searched(spec: StudySpec, folder: Path, count: int) -> list[dict[str, Any]]:
    """The recipes of a search whose trials are all trained to their end."""
    folder.mkdir(exist_ok=True)
    search, recipes = Search(spec, folder / "journal.log"), []
    for _ in range(count):
        record = asked(search)
        search.tell(trained(record))
        recipes.append(record.spec.recipe)
    return recipes


def spec_of(**changes: Any) -> StudySpec:
    return study(**({"space": SPACE, "goal": "accuracy", "target": 0.75} | changes))


# Which studies it is for


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"space": SPACE}, CURVES),
        ({"fixed": {"epochs": 5}}, CURVES),
        ({"space": {**SPACE, "epochs": {"values": [1, 5]}}}, CURVES),
        ({"space": {**SPACE, "epochs": {"powers_of": 2, "high": 8}}}, CURVES),
        ({"space": {**SPACE, "epochs": {"low": 1, "high": 8}}}, CURVES),
        ({"space": {**SPACE, "epochs": {"choices": [2, 4]}}}, CURVES),
        ({"space": {**SPACE, "epochs": {"low": 1.5, "high": 8.5}}}, "gp"),
        ({"space": {**SPACE, "epochs": {"choices": ["few", "many"]}}}, "gp"),
        ({"space": {**SPACE, "epochs": {"low": 1, "high": 8, "when": {"x": 0.5}}}}, "gp"),
        ({"fixed": {"epochs": "many"}}, "gp"),
        ({}, "gp"),
    ],
)
def test_auto_takes_it_where_every_recipe_has_epochs(changes: dict[str, Any], name: str) -> None:
    assert sampler_name(study(**changes), 0) == name


def test_a_study_without_epochs_cannot_have_it() -> None:
    with pytest.raises(StudyFileError, match="sampler curves needs `epochs` in"):
        check_sampler(study(sampler=CURVES))


def test_it_takes_no_options() -> None:
    with pytest.raises(StudyFileError, match=r"sampler curves takes no options; got \{'seed': 3\}"):
        check_sampler(spec_of(sampler=CURVES, sampler_options={"seed": 3}))


# What it proposes


@pytest.mark.parametrize("goal", ["accuracy", "speed", "both"])
def test_it_finds_the_best_recipes_soon(tmp_path: Path, goal: str) -> None:
    recipes = searched(spec_of(goal=goal), tmp_path, STARTS + 6)
    assert min(abs(recipe["x"] - 0.3) for recipe in recipes[STARTS:]) < 0.05


def test_for_accuracy_it_takes_the_epochs_that_fit_and_for_speed_those_that_the_target_needs(
    tmp_path: Path,
) -> None:
    accurate, quick = (
        searched(spec_of(goal=goal, target=0.6), tmp_path / goal, STARTS + 12) for goal in ("accuracy", "speed")
    )
    assert max(accurate, key=lambda recipe: accuracy_at(recipe, recipe["epochs"]))["epochs"] == 8
    hits = [recipe["epochs"] for recipe in quick if accuracy_at(recipe, recipe["epochs"]) >= 0.6]
    assert min(hits) == 3, "no recipe is at 60 % after two"


def test_it_proposes_the_same_again_after_a_restart(tmp_path: Path) -> None:
    told = []
    for folder, reopen in ((tmp_path / "once", False), (tmp_path / "again", True)):
        folder.mkdir()
        search, records = Search(spec_of(seed=3), folder / "journal.log"), dict[int, TrialRecord]()
        for _ in range(STARTS + 4):
            record = trained(asked(search))
            records[record.number] = record
            search.tell(record)
            if reopen:
                search = Search(spec_of(seed=3), folder / "journal.log")
                search.reconcile(records)
        told.append([record.spec.recipe for record in records.values()])
    assert told[0] == told[1]


def test_it_learns_from_trials_that_still_run(tmp_path: Path) -> None:
    misses = []
    for seed in range(4):
        search = Search(spec_of(seed=seed), tmp_path / f"{seed}.log")
        running = [trained(asked(search), epochs=1, state="running") for _ in range(STARTS + 6)]
        misses.append(abs(asked(search, *running).spec.recipe["x"] - 0.3))
    assert sum(misses) / 4 < 0.2, "one drawn at random misses by 0.29, and none has ended"


def test_what_runs_already_is_not_proposed_a_second_time(tmp_path: Path) -> None:
    def spread(folder: Path, *, is_told: bool) -> float:
        folder.mkdir()
        search = Search(spec_of(), folder / "journal.log")
        for _ in range(STARTS + 4):
            search.tell(trained(asked(search)))
        waiting: list[TrialRecord] = []
        for _ in range(4):
            waiting.append(asked(search, *(waiting if is_told else [])))
        return float(np.ptp([record.spec.recipe["x"] for record in waiting]))

    assert spread(tmp_path / "told", is_told=True) > spread(tmp_path / "untold", is_told=False)


def test_it_begins_with_the_history_of_other_studies(tmp_path: Path) -> None:
    specs = [
        trial_spec(
            -1 - index, recipe={"x": index / 10, "epochs": 4}, params={"x": index / 10, "epochs_share": 0.7}
        )
        for index in range(11)
    ]
    history = [trained(TrialRecord(spec)) for spec in specs]
    search = Search(spec_of(), tmp_path / "journal.log", history=history)
    assert abs(asked(search).spec.recipe["x"] - 0.3) < 0.2


# What it learns from


def test_a_curve_is_the_epochs_of_a_trial() -> None:
    record = TrialRecord(trial_spec(recipe={"x": 0.3, "epochs": 4}))
    assert curve(record) == []
    assert curve(trained(record, epochs=2, state="running")) == [(1, 4, 0.45), (2, 4, pytest.approx(0.6))]
    assert len(curve(trained(record))) == 4


@pytest.mark.parametrize(("state", "points"), [("failed", 0), ("diverged", 3), ("pruned", 2), ("deadline", 2)])
def test_a_failure_teaches_nothing_and_a_diverged_trial_that_it_ends_at_none(state: str, points: int) -> None:
    record = TrialRecord(trial_spec(recipe={"x": 0.3, "epochs": 4}))
    seen = curve(trained(record, epochs=2, state=state))
    assert len(seen) == points
    assert (seen[-1] == (4, 4, 0.0)) if state == "diverged" else True


def test_a_trainer_that_reports_no_epochs_teaches_by_its_results() -> None:
    spec = trial_spec(recipe={"x": 0.3, "epochs": 4})
    assert curve(ended(accuracy=0.7, spec=spec)) == [(4, 4, 0.7)]


def test_of_many_trials_it_learns_from_the_best_and_the_newest() -> None:
    specs = [trial_spec(number, recipe={"x": number / 1000, "epochs": 4}) for number in range(2 * POINTS)]
    trials = [trained(TrialRecord(spec)) for spec in specs]
    process = learn(Features(spec_of()), trials)
    assert len(process.points) == POINTS
    seen = set(process.points[:, 0])
    assert {0.3, (2 * POINTS - 1) / 1000} <= seen
    assert 0.0 not in seen


# What is promising


def test_expected_excess_is_the_mean_of_what_is_above() -> None:
    drawn = np.random.default_rng(0).normal(0.6, 0.05, 400_000)
    (excess,) = expected_excess(np.array([0.6]), np.array([0.05]), 0.62)
    assert excess == pytest.approx(np.maximum(0.0, drawn - 0.62).mean(), rel=0.02)


def test_expected_saving_counts_what_reaches_the_target_sooner() -> None:
    saved = expected_saving(np.array([0.5, 1.0, 1.0]), np.array([10.0, 10.0, 40.0]), 20.0)
    assert saved == pytest.approx([math.log(2) / 2, math.log(2), 0.0])


# Recipes as points


def test_every_key_spans_one_unit() -> None:
    space = {
        "lr": {"low": 1e-3, "high": 1.0, "log": True},
        "batch_size": {"values": [8, 64, 512]},
        "optimizer": {"choices": ["sgd", "adam", "muon"]},
        "epochs": {"up_to": 8},
    }
    features = Features(study(space=space))
    assert features.groups == [0, 1, 2, 2, 2, 3, 4, 5]
    low = features.point({"lr": 1e-3, "batch_size": 8, "optimizer": "sgd"}, 1, 1)
    high = features.point({"lr": 1.0, "batch_size": 512, "optimizer": "muon"}, 8, 8)
    columns = np.array(features.groups)
    apart = [math.dist(np.array(low)[columns == group], np.array(high)[columns == group]) for group in range(6)]
    assert apart == pytest.approx([1, 1, 1, 1, 1, 0])


def test_a_key_that_does_not_apply_is_in_the_middle() -> None:
    space = {
        "optimizer": {"choices": ["sgd", "momentum"]},
        "momentum": {"low": 0.0, "high": 0.99, "when": {"optimizer": "momentum"}},
    }
    features = Features(study(space=space, fixed={"epochs": 3}))
    assert features.point({"optimizer": "sgd"}, 3, 3)[2] == 0.5
