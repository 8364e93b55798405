"""Training runs: learning, ending for every reason there is, and going on as if nothing had happened."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from trainer_helpers import ScriptedContext, SlowNet, files_below, make_imagefolder

from trainer import Ended, StopReason
from trainer.checkpoint import NAME, load_checkpoint
from trainer.config import TrainConfig
from trainer.context import QuietContext
from trainer.devices import choose_device
from trainer.errors import ConfigError, DataError
from trainer.models import MODELS
from trainer.schedules import REFERENCE_LR, learning_rate
from trainer.training import train

STEPS = 26  # per epoch of the digits, at the default batch of 50 and a tenth held out; the last batch is smaller


def recipe(**keys) -> TrainConfig:
    return TrainConfig(**{"device": "cpu", **keys})


def checkpoint(folder: Path) -> dict[str, Any]:
    state = load_checkpoint(folder)
    assert state is not None
    return state


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoint(folder)["learner"]["model"]


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def folder(path: Path) -> Path:
    path.mkdir()
    return path


# Learning


def test_a_few_epochs_learn_the_digits():
    result = train(recipe(epochs=4), QuietContext())

    assert (result.ended, result.epochs, result.device) == (Ended.COMPLETED, 4, "cpu")
    assert result.accuracy is not None
    assert result.accuracy > 0.8


@pytest.mark.parametrize("optimizer", REFERENCE_LR)
def test_every_optimizer_learns_at_its_reference_rate(optimizer):
    result = train(recipe(epochs=6, optimizer=optimizer), QuietContext())

    assert result.accuracy is not None
    assert result.accuracy > 0.6


def test_an_image_folder_is_learned(tmp_path):
    dataset = f"imagefolder:{make_imagefolder(tmp_path / 'pets', per_class=10, shape=(20, 28, 3))}"

    result = train(recipe(dataset=dataset, epochs=30, batch_size=4, optimizer="adam"), QuietContext())

    assert result.accuracy == 1


@pytest.mark.parametrize("batch_size", [7, 1000, 1295])
def test_every_epoch_sees_every_image_whatever_the_batch(batch_size):
    standing_still = {"epochs": 1, "schedule": "constant", "lr": 1e-12}  # the loss is that of the first weights

    train(recipe(**standing_still), usual := ScriptedContext())
    train(recipe(**standing_still, batch_size=batch_size), other := ScriptedContext())

    assert other.reports[0].train_loss == pytest.approx(usual.reports[0].train_loss, rel=1e-5)


def test_without_a_validation_split_there_is_no_accuracy():
    context = ScriptedContext()

    result = train(recipe(epochs=1, validation_fraction=0), context)

    assert (result.ended, result.accuracy) == (Ended.COMPLETED, None)
    assert (context.reports[0].validation_loss, context.reports[0].validation_accuracy) == (None, None)


def test_without_a_folder_nothing_is_written(tmp_path):
    train(recipe(epochs=1), QuietContext())

    assert files_below(tmp_path) == []


def test_the_test_set_is_not_measured_unless_asked_for():
    assert train(recipe(epochs=1), QuietContext()).test_accuracy is None


def test_the_test_set_is_measured_when_asked_for():
    result = train(recipe(epochs=5, test=True), QuietContext())

    assert result.test_accuracy is not None
    assert 0.7 < result.test_accuracy <= 1


def test_measuring_the_test_set_does_not_change_the_training(tmp_path):
    without, with_test = folder(tmp_path / "without"), folder(tmp_path / "with")

    train(recipe(epochs=1), QuietContext(without))
    train(recipe(epochs=1, test=True), QuietContext(with_test))

    assert same(weights(without), weights(with_test))


# Reports


def test_each_epoch_is_reported_once_in_order():
    context = ScriptedContext()

    train(recipe(epochs=3), context)

    assert [(report.epoch, report.epochs) for report in context.reports] == [(1, 3), (2, 3), (3, 3)]


def test_the_last_report_has_the_accuracy_of_the_result():
    context = ScriptedContext()

    result = train(recipe(epochs=2), context)

    assert context.reports[-1].validation_accuracy == result.accuracy


def test_the_reported_rate_is_that_of_the_epochs_last_step():
    config, context = recipe(epochs=3), ScriptedContext()

    train(config, context)

    expected = [learning_rate(config, STEPS * epoch - 1, STEPS * 3) for epoch in (1, 2, 3)]
    assert [report.lr for report in context.reports] == pytest.approx(expected)


def test_the_loss_falls_while_the_network_learns():
    context = ScriptedContext()

    train(recipe(epochs=4), context)

    assert all(before.train_loss > after.train_loss for before, after in pairwise(context.reports))
    assert context.reports[-1].validation_loss < context.reports[0].validation_loss


def test_reported_seconds_add_up_over_the_epochs():
    context = ScriptedContext()

    train(recipe(epochs=3), context)

    assert all(before.train_seconds < after.train_seconds for before, after in pairwise(context.reports))
    assert all(report.train_seconds < report.wall_seconds for report in context.reports)


def test_the_parts_of_the_time_fit_into_the_whole():
    result = train(recipe(epochs=2, test=True), QuietContext())

    assert min(result.train_seconds, result.eval_seconds, result.load_seconds) > 0
    assert result.train_seconds + result.eval_seconds + result.load_seconds <= result.wall_seconds


# Seeds


def trained_with(path: Path, **keys) -> dict[str, torch.Tensor]:
    train(recipe(epochs=1, **keys), QuietContext(folder(path)))
    return weights(path)


def test_the_same_seed_gives_the_same_weights(tmp_path):
    first = trained_with(tmp_path / "first", seed=5)
    torch.manual_seed(123)  # what the process drew before does not matter

    assert same(first, trained_with(tmp_path / "second", seed=5))


@pytest.mark.parametrize("key", ["seed", "split_seed"])
def test_another_seed_gives_other_weights(tmp_path, key):
    one, two = (trained_with(tmp_path / str(number), **{key: number}) for number in (1, 2))

    assert not same(one, two)


def test_each_epoch_has_an_order_of_its_own(tmp_path):
    config = recipe(epochs=2, validation_fraction=0.5, schedule="constant", lr=1e-12)
    sums = {}  # of the losses of an epoch's first images, by the steps of the run; the weights stand still
    for _ in range(30):
        train(config, ScriptedContext(tmp_path, checks_before_stop=1))
        progress = checkpoint(tmp_path)["progress"]
        sums[progress["step"]] = progress["loss_sum"]

    pairs = [(sums[step], sums[step + 15]) for step in range(1, 15) if step in sums and step + 15 in sums]
    assert len(pairs) > 3
    assert all(first != pytest.approx(second, rel=1e-6) for first, second in pairs)


def test_a_longer_run_begins_like_a_shorter_one():
    losses = []
    for epochs in (1, 2):
        train(recipe(epochs=epochs, schedule="constant"), context := ScriptedContext())
        losses.append(context.reports[0].train_loss)

    assert losses[0] == losses[1]


# Going on


Runner = Callable[[str], tuple[Path, ScriptedContext]]


def half(**keys) -> TrainConfig:
    """Two epochs on half of the digits: 15 steps each, the last batch smaller."""
    return recipe(epochs=2, validation_fraction=0.5, **keys)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """Runs `half` without a stop, once per optimizer; gives its folder and its context."""
    done: dict[str, tuple[Path, ScriptedContext]] = {}

    def run(optimizer: str) -> tuple[Path, ScriptedContext]:
        if optimizer not in done:
            path = tmp_path_factory.mktemp(optimizer)
            train(half(optimizer=optimizer), context := ScriptedContext(path))
            done[optimizer] = (path, context)
        return done[optimizer]

    return run


INTERRUPTIONS = {
    "before the first step": {"checks_before_stop": 0},
    "in the first epoch": {"checks_before_stop": 7},
    "after the first epoch": {"stop_after": {1: StopReason.INTERRUPTED}},
    "in the second epoch": {"checks_before_stop": 20},
    "after the last epoch": {"stop_after": {2: StopReason.INTERRUPTED}},
}


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "adam", "muon"])
@pytest.mark.parametrize("moment", INTERRUPTIONS)
def test_an_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path, uninterrupted, optimizer, moment
):
    interrupted = train(half(optimizer=optimizer), ScriptedContext(tmp_path, **INTERRUPTIONS[moment]))

    resumed = train(half(optimizer=optimizer), QuietContext(tmp_path))

    assert (interrupted.ended, resumed.ended) == (Ended.INTERRUPTED, Ended.COMPLETED)
    assert same(weights(tmp_path), weights(uninterrupted(optimizer)[0]))


def test_a_stop_between_steps_is_obeyed_within_the_epoch(tmp_path):
    result = train(half(), ScriptedContext(tmp_path, checks_before_stop=20))

    assert (result.ended, result.epochs) == (Ended.INTERRUPTED, 1)
    assert 15 < checkpoint(tmp_path)["progress"]["step"] < 30


def test_a_resumed_epoch_reports_what_it_would_have_without_the_stop(tmp_path, uninterrupted):
    train(half(optimizer="adam"), ScriptedContext(tmp_path, checks_before_stop=20))

    train(half(optimizer="adam"), context := ScriptedContext(tmp_path))

    (resumed,), (_, expected) = context.reports, uninterrupted("adam")[1].reports
    assert resumed.epoch == expected.epoch == 2
    assert (resumed.train_loss, resumed.lr) == (expected.train_loss, expected.lr)
    assert resumed.validation_loss == expected.validation_loss


def test_a_run_interrupted_again_and_again_ends_with_the_same_weights(tmp_path, uninterrupted):
    attempts = [train(half(), ScriptedContext(tmp_path, checks_before_stop=4)).ended for _ in range(15)]

    assert attempts[:5] == [Ended.INTERRUPTED] * 5
    assert attempts[-1] == Ended.COMPLETED
    assert same(weights(tmp_path), weights(uninterrupted("nesterov")[0]))


def test_an_epoch_is_reported_before_its_checkpoint_is_saved(tmp_path):
    class DiesAtReport(ScriptedContext):
        def report(self, epoch):
            super().report(epoch)
            raise RuntimeError("the process dies here")

    with pytest.raises(RuntimeError, match="the process dies here"):
        train(half(optimizer="adam"), first := DiesAtReport(tmp_path))
    train(half(optimizer="adam"), second := ScriptedContext(tmp_path))

    assert [report.epoch for report in first.reports] == [1]
    assert [report.epoch for report in second.reports] == [1, 2]  # one is told twice, none is missed


def test_a_run_that_dies_goes_on_from_its_last_epoch(tmp_path, uninterrupted):
    with pytest.raises(RuntimeError, match="the process dies here"):
        train(half(optimizer="adam"), ScriptedContext(tmp_path, crash_at_check=20))

    train(half(optimizer="adam"), context := ScriptedContext(tmp_path))

    assert [report.epoch for report in context.reports] == [2]
    assert same(weights(tmp_path), weights(uninterrupted("adam")[0]))


@pytest.mark.parametrize(("epochs_before", "epochs_after"), [(1, [1, 2]), (2, [2])])
def test_a_damaged_checkpoint_costs_one_epoch(tmp_path, uninterrupted, epochs_before, epochs_after):
    train(half(optimizer="sgd"), ScriptedContext(tmp_path, stop_after={epochs_before: StopReason.INTERRUPTED}))
    (tmp_path / NAME).write_bytes((tmp_path / NAME).read_bytes()[:1000])

    train(half(optimizer="sgd"), context := ScriptedContext(tmp_path))

    assert [report.epoch for report in context.reports] == epochs_after
    assert same(weights(tmp_path), weights(uninterrupted("sgd")[0]))


def test_a_finished_run_is_not_trained_again(tmp_path):
    first = train(recipe(epochs=2), QuietContext(tmp_path))

    second = train(recipe(epochs=2), context := ScriptedContext(tmp_path))

    assert context.reports == []
    assert (second.ended, second.epochs, second.accuracy) == (Ended.COMPLETED, 2, first.accuracy)
    assert second.train_seconds == first.train_seconds


def test_the_test_set_of_a_finished_run_can_be_measured_later(tmp_path):
    train(recipe(epochs=5), QuietContext(tmp_path))

    later = train(recipe(epochs=5, test=True), QuietContext(tmp_path))

    assert later.test_accuracy is not None
    assert later.test_accuracy > 0.7


def test_seconds_count_the_attempts_before(tmp_path):
    first = train(half(), ScriptedContext(tmp_path, checks_before_stop=20))

    second = train(half(), context := ScriptedContext(tmp_path))

    (report,) = context.reports
    assert first.train_seconds < report.train_seconds <= second.train_seconds
    assert first.wall_seconds < report.wall_seconds < second.wall_seconds
    assert 0 < first.eval_seconds < second.eval_seconds


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epochs": 3}, "epochs 2, here 3"),
        ({"lr": 0.01}, "lr None, here 0.01"),
        ({"seed": 1, "batch_size": 49}, "batch_size 50, here 49; seed 0, here 1"),
        ({"optimizer": "adam"}, "optimizer nesterov, here adam"),
        ({"warmup": 0}, "warmup None, here 0.0"),
        ({"epochs": 4}, "epochs 2, here 4"),
        ({"validation_fraction": 0.2}, "validation_fraction 0.1, here 0.2; other images"),
    ],
)
def test_the_checkpoint_of_another_recipe_is_refused_with_what_differs(tmp_path, change, said):
    train(recipe(epochs=2), ScriptedContext(tmp_path, checks_before_stop=0))

    with pytest.raises(ConfigError) as caught:
        train(recipe(**{"epochs": 2, **change}), QuietContext(tmp_path))

    assert f"checkpoint in {tmp_path} belongs to another recipe ({said}); use another folder" in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"test": True},
        {"test_epochs": True},
        {"device": "auto"},
        {"data_dir": "/elsewhere"},
        {"loss_steps": 7},
        {"cuda_graphs": False},
        {"tensorboard": True},
    ],
)
def test_what_may_differ_between_attempts_is_no_other_recipe(tmp_path, change):
    train(recipe(epochs=2), ScriptedContext(tmp_path, stop_after={1: StopReason.INTERRUPTED}))

    train(recipe(**{"epochs": 2, **change}), context := ScriptedContext(tmp_path))

    assert [report.epoch for report in context.reports] == [2]


def test_attempts_with_other_looks_at_the_loss_and_another_data_folder_end_with_the_same_weights(
    tmp_path, uninterrupted
):
    for steps, place in ((3, "here"), (4, "there"), (500, "")):
        changes = {"loss_steps": steps, "data_dir": place}
        train(half(**changes), ScriptedContext(tmp_path, checks_before_stop=8))

    train(half(), QuietContext(tmp_path))

    assert same(weights(tmp_path), weights(uninterrupted("nesterov")[0]))


# Ending early


@pytest.mark.parametrize("reason", StopReason)
def test_an_answer_to_a_report_ends_the_run_after_that_epoch(reason):
    context = ScriptedContext(stop_after={2: reason})

    result = train(recipe(epochs=5), context)

    assert (result.ended, result.epochs) == (Ended(reason.value), 2)
    assert result.accuracy == context.reports[1].validation_accuracy


def test_a_run_can_be_pruned_between_steps():
    result = train(recipe(epochs=5), ScriptedContext(checks_before_stop=10, reason=StopReason.PRUNED))

    assert (result.ended, result.epochs) == (Ended.PRUNED, 0)


@pytest.mark.parametrize(("reason", "measured"), [(StopReason.TARGET, True), (StopReason.PRUNED, False)])
def test_only_runs_that_come_to_an_end_measure_the_test_set(reason, measured):
    result = train(recipe(epochs=5, test=True), ScriptedContext(stop_after={1: reason}))

    assert (result.test_accuracy is not None) == measured


@pytest.mark.parametrize("keys", [{}, {"test": True}, {"batch_size": 400}, {"batch_size": 1}])
def test_a_run_returns_by_its_deadline_with_an_accuracy(keys):
    deadline = time.monotonic() + 1

    result = train(recipe(epochs=100_000, **keys), QuietContext(deadline=deadline))

    assert time.monotonic() < deadline + 2  # a busy machine may hold it up
    assert result.ended == Ended.DEADLINE
    assert result.accuracy is not None
    assert (result.test_accuracy is not None) == ("test" in keys)


def test_a_run_leaves_time_for_its_last_evaluation(monkeypatch):
    monkeypatch.setitem(MODELS, "convnet", SlowNet)
    monkeypatch.setattr(SlowNet, "evaluation_seconds", 0.8)
    deadline = time.monotonic() + 3

    result = train(recipe(epochs=100_000), QuietContext(deadline=deadline))

    assert time.monotonic() < deadline
    assert result.ended == Ended.DEADLINE


def test_a_deadline_already_past_leaves_no_time_to_train():
    result = train(recipe(), QuietContext(deadline=time.monotonic() - 1))

    assert (result.ended, result.epochs) == (Ended.DEADLINE, 0)
    assert result.accuracy == pytest.approx(0.1, abs=0.1)  # of the untrained network


def test_a_deadline_far_away_does_not_end_the_run():
    assert train(recipe(epochs=1), QuietContext(deadline=time.monotonic() + 3600)).ended == Ended.COMPLETED


def test_a_run_that_meets_its_deadline_leaves_the_checkpoint_of_its_last_epoch(tmp_path):
    result = train(recipe(epochs=100_000), QuietContext(tmp_path, deadline=time.monotonic() + 2))

    assert result.epochs >= 1
    assert checkpoint(tmp_path)["progress"]["step"] // STEPS == result.epochs


# Mistakes


def test_images_too_small_for_the_network_are_the_users_mistake(tmp_path):
    dataset = f"imagefolder:{make_imagefolder(tmp_path / 'pets', shape=(12, 12))}"

    with pytest.raises(ConfigError, match="these are 12 x 12"):
        train(recipe(dataset=dataset, batch_size=2, validation_fraction=0.25), QuietContext())


def test_a_missing_data_set_is_the_users_mistake(tmp_path):
    with pytest.raises(DataError, match="sweep download cifar10"):
        train(recipe(dataset="cifar10", data_dir=str(tmp_path)), QuietContext())


def test_a_class_too_small_to_split_is_the_users_mistake(tmp_path):
    dataset = f"imagefolder:{make_imagefolder(tmp_path / 'pets', per_class=4)}"

    with pytest.raises(DataError, match="too few to hold out 10%"):
        train(recipe(dataset=dataset, batch_size=2), QuietContext())


# Devices


def test_the_processor_is_always_there():
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is available")
def test_a_device_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(ConfigError, match=r"device 'cuda' is not available here; available: .*cpu"):
        train(recipe(device="cuda"), QuietContext())


def test_auto_finds_a_device():
    device = choose_device("auto")

    assert torch.zeros(1, device=device).sum().item() == 0
