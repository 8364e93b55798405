"""What a study file says of the search: samplers by name, recipes to start with, keys on a condition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sweep_builders import study

from sweep.errors import StudyFileError
from sweep.search import Search
from sweep.search.forecast import draw_samples
from sweep.search.proposals import Params
from sweep.search.samplers import check_sampler

CONDITIONAL: dict[str, Any] = {
    "x": {"choices": ["slow", "quick"]},
    "wall": {"low": 0.5, "high": 0.9, "when": {"x": "quick"}},
}


def asked(folder: Path, count: int, **keys: Any) -> list[Params]:
    """The first recipes of a study, none of them told."""
    search = Search(study(**keys), folder / "journal.log")
    return [search.ask({}, 60.0).recipe for _ in range(count)]


# Samplers


@pytest.mark.parametrize(
    ("sampler", "options"),
    [
        ("auto", {}),
        ("gp", {"n_startup_trials": 3}),
        ("tpe", {"n_startup_trials": 3, "multivariate": False}),
        ("qmc", {"qmc_type": "halton"}),
        ("random", {}),
        ("NSGAIISampler", {"population_size": 4}),
    ],
)
def test_a_sampler_by_name_with_its_options_proposes(tmp_path, sampler, options):
    recipes = asked(tmp_path, 5, sampler=sampler, sampler_options=options)

    assert len({recipe["x"] for recipe in recipes}) == 5
    assert all(0 <= recipe["x"] <= 1 for recipe in recipes)


def test_a_quasi_random_sequence_fills_the_space_evenly(tmp_path):
    recipes = asked(tmp_path, 17, sampler="qmc")[1:]  # Optuna draws the first at random

    assert sorted(int(16 * min(recipe["x"], 0.999)) for recipe in recipes) == list(range(16))


def test_an_unknown_sampler_is_told_with_those_that_there_are():
    with pytest.raises(
        StudyFileError, match=r"sampler must be auto, curves, gp, tpe, random, qmc, or one of .*TPESampler"
    ):
        check_sampler(study(sampler="nothing"))


def test_an_option_that_a_sampler_does_not_take_is_told_with_those_that_it_takes():
    with pytest.raises(StudyFileError, match=r"sampler tpe cannot be made .*'wings'.*it takes .*n_startup_trials"):
        check_sampler(study(sampler="tpe", sampler_options={"wings": 2}))


def test_a_sampler_that_cannot_search_the_space_is_told_before_anything_runs():
    with pytest.raises(StudyFileError, match="BruteForceSampler cannot be made"):
        check_sampler(study(sampler="BruteForceSampler"))


def test_options_want_one_sampler():
    with pytest.raises(ValidationError, match='sampler_options are of one sampler; sampler = "auto" is several'):
        study(sampler_options={"seed": 3})


# Recipes to start with


def test_the_recipes_to_start_with_come_first_and_in_order(tmp_path):
    recipes = asked(tmp_path, 3, start=[{"x": 0.25}, {"x": 0.75}])

    assert [recipe["x"] for recipe in recipes[:2]] == [0.25, 0.75]
    assert recipes[2]["x"] not in (0.25, 0.75)


def test_what_a_recipe_to_start_with_leaves_out_is_proposed(tmp_path):
    space = {"x": {"low": 0.0, "high": 1.0}, "wall": {"low": 0.0, "high": 1.0}}

    (recipe,) = asked(tmp_path, 1, space=space, start=[{"x": 0.25}])

    assert recipe["x"] == 0.25
    assert 0 <= recipe["wall"] <= 1


def test_its_epochs_are_as_written_though_nothing_has_been_timed(tmp_path):
    space = {"epochs": {"up_to": 50}, "x": {"values": [1, 4, 9]}}

    (recipe,) = asked(tmp_path, 1, space=space, start=[{"epochs": 20, "x": 4}])

    assert (recipe["epochs"], recipe["x"]) == (20, 4)


def test_a_second_driver_goes_on_with_the_next_recipe_to_start_with(tmp_path):
    starts = [{"x": 0.25}, {"x": 0.75}]

    first = asked(tmp_path, 1, start=starts)
    second = asked(tmp_path, 1, start=starts)

    assert [recipe["x"] for recipe in first + second] == [0.25, 0.75]


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"y": 1}, "start 1: y is not searched; searched are x"),
        ({"x": 2}, "start 1: x = 2 is not in space.x"),
        ({"x": "a"}, "start 1: x = 'a' is not in space.x"),
        ({"x": True}, "start 1: x = True is not in space.x"),
    ],
)
def test_a_recipe_to_start_with_outside_the_space_is_refused(start, message):
    with pytest.raises(ValidationError, match=message):
        study(start=[start])


# Conditions


def test_a_key_is_part_of_the_recipes_that_meet_its_condition_only():
    recipes = [sample.recipe for sample in draw_samples(study(space=CONDITIONAL), {}, 30)]

    assert {recipe["x"] for recipe in recipes} == {"slow", "quick"}
    assert all(("wall" in recipe) == (recipe["x"] == "quick") for recipe in recipes)


def test_recipes_that_differ_in_an_idle_key_only_are_the_same(tmp_path):
    recipes = asked(tmp_path, 8, space=CONDITIONAL, sampler="random")

    assert len([recipe for recipe in recipes if recipe["x"] == "slow"]) <= 1


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"x": {"low": 0, "high": 1, "when": {"z": 1}}}, r"space.x.when.z: z is neither in \[space\] nor in"),
        (CONDITIONAL | {"x": {"choices": ["slow"]}}, "space.wall.when.x: 'quick' is no value of space.x"),
        (
            CONDITIONAL | {"deep": {"low": 0.0, "high": 1.0, "when": {"wall": [0.6]}}},
            "space.deep.when.wall: a condition must be on a key that has none itself",
        ),
        (
            {"x": {"choices": [1, 2]}, "epochs": {"up_to": 3, "when": {"x": 1}}},
            "space.epochs.when.x: epochs with up_to are part of every recipe",
        ),
    ],
)
def test_a_condition_that_can_never_hold_or_be_judged_is_refused(space, message):
    with pytest.raises(ValidationError, match=message):
        study(space=space)
