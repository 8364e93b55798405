"""The walltime model: what an epoch costs at which batch size, learned from those seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sweep_builders import ended, epoch, running, waiting

from sweep.records import TrialRecord
from sweep.timings import Timing, batch_size_of, setting_of, timings_of
from sweep.walltime import MARGIN, WalltimeModel, WalltimeModels, fit, fit_all


def timing(record: TrialRecord) -> Timing:
    """The one timing of a trial that has finished an epoch."""
    (seen,) = timings_of(record)
    return seen


def learned(records: Sequence[TrialRecord]) -> WalltimeModels:
    return fit_all(seen for record in records for seen in timings_of(record))


seconds = st.floats(1e-3, 1e4)
batches = st.integers(1, 5000).map(float)
seen_timings = st.lists(st.builds(Timing, batches, seconds, st.floats(0, 100)), min_size=1, max_size=20)
BATCHES = (8.0, 50.0, 64.0, 512.0)


def paces(constant: float, per_batch: float) -> list[Timing]:
    return [Timing(batch, constant + per_batch / batch, 2.0) for batch in BATCHES]


def test_nothing_is_predicted_before_anything_was_timed() -> None:
    assert fit_all([]) == {}
    assert learned([waiting(), running(1)]) == {}


@pytest.mark.parametrize(
    ("constant", "per_batch"), [(3.0, 200.0), (0.5, 0.0), (0.0, 40.0), (1e-4, 1e3), (90.0, 1.0)]
)
def test_exact_timings_give_back_the_costs_of_an_image_and_of_a_step(constant: float, per_batch: float) -> None:
    model = fit(paces(constant, per_batch))
    assert model.constant == pytest.approx(constant, rel=1e-6, abs=1e-9)
    assert model.per_batch == pytest.approx(per_batch, rel=1e-6, abs=1e-6)


@given(seconds, seconds, batches)
def test_exact_timings_predict_every_other_batch_size(constant: float, per_batch: float, batch: float) -> None:
    model = fit(paces(constant, per_batch))
    assert model.epoch_seconds(batch) == pytest.approx(constant + per_batch / batch, rel=1e-4)


def test_exact_timings_leave_the_usual_margin() -> None:
    assert fit(paces(3.0, 200.0)).margin == MARGIN


@given(seen_timings)
def test_costs_are_never_negative_and_epochs_take_time(seen: list[Timing]) -> None:
    model = fit(seen)
    assert model.constant >= 0
    assert model.per_batch >= 0
    assert all(model.epoch_seconds(one.batch_size) > 0 for one in seen)


@given(seen_timings)
def test_nine_of_ten_seen_epochs_are_within_the_margin(seen: list[Timing]) -> None:
    model = fit(seen)
    within = [
        one for one in seen if one.epoch_seconds <= model.epoch_seconds(one.batch_size) * model.margin * (1 + 1e-9)
    ]
    assert len(within) >= 0.9 * len(seen)


@given(seen_timings)
def test_a_start_takes_as_long_as_the_median_start(seen: list[Timing]) -> None:
    assert fit(seen).startup_seconds == median(one.startup_seconds for one in seen)


def test_one_slow_start_does_not_make_every_trial_shorter() -> None:
    usual = paces(3.0, 200.0)
    slow = [*usual, replace(usual[0], startup_seconds=600.0)]
    assert fit(slow).startup_seconds == 2.0
    assert fit(slow).fitting_epochs(64, 60.0) == fit(usual).fitting_epochs(64, 60.0) > 0


def test_lone_epochs_count_for_less_than_several_in_a_row() -> None:
    lone = Timing(64.0, 30.0, 0.0, epochs=1)
    several = Timing(64.0, 10.0, 0.0)
    assert 10.0 < fit([several, lone, several]).epoch_seconds(64) < 15.0


def test_one_slow_trial_is_outvoted_though_it_made_all_others_short() -> None:
    slow = Timing(8.0, 60.0, 0.0, epochs=2)
    lone = [Timing(batch, 4.0, 0.0, epochs=1) for batch in (50.0, 64.0, 100.0, 125.0, 200.0, 250.0, 500.0)]
    assert fit([slow, *lone]).fitting_epochs(100, 40.0) > 1


def test_a_model_of_one_or_two_trials_rules_nothing_out() -> None:
    few = [Timing(64.0, 100.0, 0.0)]
    assert fit(few).fitting_epochs(64, 60.0) == fit(few * 2).fitting_epochs(64, 60.0) == 1
    assert fit(few * 3).fitting_epochs(64, 60.0) == 0


def test_lone_epochs_are_learned_from_while_there_is_nothing_else() -> None:
    lone = [replace(one, epochs=1) for one in paces(3.0, 200.0)]
    assert [fit(lone).epoch_seconds(batch) for batch in BATCHES] == pytest.approx([28.0, 7.0, 6.125, 3.390625])


@given(seconds, st.floats(0, 1), batches, batches)
def test_one_batch_size_predicts_the_most_that_any_split_of_the_costs_would(
    pace: float, share: float, seen: float, other: float
) -> None:
    model = fit([Timing(seen, pace, 0.0)])
    constant, per_batch = share * pace, (1 - share) * pace * seen
    assert model.epoch_seconds(other) >= (constant + per_batch / other) * (1 - 1e-9)


def test_one_batch_size_predicts_smaller_batches_to_be_slower_in_proportion() -> None:
    model = fit([Timing(64.0, 10.0, 0.0)])
    assert [model.epoch_seconds(batch) for batch in (16.0, 64.0, 256.0)] == [40.0, 10.0, 10.0]


@given(seen_timings, batches, st.floats(1, 1e5))
def test_the_epochs_that_fit_are_never_predicted_to_exceed_the_limit(
    seen: list[Timing], batch: float, limit: float
) -> None:
    model = fit(seen)
    epochs = model.fitting_epochs(batch, limit)
    assume(epochs > (1 if model.is_young else 0))
    assert model.enough_seconds(batch, epochs) <= limit * (1 + 1e-9)


@given(seen_timings, batches, st.floats(1, 1e5))
def test_one_epoch_more_than_fits_would_exceed_the_limit(seen: list[Timing], batch: float, limit: float) -> None:
    model = fit(seen)
    assert model.enough_seconds(batch, model.fitting_epochs(batch, limit) + 1) > limit * (1 - 1e-9)


def test_no_epoch_fits_a_limit_that_the_start_uses_up() -> None:
    assert WalltimeModel(1.0, 0.0, startup_seconds=30.0, margin=1.1).fitting_epochs(8, 20.0) == 0


@given(seen_timings, batches, st.integers(1, 500))
def test_more_epochs_take_longer(seen: list[Timing], batch: float, epochs: int) -> None:
    model = fit(seen)
    assert model.trial_seconds(batch, epochs + 1) > model.trial_seconds(batch, epochs)


def test_the_pace_of_a_trial_is_the_median_of_its_epochs() -> None:
    walls = [7.0, 9.0, 11.0, 40.0, 42.0]
    record = running(0, *(epoch(number, wall) for number, wall in enumerate(walls, 1)), recipe={"batch_size": 32})
    assert timing(record) == Timing(32.0, 2.0, 5.0, epochs=5, setting=setting_of({}))


def test_a_trial_of_one_epoch_is_timed_by_its_training() -> None:
    seen = timing(running(0, epoch(1, 10.0), recipe={"batch_size": 32}))
    assert seen.epoch_seconds + seen.startup_seconds == pytest.approx(10.0)
    assert seen.epoch_seconds == pytest.approx(9.0)
    assert seen.epochs == 1


def test_trials_that_ended_are_timed_as_those_that_run() -> None:
    record = replace(ended(), epochs=(epoch(1, 4.0), epoch(2, 6.0)))
    assert timing(record).epoch_seconds == 2.0


def test_a_network_is_timed_by_its_own_trials_alone() -> None:
    records = [
        running(1, epoch(1, 10.0), epoch(2, 30.0), recipe={"model": "convnet", "batch_size": 8}),
        running(2, epoch(1, 10.0), epoch(2, 12.0), recipe={"model": "mlp", "batch_size": 64}),
        running(3, epoch(1, 10.0), epoch(2, 15.0), recipe={"batch_size": 64}),
        running(4, recipe={"model": "vit", "batch_size": 64}),
    ]
    models = learned(records)
    found = {record.number: models.get(setting_of(record.spec.recipe)) for record in records}
    assert {number: model and model.lone_batch for number, model in found.items()} == {1: 8, 2: 64, 3: 64, 4: None}
    assert [model and model.epoch_seconds(64) for model in found.values()] == [20, 2, 5, None]


@pytest.mark.parametrize("other", ["mlp", 1, "1", True, [64, 32], [32, 64], {"layers": 2}, None])
def test_networks_are_told_apart_whatever_names_them(other: object) -> None:
    assert setting_of({"model": other, "batch_size": 8}) == setting_of({"model": other})
    assert setting_of({"model": other}) != setting_of({"model": "convnet"})
    others = [value for value in ("mlp", 1, "1", True, [64, 32], [32, 64], None) if repr(value) != repr(other)]
    assert setting_of({"model": other}) not in [setting_of({"model": value}) for value in others]


def test_a_network_that_is_a_list_of_its_layers_is_timed() -> None:
    records = [running(0, epoch(1, 4.0), epoch(2, 6.0), recipe={"model": [64, 32]})]
    model = learned(records)[setting_of({"model": [64, 32]})]
    assert model.epoch_seconds(1) == 2


@pytest.mark.parametrize(
    ("recipe", "batch_size"),
    [
        ({"batch_size": 32}, 32),
        ({"batch_size": 0.5}, 1),
        ({"batch_size": 0}, 1),
        ({"batch_size": -4}, 1),
        ({"batch_size": "auto"}, 1),
        ({"batch_size": [8, 8]}, 1),
        ({}, 1),
    ],
)
def test_a_recipe_without_a_usable_batch_size_counts_as_one_of_single_images(
    recipe: dict[str, Any], batch_size: int
) -> None:
    assert batch_size_of(recipe) == batch_size


def test_an_epoch_that_took_no_time_at_all_is_still_predicted_to_take_some() -> None:
    model = fit([timing(running(0, epoch(1, 0.0), epoch(2, 0.0)))])
    assert math.isfinite(model.fitting_epochs(8, 60.0))
    assert model.epoch_seconds(8) > 0
