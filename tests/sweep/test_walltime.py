"""The walltime model: what an epoch costs at which batch size, learned from those seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sweep_builders import ended, epoch, exact_model, fit, running, waiting

from sweep.records import TrialRecord
from sweep.timings import Timing, batch_size_of, setting_of, timings_of
from sweep.walltime import MARGIN, WalltimeModels, fit_all


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
NETWORKS = {
    "mlp": (1.4, 15.0),
    "convnet": (4.0, 25.0),
}  # seconds of all images, and of as many steps
OPTIMIZERS = {"sgd": 1.0, "adam": 1.6, "muon": 8.0}  # what a step costs more


def paces(constant: float, per_batch: float) -> list[Timing]:
    return [Timing(batch, constant + per_batch / batch, 2.0) for batch in BATCHES]


def true_seconds(network: str, optimizer: str, batch: float) -> float:
    constant, per_batch = NETWORKS[network]
    return constant + OPTIMIZERS[optimizer] * per_batch / batch


def timed(network: str, optimizer: str, batch: float, off: float = 1.0, **more: Any) -> Timing:
    pace = true_seconds(network, optimizer, batch) * off
    return Timing(batch, pace, 1.0, traits=(f"optimizer={optimizer}",), setting=network, **more)


def test_nothing_is_predicted_before_anything_was_timed() -> None:
    assert fit_all([]) == {}
    assert learned([waiting(), running(1)]) == {}


@pytest.mark.parametrize(
    ("constant", "per_batch"), [(3.0, 200.0), (0.5, 0.0), (0.0, 40.0), (1e-4, 1e3), (90.0, 1.0)]
)
@pytest.mark.parametrize("batch", [8.0, 20.0, 64.0, 300.0])
def test_exact_timings_predict_the_batch_sizes_among_them(constant: float, per_batch: float, batch: float) -> None:
    predicted = fit(paces(constant, per_batch)).epoch_seconds(batch)
    assert predicted == pytest.approx(constant + per_batch / batch, rel=0.1)


def test_exact_timings_leave_little_more_than_the_usual_margin() -> None:
    model = fit(paces(3.0, 200.0) * 3)
    assert MARGIN <= model.pace(64, ()).enough_seconds / model.epoch_seconds(64) < 1.2


@given(seen_timings, batches)
def test_epochs_take_time_and_enough_is_more(seen: list[Timing], batch: float) -> None:
    pace = fit(seen).pace(batch, ())
    assert 0 < MARGIN * pace.seconds * (1 - 1e-9) <= pace.likely_seconds <= pace.enough_seconds < math.inf


def test_enough_is_enough_nine_times_of_ten_and_not_far_too_much() -> None:
    fares: list[float] = []
    for seed in range(10):
        luck = np.random.default_rng(seed)
        recipes = [
            (str(luck.choice(list(NETWORKS))), str(luck.choice(list(OPTIMIZERS))), float(luck.choice(BATCHES)))
            for _ in range(60)
        ]
        trials = [timed(*recipe, off=math.exp(luck.normal(0, 0.1))) for recipe in recipes]
        models = fit_all(trials[:20])
        for trial in trials[20:]:
            pace = models[trial.setting].pace(trial.batch_size, trial.traits)
            fares.append(trial.epoch_seconds / pace.enough_seconds)
    assert sum(fare <= 1 for fare in fares) >= 0.9 * len(fares)
    assert median(fares) > 0.7


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
    assert 10.0 <= fit([several, lone, several]).epoch_seconds(64) < 13.0


def test_one_slow_trial_is_outvoted_though_it_made_all_others_short() -> None:
    slow = Timing(8.0, 60.0, 0.0, epochs=2)
    lone = [Timing(batch, 4.0, 0.0, epochs=1) for batch in (50.0, 64.0, 100.0, 125.0, 200.0, 250.0, 500.0)]
    assert fit([slow, *lone]).fitting_epochs(100, 40.0) > 1


def test_a_model_of_one_or_two_trials_rules_nothing_out() -> None:
    few = [Timing(64.0, 100.0, 0.0)]
    assert fit([replace(few[0], epochs=0)]).fitting_epochs(64, 60.0) == 1
    assert fit(few).fitting_epochs(64, 60.0) == fit(few * 2).fitting_epochs(64, 60.0) == 1
    assert fit(few * 3).fitting_epochs(64, 60.0) == 0


def test_lone_epochs_are_learned_from_while_there_is_nothing_else() -> None:
    lone = [replace(one, epochs=1) for one in paces(3.0, 200.0)]
    assert [fit(lone).epoch_seconds(batch) for batch in BATCHES] == pytest.approx(
        [28.0, 7.0, 6.125, 3.39], rel=0.1
    )


@given(seconds, batches, batches)
def test_with_one_batch_size_a_smaller_one_is_slower_but_not_more_than_in_proportion(
    pace: float, seen: float, other: float
) -> None:
    predicted = fit([Timing(seen, pace, 0.0)]).epoch_seconds(other)
    assert min(1.0, seen / other) * 0.999 <= predicted / pace <= max(1.0, seen / other) * 1.001


def test_what_one_batch_size_cannot_tell_makes_the_margin_of_another_wider() -> None:
    model = fit([Timing(64.0, 10.0, 0.0)] * 3)
    own, far = model.pace(64, ()), model.pace(8, ())
    assert far.enough_seconds / far.seconds > 1.5 * own.enough_seconds / own.seconds
    assert far.enough_seconds >= 0.8 * 80.0, "it may be all steps"


@pytest.mark.parametrize("batch", [10.0, 50.0])
def test_a_network_pays_for_an_optimizer_about_what_the_other_pays(batch: float) -> None:
    of_mlp = [timed("mlp", optimizer, size) for optimizer in OPTIMIZERS for size in (8.0, 40.0, 250.0)]
    of_convnet = [timed("convnet", "sgd", size) for size in (8.0, 40.0, 250.0)]
    model = fit_all([*of_mlp, *of_convnet])["convnet"]
    assert model.epoch_seconds(batch, ("optimizer=muon",)) == pytest.approx(
        true_seconds("convnet", "muon", batch), rel=0.2
    )
    alone = fit(of_convnet)
    assert alone.epoch_seconds(batch, ("optimizer=muon",)) < 0.8 * true_seconds("convnet", "muon", batch)


def test_a_word_that_was_never_timed_makes_the_margin_wider() -> None:
    model = fit([timed("mlp", "sgd", size) for size in (8.0, 40.0, 250.0)] * 2)
    known, new = (model.pace(16.0, (f"optimizer={name}",)) for name in ("sgd", "muon"))
    assert new.enough_seconds / new.seconds > 1.3 * known.enough_seconds / known.seconds


def test_a_network_is_not_taken_to_be_as_quick_as_another() -> None:
    quick = [replace(timed("mlp", "sgd", size), epoch_seconds=0.01 + 0.1 / size) for size in (8.0, 40.0, 250.0)]
    slow = [timed("convnet", "sgd", 40.0, off=100.0)]
    models = fit_all([*quick, *slow])
    assert models["convnet"].epoch_seconds(40.0, ("optimizer=sgd",)) == pytest.approx(462.5, rel=0.05)
    assert models["mlp"].epoch_seconds(40.0, ("optimizer=sgd",)) == pytest.approx(0.0125, rel=0.05)


def test_what_a_calibration_says_of_an_optimizer_holds_though_it_ran_in_a_slow_moment() -> None:
    calibrated = [timed("mlp", name, size, 1.5, epochs=0) for name in OPTIMIZERS for size in (10.0, 40.0)]
    trained = [timed("mlp", "sgd", size) for size in (10.0, 40.0, 250.0)]
    model = fit([*calibrated, *trained])
    for name in OPTIMIZERS:
        assert model.epoch_seconds(20.0, (f"optimizer={name}",)) == pytest.approx(
            true_seconds("mlp", name, 20.0), rel=0.15
        )


def test_epochs_that_differ_from_trial_to_trial_make_the_margin_wider() -> None:
    offs = (0.7, 1.4, 1.0, 1.3, 0.75, 1.1)
    noisy = [timed("mlp", "sgd", size, off) for size, off in zip((8, 16, 32, 64, 128, 256), offs, strict=True)]
    calm = [timed("mlp", "sgd", size) for size in (8, 16, 32, 64, 128, 256)]
    wide, usual = (fit(seen).pace(40.0, ("optimizer=sgd",)) for seen in (noisy, calm))
    assert wide.enough_seconds / wide.seconds > 1.15 * usual.enough_seconds / usual.seconds


@pytest.mark.parametrize(("old_step", "new_step"), [(5.0, 500.0), (500.0, 5.0), (1000.0, 2.0), (10.0, 300.0)])
@pytest.mark.parametrize("trials", [0, 2, 6])
def test_a_network_of_another_kind_goes_by_its_own_timings(old_step: float, new_step: float, trials: int) -> None:
    def told(setting: str, step: float, batch: float, epochs: int = 2) -> Timing:
        return Timing(float(batch), 1 + step / batch, 1.0, epochs, ("optimizer=sgd",), setting)

    old = [told("old", old_step, batch) for batch in np.geomspace(8, 500, 10)]
    calibrated = [told("new", new_step, batch, epochs=0) for batch in (16.0, 64.0)]
    trained = [told("new", new_step, batch) for batch in np.geomspace(32, 128, trials)]
    model = fit_all([*old, *calibrated, *trained])["new"]
    for batch in (8.0, 40.0, 512.0):
        pace = model.pace(batch, ("optimizer=sgd",))
        actual = 1 + new_step / batch
        assert 0.6 * actual < pace.seconds < 1.6 * actual
        assert pace.enough_seconds > actual


def test_a_study_keeps_its_timings_however_many_other_networks_the_file_knows() -> None:
    others = [
        replace(timed("mlp", "sgd", size), setting=f"old {number}") for number in range(60) for size in (8.0, 64.0)
    ]
    own = [timed("convnet", name, size) for name in OPTIMIZERS for size in (8.0, 20.0, 64.0, 250.0)]
    models = fit_all([*others, *own])
    assert models["convnet"].timed == 12
    for name in OPTIMIZERS:
        predicted = models["convnet"].epoch_seconds(40.0, (f"optimizer={name}",))
        assert predicted == pytest.approx(true_seconds("convnet", name, 40.0), rel=0.1)


def test_words_that_became_rare_are_not_forgotten() -> None:
    calibrated = [timed("mlp", name, 16.0, epochs=0) for name in OPTIMIZERS]
    model = fit([*calibrated, *[timed("mlp", "sgd", 40.0)] * 1000])
    assert model.words == {f"optimizer={name}" for name in OPTIMIZERS}
    assert model.timed == 1000
    assert model.epoch_seconds(16.0, ("optimizer=muon",)) > 2 * model.epoch_seconds(16.0, ("optimizer=sgd",))


def test_hundreds_of_networks_are_no_hindrance() -> None:
    many = [replace(timed("mlp", "sgd", 16.0, 1 + number), setting=str(number)) for number in range(500)]
    models = fit_all(many)
    assert "499" in models
    predicted = models["499"].epoch_seconds(16.0, ("optimizer=sgd",))
    assert predicted == pytest.approx(many[-1].epoch_seconds, rel=0.1)


@given(seen_timings, batches, st.floats(1, 1e5))
def test_the_epochs_that_fit_are_never_predicted_to_exceed_the_limit(
    seen: list[Timing], batch: float, limit: float
) -> None:
    model = fit(seen)
    epochs = model.fitting_epochs(batch, limit)
    assume(epochs > (1 if model.is_young else 0))
    assert model.likely_seconds(batch, epochs) <= limit * (1 + 1e-9)


@given(seen_timings, batches, st.floats(1, 1e5))
def test_one_epoch_more_than_fits_would_exceed_the_limit(seen: list[Timing], batch: float, limit: float) -> None:
    model = fit(seen)
    assert model.likely_seconds(batch, model.fitting_epochs(batch, limit) + 1) > limit * (1 - 1e-9)


def test_no_epoch_fits_a_limit_that_the_start_uses_up() -> None:
    assert exact_model(1.0, startup_seconds=30.0).fitting_epochs(8, 20.0) == 0


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
    paces = {
        record.number: model and model.epoch_seconds(batch_size_of(record.spec.recipe))
        for record in records
        for model in (models.get(setting_of(record.spec.recipe)),)
    }
    assert paces == {
        1: pytest.approx(20, rel=0.02),
        2: pytest.approx(2, rel=0.02),
        3: pytest.approx(5, rel=0.02),
        4: None,
    }


@pytest.mark.parametrize("other", ["mlp", 1, "1", True, [64, 32], [32, 64], {"layers": 2}, None])
def test_networks_are_told_apart_whatever_names_them(other: object) -> None:
    assert setting_of({"model": other, "batch_size": 8}) == setting_of({"model": other})
    assert setting_of({"model": other}) != setting_of({"model": "convnet"})
    others = [value for value in ("mlp", 1, "1", True, [64, 32], [32, 64], None) if repr(value) != repr(other)]
    assert setting_of({"model": other}) not in [setting_of({"model": value}) for value in others]


def test_a_network_that_is_a_list_of_its_layers_is_timed() -> None:
    records = [running(0, epoch(1, 4.0), epoch(2, 6.0), recipe={"model": [64, 32]})]
    model = learned(records)[setting_of({"model": [64, 32]})]
    assert model.epoch_seconds(1) == pytest.approx(2, rel=0.02)


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
