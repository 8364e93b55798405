"""Proposals and what becomes of them: ask and tell on a journal file."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState as Verdict
from sweep_builders import HERE, ended, exact_model, study, trial_spec

from sweep.records import TrialRecord
from sweep.search import Search, SpaceExhaustedError
from sweep.search.proposals import distributions
from sweep.search.samplers import GRID_POINTS, grid, mixed_seed
from sweep.spec import StudySpec
from sweep.timings import setting_of
from sweep.walltime import WalltimeModels

LIMIT = 60.0
MIXED = {
    "x": {"low": 0.0, "high": 1.0},
    "batch_size": {"powers_of": 2, "low": 8, "high": 64},
    "optimizer": {"choices": ["sgd", "momentum", "adam"]},
    "width": {"low": 1, "high": 64, "log": True},
}
GRID = {"batch_size": {"values": [8, 16, 32]}, "optimizer": {"choices": ["sgd", "adam"]}}


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.log"


def ask(search: Search, models: WalltimeModels = MappingProxyType({})) -> TrialRecord:
    """A proposal, written down."""
    new = search.ask(models, LIMIT)
    return TrialRecord(trial_spec(new.number, recipe=new.recipe, params=new.params))


def measured(record: TrialRecord, state: str = "completed") -> TrialRecord:
    """The proposal's end: the nearer x to 0.3 the better, the larger the batch the slower."""
    recipe = record.spec.recipe
    accuracy = 1 - abs(recipe.get("x", 0.3) - 0.3) / 2
    return ended(record.number, state, accuracy, float(recipe.get("batch_size", 1)), spec=record.spec)


def proposals(spec: StudySpec, journal: Path, count: int, reopen: bool = False) -> list[dict[str, Any]]:
    """The recipes of so many trials, each told before the next is asked for."""
    search, records = Search(spec, journal), dict[int, TrialRecord]()
    for _ in range(count):
        record = measured(ask(search))
        records[record.number] = record
        search.tell(record)
        if reopen:
            search = Search(spec, journal)
            search.reconcile(records)
    return [record.spec.recipe for record in records.values()]


def heard(search: Search) -> list[tuple[Verdict, float | None]]:
    return [(trial.state, trial.value) for trial in search.stored.study.get_trials()]


def test_trials_are_numbered_and_seeded_in_order(journal: Path) -> None:
    search = Search(study(seed=40), journal)
    records = [ask(search) for _ in range(3)]
    assert [(record.number, record.spec.recipe["seed"]) for record in records] == [(0, 40), (1, 41), (2, 42)]


def test_a_seed_that_is_fixed_is_that_of_every_trial(journal: Path) -> None:
    search = Search(study(fixed={"seed": 5}), journal)
    assert [ask(search).spec.recipe["seed"] for _ in range(2)] == [5, 5]


def test_proposals_are_within_the_space(journal: Path) -> None:
    for recipe in proposals(study(space=MIXED, sampler="random"), journal, 10):
        assert 0 <= recipe["x"] <= 1
        assert recipe["batch_size"] in (8, 16, 32, 64)
        assert recipe["optimizer"] in ("sgd", "momentum", "adam")
        assert isinstance(recipe["width"], int)
        assert 1 <= recipe["width"] <= 64


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp"])
def test_every_recipe_of_a_small_grid_is_proposed_once_and_then_no_more(journal: Path, sampler: str) -> None:
    search, proposed = Search(study(space=GRID, sampler=sampler), journal), set()
    for _ in range(6):
        record = ask(search)
        search.tell(measured(record))
        proposed.add((record.spec.recipe["batch_size"], record.spec.recipe["optimizer"]))
    assert len(proposed) == 6
    with pytest.raises(SpaceExhaustedError):
        ask(search)


def test_trials_that_run_are_not_proposed_again(journal: Path) -> None:
    search = Search(study(space=GRID), journal)
    recipes = [ask(search).spec.recipe for _ in range(6)]
    assert len({(recipe["batch_size"], recipe["optimizer"]) for recipe in recipes}) == 6


def test_recipes_of_an_earlier_session_are_not_proposed_again(journal: Path) -> None:
    spec = study(space=GRID)
    search = Search(spec, journal)
    records = {number: ask(search) for number in range(5)}
    search = Search(spec, journal)
    search.reconcile(records)
    records[5] = ask(search)
    kinds = {(record.spec.recipe["batch_size"], record.spec.recipe["optimizer"]) for record in records.values()}
    assert len(kinds) == 6


def test_asking_an_exhausted_space_leaves_nothing_behind(journal: Path) -> None:
    search = Search(study(space={"optimizer": {"choices": ["sgd"]}}), journal)
    record = ask(search)
    search.tell(ended(spec=record.spec))
    before = heard(search)
    for _ in range(2):
        with pytest.raises(SpaceExhaustedError):
            ask(search)
        assert heard(search) == before
    assert Search(search.spec, journal).reconcile({0: ended(spec=record.spec)}) == []


def test_a_grid_has_every_point_of_a_discrete_space_once_in_an_order_of_its_seed() -> None:
    spec = study(space={**GRID, "width": {"low": 2, "high": 5, "log": True}})
    points = [tuple(point.items()) for point in grid(distributions(spec), seed=0)]
    assert set(points) == {
        (("batch_size_rank", rank), ("optimizer", optimizer), ("width", width))
        for rank in range(3)
        for optimizer in ("sgd", "adam")
        for width in range(2, 6)
    }
    assert len(points) == len(set(points))
    again, other = ([tuple(point.items()) for point in grid(distributions(spec), seed)] for seed in (0, 1))
    assert again == points != other


@pytest.mark.parametrize("key", [{"low": 0.0, "high": 1.0}, {"low": 1, "high": GRID_POINTS // 6 + 1}])
def test_a_continuous_or_large_space_has_no_grid(key: dict[str, float]) -> None:
    assert list(grid(distributions(study(space={**GRID, "key": key})), seed=0)) == []


def test_a_discrete_space_of_many_recipes_is_proposed_to_its_last_one(journal: Path) -> None:
    space = {"width": {"low": 1, "high": 40}, "batch_size": {"powers_of": 2, "low": 8, "high": 128}}
    search = Search(study(space=space, sampler="random", seed=4), journal)  # tries at random alone miss two
    recipes = [ask(search).spec.recipe for _ in range(200)]
    assert {(recipe["width"], recipe["batch_size"]) for recipe in recipes} == {
        (width, batch_size) for width in range(1, 41) for batch_size in (8, 16, 32, 64, 128)
    }
    with pytest.raises(SpaceExhaustedError):
        ask(search)


def test_a_seed_that_is_searched_makes_recipes_of_its_own(journal: Path) -> None:
    search = Search(study(space={"seed": {"values": [1, 2, 3]}}), journal)
    assert {ask(search).spec.recipe["seed"] for _ in range(3)} == {1, 2, 3}


def test_the_same_seed_gives_the_same_proposals(tmp_path: Path) -> None:
    spec = study(space=MIXED, sampler="tpe", seed=3)
    once = proposals(spec, tmp_path / "once.log", 12)
    assert proposals(spec, tmp_path / "again.log", 12) == once


@pytest.mark.parametrize(("sampler", "count"), [("random", 5), ("tpe", 12), ("gp", 12)])
def test_a_study_that_is_resumed_after_each_trial_gets_the_same_proposals(
    tmp_path: Path, sampler: str, count: int
) -> None:
    spec = study(space=MIXED, sampler=sampler, seed=3)
    once = proposals(spec, tmp_path / "once.log", count)
    assert proposals(spec, tmp_path / "again.log", count, reopen=True) == once


ASKER = """
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import MappingProxyType
import test_search
print(test_search.proposals(test_search.study(space=test_search.MIXED, sampler=sys.argv[1]), Path(sys.argv[2]), 2))
"""


def test_the_same_seed_gives_the_same_proposals_in_every_process(tmp_path: Path) -> None:
    told = set()
    for hash_seed in ("1", "2", "3"):
        path = os.pathsep.join([str(HERE), str(HERE.parent)])
        env = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", ASKER, "random", str(tmp_path / f"{hash_seed}.log")]
        told.add(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)
    assert len(told) == 1


def test_neighbouring_seeds_share_no_proposals(tmp_path: Path) -> None:
    drawn = [
        {recipe["x"] for recipe in proposals(study(seed=seed, sampler="random"), tmp_path / f"{seed}.log", 8)}
        for seed in (0, 1)
    ]
    assert drawn[0].isdisjoint(drawn[1])


def test_seeds_that_were_mixed_have_32_bits_and_are_the_same_each_time() -> None:
    seeds = [mixed_seed(*parts) for parts in product((0, 1, 2**31 - 1), (0, 1, 10**6), (0, 199))]
    assert all(isinstance(seed, int) and 0 <= seed < 2**32 for seed in seeds)
    assert seeds == [mixed_seed(*parts) for parts in product((0, 1, 2**31 - 1), (0, 1, 10**6), (0, 199))]


@given(st.lists(st.tuples(*3 * [st.integers(0, 50)]), min_size=2, max_size=20, unique=True))
def test_seeds_of_different_studies_trials_and_tries_differ(parts: list[tuple[int, int, int]]) -> None:
    assert len({mixed_seed(*part) for part in parts}) == len(parts)


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp"])
def test_the_greatest_seed_of_a_study_serves_every_sampler(journal: Path, sampler: str) -> None:
    spec = study(space=MIXED, sampler=sampler, seed=2**31 - 1)
    recipes = proposals(spec, journal, 12)  # past the ten random ones that TPE begins with
    assert [recipe["seed"] for recipe in recipes] == [2**31 - 1 + number for number in range(12)]
    assert len({repr({**recipe, "seed": 0}) for recipe in recipes}) == 12


def test_a_space_is_searched_to_its_last_recipe_with_the_greatest_seed(journal: Path) -> None:
    search = Search(study(space=GRID, seed=2**31 - 1), journal)
    assert (
        len(
            {(recipe["batch_size"], recipe["optimizer"]) for recipe in (ask(search).spec.recipe for _ in range(6))}
        )
        == 6
    )
    with pytest.raises(SpaceExhaustedError):
        ask(search)


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_a_sampler_that_learns_proposes_better_than_it_began(journal: Path, sampler: str) -> None:
    spec = study(goal="accuracy", sampler=sampler, fixed={"batch_size": 1})
    misses = [abs(recipe["x"] - 0.3) for recipe in proposals(spec, journal, 16)]
    assert sum(misses[10:]) < sum(misses[:10])


@pytest.mark.parametrize(("goal", "direction"), [("speed", "MINIMIZE"), ("accuracy", "MAXIMIZE")])
def test_seconds_are_minimised_and_accuracy_is_maximised(journal: Path, goal: str, direction: str) -> None:
    assert Search(study(goal=goal), journal).stored.study.direction.name == direction


@pytest.mark.parametrize(("goal", "value"), [("speed", math.log(10.0)), ("accuracy", 0.95)])
def test_optuna_hears_the_value_of_a_trial_that_ended(journal: Path, goal: str, value: float) -> None:
    search = Search(study(goal=goal), journal)
    record = ask(search)
    search.tell(ended(spec=record.spec))
    assert heard(search) == [(Verdict.COMPLETE, value)]


def test_optuna_hears_that_a_trial_failed(journal: Path) -> None:
    search = Search(study(), journal)
    search.tell(measured(ask(search), "failed"))
    assert heard(search) == [(Verdict.FAIL, None)]


def test_optuna_hears_a_bad_value_of_a_trial_that_diverged(journal: Path) -> None:
    search = Search(study(), journal)
    search.tell(measured(ask(search)))
    search.tell(measured(ask(search), "diverged"))
    (_, good), (state, bad) = heard(search)
    assert state == Verdict.COMPLETE
    assert good is not None
    assert bad is not None
    assert bad > good


def test_optuna_keeps_the_recipe_and_the_outcome_beside_the_value(journal: Path) -> None:
    search = Search(study(), journal)
    record = measured(ask(search))
    search.tell(record)
    (trial,) = search.stored.study.get_trials()
    assert trial.user_attrs == {
        "recipe": record.spec.recipe,
        "outcome": "completed",
        "accuracy": record.accuracy,
        "train_seconds": record.train_seconds,
    }


def test_a_trial_that_is_told_twice_is_heard_once(journal: Path) -> None:
    search = Search(study(), journal)
    record = ask(search)
    search.tell(ended(spec=record.spec))
    before = heard(search)
    search.tell(ended(spec=record.spec, accuracy=0.1))
    assert heard(search) == before


def cut_short(record: TrialRecord, accuracy: float = 0.5) -> TrialRecord:
    """The proposal's end with a limit that the end of a budget has left."""
    return ended(record.number, "deadline", accuracy, spec=replace(record.spec, limit_seconds=LIMIT / 2))


def test_optuna_hears_no_value_of_a_trial_that_was_cut_short(journal: Path) -> None:
    search = Search(study(), journal)
    search.tell(cut_short(ask(search)))
    search.tell(cut_short(ask(search), accuracy=0.95))
    assert heard(search) == [(Verdict.FAIL, None), (Verdict.COMPLETE, math.log(10.0))]


def test_a_recipe_whose_trial_was_cut_short_is_proposed_again_when_the_study_is_resumed(journal: Path) -> None:
    spec = study(space=GRID)
    search = Search(spec, journal)
    records = {number: ask(search) for number in range(6)}
    records = {number: (cut_short if number == 2 else measured)(record) for number, record in records.items()}
    search = Search(spec, journal)
    search.reconcile(records)
    again = ask(search)
    kinds = [(record.spec.recipe["batch_size"], record.spec.recipe["optimizer"]) for record in (again, records[2])]
    assert kinds[0] == kinds[1]
    with pytest.raises(SpaceExhaustedError):
        ask(search)


def test_epochs_are_proposed_within_what_fits_the_limit(journal: Path) -> None:
    model = exact_model(constant=1.0, per_batch=80.0, startup_seconds=5.0, margin=1.1)
    search = Search(study(space={"epochs": {"up_to": 90}, "batch_size": {"values": [8, 80]}}), journal)
    for _ in range(8):
        recipe = ask(search, {setting_of({}): model}).spec.recipe
        assert model.enough_seconds(recipe["batch_size"], recipe["epochs"]) <= LIMIT


def test_only_batch_sizes_of_which_an_epoch_fits_are_proposed(journal: Path) -> None:
    model = exact_model(constant=1.0, per_batch=800.0, startup_seconds=0.0, margin=1.0)
    search = Search(study(space={"epochs": {"up_to": 90}, "batch_size": {"values": [8, 800]}}), journal)
    assert {ask(search, {setting_of({}): model}).spec.recipe["batch_size"] for _ in range(4)} == {800}


def test_a_limit_in_which_no_epoch_fits_exhausts_the_space(journal: Path) -> None:
    model = exact_model(constant=100.0, startup_seconds=0.0, margin=1.1)
    search = Search(study(space={"epochs": {"up_to": 90}}), journal)
    with pytest.raises(SpaceExhaustedError):
        ask(search, {setting_of({}): model})


def test_a_limit_in_which_no_epoch_fits_exhausts_a_space_of_any_size(journal: Path) -> None:
    model = exact_model(constant=100.0, startup_seconds=0.0, margin=1.1)
    space = {"width": {"low": 1, "high": 10**15}, "epochs": {"up_to": 90}}
    search = Search(study(space=space, sampler="random"), journal)
    with pytest.raises(SpaceExhaustedError):
        ask(search, {setting_of({}): model})


def test_epochs_are_proposed_by_the_timings_of_their_network(journal: Path) -> None:
    models = {
        setting_of({"model": name}): exact_model(pace, startup_seconds=0.0, margin=1.0)
        for name, pace in (("slow", 30.0), ("quick", 1.0))
    }
    space = {"epochs": {"up_to": 90}, "model": {"choices": ["slow", "quick"]}}
    search, most = Search(study(space=space, sampler="random"), journal), {"slow": 0, "quick": 0}
    for _ in range(20):
        recipe = ask(search, models).spec.recipe
        most[recipe["model"]] = max(most[recipe["model"]], recipe["epochs"])
    assert most["slow"] == 2
    assert 2 < most["quick"] <= LIMIT


def test_a_network_may_be_given_as_a_list_of_its_layers(journal: Path) -> None:
    model = exact_model(constant=30.0, startup_seconds=0.0, margin=1.0)
    search = Search(study(fixed={"model": [64, 32]}, space={"epochs": {"up_to": 90}}), journal)
    recipes = [ask(search, {setting_of({"model": [64, 32]}): model}).spec.recipe for _ in range(2)]
    assert [recipe["model"] for recipe in recipes] == [[64, 32], [64, 32]]
    assert {recipe["epochs"] for recipe in recipes} == {1, 2}
