"""Between a recipe and what Optuna sees of it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState as Verdict
from sweep_builders import ended, epoch, exact_model, study, trial_spec

from sweep.search.forecast import draw_samples
from sweep.search.proposals import (
    attributes,
    decode,
    distributions,
    goal_of,
    identity,
    objective,
    untimed_recipes,
    verdict,
    was_cut_short,
)
from sweep.search.samplers import GP_TRIALS, sampler_name
from sweep.timings import setting_of
from sweep.walltime import UNTIMED_EPOCHS, WalltimeModels

BATCHES = [8, 64, 512]
SPEC = study(
    fixed={"model": "convnet", "momentum": 0.9},
    space={
        "epochs": {"up_to": 40},
        "batch_size": {"values": BATCHES},
        "optimizer": {"choices": ["sgd", "adam"]},
        "width": {"low": 1, "high": 64, "log": True},
        "lr": {"low": 1e-4, "high": 1.0, "log": True},
    },
)
MODEL = exact_model(constant=1.0, per_batch=80.0, startup_seconds=5.0, margin=1.1)
MODELS = {setting_of(SPEC.fixed): MODEL}
LIMIT = 60.0


def params(share: float = 0.5, rank: int = 0) -> dict[str, Any]:
    return {"epochs_share": share, "batch_size_rank": rank, "optimizer": "adam", "width": 3, "lr": 0.01}


def epochs_for(share: float, rank: int = 0, models: WalltimeModels = MODELS, limit: float = LIMIT) -> int | None:
    recipe = decode(SPEC, params(share, rank), models, limit)
    return None if recipe is None else recipe["epochs"]


def test_optuna_searches_shares_of_epochs_and_ranks_of_ordinals() -> None:
    assert distributions(SPEC) == {
        "epochs_share": FloatDistribution(0.0, 1.0),
        "batch_size_rank": IntDistribution(0, 2),
        "optimizer": CategoricalDistribution(("sgd", "adam")),
        "width": IntDistribution(1, 64, log=True),
        "lr": FloatDistribution(1e-4, 1.0, log=True),
    }


def test_a_recipe_has_the_fixed_keys_and_the_searched_ones() -> None:
    assert decode(SPEC, params(share=0.0, rank=1), MODELS, LIMIT) == {
        "model": "convnet",
        "momentum": 0.9,
        "epochs": 1,
        "batch_size": 64,
        "optimizer": "adam",
        "width": 3,
        "lr": 0.01,
    }


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_the_whole_share_is_all_the_epochs_that_fit(rank: int) -> None:
    assert epochs_for(1.0, rank) == min(40, MODEL.fitting_epochs(BATCHES[rank], LIMIT))


@given(st.floats(0, 1), st.integers(0, 2), st.floats(1, 1000))
def test_no_proposal_is_predicted_to_exceed_the_limit(share: float, rank: int, limit: float) -> None:
    proposed = epochs_for(share, rank, limit=limit)
    if proposed is None:
        assert MODEL.enough_seconds(BATCHES[rank], 1) > limit
    else:
        assert 1 <= proposed <= 40
        assert MODEL.enough_seconds(BATCHES[rank], proposed) <= limit * (1 + 1e-9)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_greater_share_never_means_fewer_epochs(one: float, other: float) -> None:
    less, more = epochs_for(min(one, other)), epochs_for(max(one, other))
    assert less is not None
    assert more is not None
    assert less <= more


def test_there_is_no_recipe_if_not_even_one_epoch_fits() -> None:
    assert epochs_for(0.0, limit=10.0) is None


@given(st.floats(0, 1))
def test_few_epochs_are_proposed_while_nothing_was_timed_of_the_network(share: float) -> None:
    proposed = epochs_for(share, models={setting_of({"model": "mlp"}): MODEL})
    assert proposed is not None
    assert 1 <= proposed <= UNTIMED_EPOCHS


def test_epochs_without_a_budget_are_searched_like_any_other_key() -> None:
    spec = study(space={"epochs": {"values": [10, 100]}})
    assert decode(spec, {"epochs_rank": 1}, {setting_of({}): MODEL}, 1.0) == {"epochs": 100}


@pytest.mark.parametrize("accuracy", [0.0, 0.4, 1.0])
def test_the_value_of_goal_accuracy_is_the_accuracy(accuracy: float) -> None:
    assert objective(SPEC, "accuracy", accuracy, 10.0) == accuracy


def test_the_value_of_goal_speed_is_the_logarithm_of_the_seconds_to_the_target() -> None:
    assert objective(SPEC, "speed", 0.9, 20.0) == math.log(20.0)


@given(st.floats(0, 0.89), st.floats(0, LIMIT))
def test_missing_the_target_is_worse_than_any_way_of_reaching_it(missed: float, seconds: float) -> None:
    assert objective(SPEC, "speed", missed, None) > objective(SPEC, "speed", 0.9, seconds)


@given(st.floats(0, 0.89), st.floats(0, 0.89))
def test_missing_by_more_is_never_better(one: float, other: float) -> None:
    worse, better = (objective(SPEC, "speed", accuracy, None) for accuracy in sorted((one, other)))
    assert worse >= better


@pytest.mark.parametrize("state", ["failed", "timeout", "lost"])
def test_a_failure_has_no_value(state: str) -> None:
    assert verdict(SPEC, ended(0, state, accuracy=0.95), "speed") == (Verdict.FAIL, None)


@pytest.mark.parametrize("state", ["diverged", "out_of_memory"])
@pytest.mark.parametrize("accuracy", [None, 0.95])
def test_a_recipe_that_cannot_be_trained_has_the_worst_value(state: str, accuracy: float | None) -> None:
    assert verdict(SPEC, ended(0, state, accuracy), "speed") == (
        Verdict.COMPLETE,
        objective(SPEC, "speed", 0.0, None),
    )


@pytest.mark.parametrize("state", ["completed", "target", "deadline", "pruned"])
def test_a_trial_that_was_measured_has_the_value_of_its_measurement(state: str) -> None:
    assert verdict(SPEC, ended(0, state, 0.95, 7.0), "speed") == (Verdict.COMPLETE, math.log(7.0))


def test_a_trial_that_measured_nothing_has_no_value() -> None:
    assert verdict(SPEC, ended(0, "deadline", None), "speed") == (Verdict.FAIL, None)


@pytest.mark.parametrize("state", ["deadline", "pruned"])
@pytest.mark.parametrize("accuracy", [0.89, None])
def test_a_trial_that_a_shorter_limit_ended_before_the_target_has_no_value(
    state: str, accuracy: float | None
) -> None:
    record = ended(0, state, accuracy, spec=trial_spec(limit_seconds=59.9))
    assert was_cut_short(SPEC, record)
    assert verdict(SPEC, record, "speed") == (Verdict.FAIL, None)


@pytest.mark.parametrize("state", ["completed", "diverged", "out_of_memory"])
def test_a_trial_that_came_to_its_own_end_within_a_shorter_limit_has_its_value(state: str) -> None:
    record = ended(0, state, 0.5, spec=trial_spec(limit_seconds=59.9))
    assert not was_cut_short(SPEC, record)
    assert verdict(SPEC, record, "speed")[0] == Verdict.COMPLETE


def test_a_trial_that_ran_for_accuracy_is_as_fast_as_its_first_epoch_at_the_target() -> None:
    walls = {10.0: 0.5, 20.0: 0.9, 30.0: 0.95}
    epochs = tuple(epoch(number, wall, accuracy) for number, (wall, accuracy) in enumerate(walls.items(), 1))
    record = replace(ended(0, "completed", 0.95, 27.0), epochs=epochs)
    assert verdict(SPEC, record, "speed") == (Verdict.COMPLETE, math.log(epochs[1].train_seconds))
    assert verdict(SPEC, record, "accuracy") == (Verdict.COMPLETE, 0.95)


def test_goal_both_takes_its_goals_in_turn() -> None:
    both = study(goal="both")
    assert [goal_of(both, number) for number in range(4)] == ["speed", "accuracy", "speed", "accuracy"]
    assert {goal_of(SPEC, number) for number in range(4)} == {"speed"}


def test_a_trial_that_reached_the_target_within_a_shorter_limit_has_its_value() -> None:
    record = ended(0, "target", 0.9, 7.0, spec=trial_spec(limit_seconds=6.0))
    assert not was_cut_short(SPEC, record)
    assert verdict(SPEC, record, "speed") == (Verdict.COMPLETE, math.log(7.0))


def test_a_trial_of_the_whole_limit_that_missed_the_target_has_its_value() -> None:
    record = ended(0, "deadline", 0.5, spec=trial_spec(limit_seconds=60.0))
    assert not was_cut_short(SPEC, record)
    assert verdict(SPEC, record, "speed") == (Verdict.COMPLETE, objective(SPEC, "speed", 0.5, None))


def test_a_dashboard_shows_state_accuracy_and_seconds() -> None:
    shown = attributes(ended(0, "target", 0.95, 7.0))
    assert shown == {"outcome": "target", "accuracy": 0.95, "train_seconds": 7.0}


def test_recipes_are_the_same_whatever_the_seed_and_the_order_of_the_keys() -> None:
    assert identity(SPEC, {"a": 1, "b": "x", "seed": 1}) == identity(SPEC, {"b": "x", "a": 1, "seed": 2})


def test_recipes_that_differ_in_the_seed_are_not_the_same_where_seeds_are_searched() -> None:
    spec = study(space={"seed": {"values": [1, 2]}})
    assert identity(spec, {"a": 1, "seed": 1}) != identity(spec, {"a": 1, "seed": 2})


@pytest.mark.parametrize("other", [{"a": 2}, {"a": 1.0}, {"a": "1"}, {"a": 1, "b": 1}, {"b": 1}, {}])
def test_recipes_that_differ_in_anything_else_are_not_the_same(other: dict[str, Any]) -> None:
    assert identity(SPEC, {"a": 1}) != identity(SPEC, other)


@pytest.mark.parametrize(
    ("sampler", "trials", "name"),
    [
        ("auto", 0, "gp"),
        ("auto", GP_TRIALS - 1, "gp"),
        ("auto", GP_TRIALS, "tpe"),
        ("gp", 9999, "gp"),
        ("tpe", 0, "tpe"),
        ("random", 0, "random"),
    ],
)
def test_the_sampler_is_the_one_that_is_named_or_fits_the_number_of_trials(
    sampler: str, trials: int, name: str
) -> None:
    assert sampler_name(study(sampler=sampler), trials) == name


def test_sample_recipes_show_the_searched_keys_in_the_order_of_the_study() -> None:
    samples = [sample.recipe for sample in draw_samples(SPEC, {}, 4)]
    assert [list(sample) for sample in samples] == [list(SPEC.space)] * 4


def test_sample_recipes_show_what_the_space_allows_before_anything_was_timed() -> None:
    assert max(sample.recipe["epochs"] for sample in draw_samples(SPEC, {}, 50)) > UNTIMED_EPOCHS


def test_sample_recipes_are_those_of_the_seed() -> None:
    assert draw_samples(SPEC, {}, 3) == draw_samples(SPEC, {}, 3)
    assert draw_samples(SPEC, {}, 3) != draw_samples(SPEC.model_copy(update={"seed": 1}), {}, 3)


def untimed(optimizer: str, timed: frozenset[str] | None) -> list[str]:
    """The optimizers of the recipes to calibrate, where these words have been timed."""
    recipe = decode(SPEC, params() | {"optimizer": optimizer}, {}, LIMIT)
    assert recipe is not None
    return [found["optimizer"] for found in untimed_recipes(SPEC, params(), recipe, timed)]


def test_the_first_trial_of_a_network_times_every_choice() -> None:
    assert untimed("adam", None) == ["adam", "sgd"]


def test_a_trial_with_words_that_were_timed_times_nothing() -> None:
    assert untimed("adam", frozenset({"optimizer=adam"})) == []


def test_a_trial_with_a_new_word_times_it_and_other_new_ones() -> None:
    assert untimed("adam", frozenset()) == ["adam", "sgd"]
    assert untimed("adam", frozenset({"optimizer=sgd"})) == ["adam"]


def test_a_recipe_without_words_is_timed_once() -> None:
    spec = study()
    assert untimed_recipes(spec, {"x": 0.5}, {"x": 0.5}, None) == ({"x": 0.5},)
    assert untimed_recipes(spec, {"x": 0.5}, {"x": 0.5}, frozenset()) == ()


def test_keys_that_depend_on_a_choice_come_and_go_with_it() -> None:
    space = {
        "optimizer": {"choices": ["sgd", "adam"]},
        "momentum": {"low": 0.1, "high": 0.9, "when": {"optimizer": "sgd"}},
    }
    spec, drawn = study(space=space), {"optimizer": "adam", "momentum": 0.5}
    recipe = decode(spec, drawn, {}, LIMIT)
    assert recipe == {"optimizer": "adam"}
    assert untimed_recipes(spec, drawn, recipe, None) == (recipe, {"optimizer": "sgd", "momentum": 0.5})
