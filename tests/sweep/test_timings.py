"""Timings: what a trial tells of its pace, and what is kept for the next study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sweep_builders import ended, epoch, fit, running

from sweep.timings import Timing, TimingsFile, timings_of, traits_of
from sweep.walltime import fit_all
from trainer.context import Calibration

CALIBRATION = Calibration("cpu", 1.5, ((8, 20.0), (64, 6.0)))


def paced(batch_size: float, seconds: float, optimizer: str = "sgd", **more: object) -> Timing:
    return replace(Timing(batch_size, seconds, 1.0, traits=(f"optimizer={optimizer}",)), **more)  # type: ignore[arg-type]  # the fields are checked by the constructor


def test_a_calibration_is_a_timing_of_each_of_its_batch_sizes() -> None:
    seen = timings_of(replace(running(0), calibrations=(CALIBRATION,)))
    assert [(one.batch_size, one.epoch_seconds, one.epochs, one.device) for one in seen] == [
        (8.0, 20.0, 0, "cpu"),
        (64.0, 6.0, 0, "cpu"),
    ]


def test_epochs_are_told_beside_the_calibration() -> None:
    record = replace(running(0, epoch(1, 4.0), epoch(2, 6.0)), calibrations=(CALIBRATION,))
    told = [(one.epoch_seconds, one.epochs, one.device) for one in timings_of(record)]
    assert told == [(20.0, 0, "cpu"), (6.0, 0, "cpu"), (2.0, 2, "cpu")]


def test_an_alternative_is_a_timing_of_its_own_words() -> None:
    recipe, other = {"optimizer": "sgd", "batch_size": 32}, {"optimizer": "adam", "batch_size": 32}
    told = replace(CALIBRATION, epoch_seconds=((8, 30.0),), alternative=0)
    record = replace(running(0, recipe=recipe, alternatives=(other,)), calibrations=(CALIBRATION, told))
    assert [(one.epoch_seconds, one.traits) for one in timings_of(record)] == [
        (20.0, ("optimizer=sgd",)),
        (6.0, ("optimizer=sgd",)),
        (30.0, ("optimizer=adam",)),
    ]


def test_a_calibration_is_no_part_of_a_start() -> None:
    record = replace(
        running(0, epoch(1, 9.0), epoch(2, 11.0)), calibrations=(replace(CALIBRATION, took_seconds=5.0),)
    )
    assert timings_of(record)[-1].startup_seconds == pytest.approx(2.0)


def test_a_resumed_study_recalls_what_it_began_with(tmp_path: Path) -> None:
    shared, own = TimingsFile(tmp_path / "timings.jsonl", "two", "local ours"), tmp_path / "own.jsonl"
    other = replace(shared, run_id="one")
    other.remember([paced(64, 10.0, setting="s")])
    assert shared.recall_once(own) == [paced(64, 10.0, setting="s")]
    other.remember([paced(8, 30.0, setting="s")])
    assert shared.recall_once(own) == [paced(64, 10.0, setting="s")]
    assert len(shared.recall()) == 2


def test_the_end_of_a_trial_counts_with_its_start() -> None:
    epochs = (epoch(1, 4.0), epoch(2, 6.0))
    record = ended(0, "completed", epochs=2, wall_seconds=7.5)
    (seen,) = timings_of(replace(record, epochs=epochs))
    assert seen.startup_seconds == pytest.approx(2.0 + 1.5)


def test_a_calibration_alone_is_enough_to_predict() -> None:
    (model,) = fit_all(timings_of(replace(running(0), calibrations=(CALIBRATION,)))).values()
    assert model.epoch_seconds(8) == pytest.approx(20.0, rel=0.1)
    assert model.epoch_seconds(1000) == pytest.approx(4.1, rel=0.1)
    assert model.pace(32, ()).enough_seconds > 1.2 * model.epoch_seconds(32), "a few steps do not tell much"


def test_alike_recipes_are_predicted_by_their_own_pace() -> None:
    seen = [paced(64, 10.0), paced(64, 10.0), paced(64, 10.0), *[paced(64, 16.0, "muon")] * 3, paced(8, 30.0)]
    model = fit(seen)
    plain, slow = (model.epoch_seconds(64, (f"optimizer={name}",)) for name in ("sgd", "muon"))
    assert 1.4 * plain < slow < 1.7 * plain


def test_the_margin_covers_what_the_model_cannot_tell() -> None:
    noisy = [paced(64, seconds) for seconds in (8.0, 10.0, 12.0, 9.0, 11.0, 15.0, 10.0, 10.0)]
    model = fit(noisy)
    assert model.enough_seconds(64, 10, ("optimizer=sgd",)) > 10 * 13.0


def test_the_device_that_was_seen_last_counts() -> None:
    seen = [paced(64, 100.0, device="cpu"), paced(64, 1.0, device="gpu"), paced(32, 1.5, device="")]
    (model,) = fit_all(seen).values()
    assert model.epoch_seconds(64) < 2.0


def test_words_of_a_recipe_are_its_traits_but_not_where_its_data_lie() -> None:
    recipe = {"optimizer": "adam", "flip": True, "lr": 0.1, "model": "mlp", "data_dir": "/data"}
    assert traits_of(recipe) == ("flip=True", "optimizer=adam")


def test_timings_are_kept_for_other_runs_of_the_same_profile_and_trainer(tmp_path: Path) -> None:
    path = tmp_path / "timings.jsonl"
    kept = [paced(64, 10.0, setting="s", device="cpu"), paced(8, 30.0, setting="s", device="cpu")]
    TimingsFile(path, "one", "local ours").remember(kept)
    with path.open("a") as file:
        file.write('{"source": "local ours", "batch_size": 8}\n{"torn')
    assert TimingsFile(path, "two", "local ours").recall() == kept
    assert TimingsFile(path, "one", "local ours").recall() == [], "a run has its own trials"
    assert TimingsFile(path, "two", "local theirs").recall() == []
    assert TimingsFile(tmp_path / "nothing", "two", "local ours").recall() == []
