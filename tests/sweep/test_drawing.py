"""Values by where they lie in their range, and recipes drawn at random."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from sweep.search.drawing import draw_anywhere, draw_near, draw_start, share_of, value_at

SPACE = {
    "epochs_share": FloatDistribution(0.0, 1.0),
    "lr": FloatDistribution(1e-4, 1.0, log=True),
    "batch_size_rank": IntDistribution(0, 3),
    "width": IntDistribution(1, 64, log=True),
    "optimizer": CategoricalDistribution(("sgd", "adam", "muon")),
}
NUMBERS = st.sampled_from([dist for dist in SPACE.values() if not isinstance(dist, CategoricalDistribution)])


@given(NUMBERS, st.floats(0, 1))
def test_a_value_is_where_its_share_says(distribution: Any, share: float) -> None:
    value = value_at(distribution, share)
    assert distribution._contains(distribution.to_internal_repr(value))
    assert value_at(distribution, share_of(distribution, value)) == pytest.approx(value)


@given(NUMBERS)
def test_shares_go_from_end_to_end(distribution: Any) -> None:
    assert value_at(distribution, 0.0) == pytest.approx(distribution.low)
    assert value_at(distribution, 1.0) == pytest.approx(distribution.high)


def test_a_scale_that_is_logarithmic_has_its_geometric_mean_in_the_middle() -> None:
    assert value_at(SPACE["lr"], 0.5) == pytest.approx(0.01)
    assert value_at(SPACE["width"], 0.5) == 8


@given(st.floats(0, 1))
def test_every_choice_has_the_same_share(share: float) -> None:
    assert value_at(SPACE["optimizer"], share) == ("sgd", "adam", "muon")[min(2, int(3 * share))]


def test_draws_from_everywhere_reach_every_choice_and_rank() -> None:
    random = np.random.default_rng(0)
    drawn = [draw_anywhere(SPACE, random) for _ in range(200)]
    assert {recipe["optimizer"] for recipe in drawn} == {"sgd", "adam", "muon"}
    assert {recipe["batch_size_rank"] for recipe in drawn} == {0, 1, 2, 3}
    rates = [recipe["lr"] for recipe in drawn]
    assert min(rates) < 1e-3
    assert max(rates) > 0.1


def test_a_search_begins_near_the_middle_and_with_most_of_the_epochs() -> None:
    random = np.random.default_rng(0)
    drawn = [{name: draw_start(name, dist, random) for name, dist in SPACE.items()} for _ in range(300)]
    rates = np.log10([recipe["lr"] for recipe in drawn])
    assert np.mean(np.abs(rates + 2) < 1) > 0.7, "a decade to either side"
    assert np.mean([recipe["epochs_share"] for recipe in drawn]) > 0.6
    assert {recipe["optimizer"] for recipe in drawn} == {"sgd", "adam", "muon"}


def test_a_recipe_drawn_near_another_is_like_it() -> None:
    random = np.random.default_rng(0)
    recipe = {"epochs_share": 0.5, "lr": 0.01, "batch_size_rank": 1, "width": 8, "optimizer": "adam"}
    near = [draw_near(recipe, SPACE, random) for _ in range(300)]
    assert np.mean([other["optimizer"] == "adam" for other in near]) > 0.8
    assert np.mean([abs(other["epochs_share"] - 0.5) < 0.3 for other in near]) > 0.95
    assert {other["batch_size_rank"] for other in near} >= {0, 1, 2}, "the next rank is within reach"
    assert all(1e-4 <= other["lr"] <= 1.0 for other in near)


def test_what_a_recipe_does_not_say_is_drawn_from_everywhere() -> None:
    random = np.random.default_rng(0)
    near = [draw_near({"lr": 0.01}, SPACE, random) for _ in range(100)]
    assert {other["optimizer"] for other in near} == {"sgd", "adam", "muon"}
