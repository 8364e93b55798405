"""What a run reports: running losses, accuracies on the training and the test images."""

from __future__ import annotations

import math

import pytest
import torch
from trainer_helpers import ScriptedContext, make_imagefolder

from trainer import Ended
from trainer.checkpoint import load_checkpoint
from trainer.config import TrainConfig
from trainer.context import QuietContext
from trainer.data import load_data
from trainer.evaluation import evaluate
from trainer.models import MODELS, ConvNet
from trainer.network import make_network
from trainer.training import train

CPU = torch.device("cpu")
IMAGES, STEPS = 718, 15  # of an epoch on half of the digits, at the default batch of 50; the last batch has 18
STILL = {"schedule": "constant", "lr": 1e-12}  # the weights stand still


def recipe(**keys) -> TrainConfig:
    return TrainConfig(**{"device": "cpu", "epochs": 2, "validation_fraction": 0.5, **keys})


def reported(**keys) -> ScriptedContext:
    train(recipe(**keys), context := ScriptedContext())
    return context


# The running loss


@pytest.mark.parametrize(("loss_steps", "expected"), [(500, []), (15, [15, 15]), (30, []), (5, [5, 10, 15] * 2)])
def test_the_running_loss_is_told_every_so_many_steps(loss_steps, expected):
    assert [step for _, step, _ in reported(loss_steps=loss_steps).looks] == expected


def test_the_running_loss_names_the_epoch():
    assert [epoch for epoch, _, _ in reported(loss_steps=5).looks] == [1, 1, 1, 2, 2, 2]


def test_means_add_up_to_the_loss_of_the_epoch():
    context = reported(loss_steps=5)

    for report in context.reports:
        means = [mean for epoch, _, mean in context.looks if epoch == report.epoch]
        images = [250, 250, IMAGES - 500]
        total = sum(mean * count for mean, count in zip(means, images, strict=True))
        assert total / IMAGES == pytest.approx(report.train_loss, rel=1e-5)


def test_the_loss_of_every_step_is_told_if_asked_for():
    context = reported(loss_steps=1, epochs=1)

    assert [step for _, step, _ in context.looks] == list(range(1, STEPS + 1))
    means = [mean for _, _, mean in context.looks]
    assert sum(50 * mean for mean in means[:-1]) + 18 * means[-1] == pytest.approx(
        IMAGES * context.reports[0].train_loss, rel=1e-5
    )


def test_each_mean_is_of_the_steps_since_the_one_before():
    every, third = reported(loss_steps=1, epochs=1), reported(loss_steps=3, epochs=1)

    single = [mean for _, _, mean in every.looks]
    for number, (_, _, mean) in enumerate(third.looks[:-1]):  # all of full batches
        assert mean == pytest.approx(sum(single[3 * number : 3 * number + 3]) / 3, rel=1e-4)


def test_looking_at_the_loss_does_not_change_the_training():
    seldom, often = reported(loss_steps=500), reported(loss_steps=1)

    assert [report.validation_loss for report in seldom.reports] == [
        report.validation_loss for report in often.reports
    ]


def test_a_resumed_epoch_tells_the_mean_of_its_own_steps(tmp_path):
    config = recipe(loss_steps=5, epochs=1, **STILL)
    train(config, ScriptedContext(tmp_path, checks_before_stop=7))

    train(config, context := ScriptedContext(tmp_path))

    assert [step for _, step, _ in context.looks] == [10, 15]
    assert context.looks[0][2] == pytest.approx(math.log(10), abs=0.1)  # as of any untrained network


def test_a_loss_that_diverges_is_noticed_at_the_next_look(monkeypatch):
    class Explodes(ConvNet):
        def forward(self, images):
            return super().forward(images) * (math.nan if torch.is_grad_enabled() else 1)

    monkeypatch.setitem(MODELS, "convnet", Explodes)

    result = train(recipe(loss_steps=3), context := ScriptedContext())

    assert (result.ended, context.looks) == (Ended.DIVERGED, [])
    assert "before step 3" in result.detail


# Accuracies


def test_training_accuracy_counts_the_images_of_the_epochs_batches():
    context = reported(epochs=1, **STILL)
    config = recipe()
    data = load_data(config, CPU)
    torch.manual_seed(config.seed)
    first_weights = make_network(config, data, CPU)

    measured = evaluate(first_weights, data, data.train).accuracy
    assert context.reports[0].train_accuracy == pytest.approx(measured, rel=1e-6)


def test_training_accuracy_rises_while_the_network_learns():
    reports = reported(epochs=6).reports

    assert reports[-1].train_accuracy > reports[0].train_accuracy + 0.2


def test_an_interrupted_epoch_reports_the_training_accuracy_of_all_its_images(tmp_path):
    expected = [report.train_accuracy for report in reported().reports]
    first, second = ScriptedContext(tmp_path, checks_before_stop=20), ScriptedContext(tmp_path)

    train(recipe(), first)
    train(recipe(), second)

    assert [report.train_accuracy for report in first.reports + second.reports] == expected


def test_the_test_set_is_reported_at_every_epoch_only_when_asked_for():
    without, asked = reported(test=True), reported(test_epochs=True)

    assert {(report.test_loss, report.test_accuracy) for report in without.reports} == {(None, None)}
    assert all(report.test_accuracy is not None for report in asked.reports)


def test_the_last_report_of_the_test_set_is_the_final_result():
    train(recipe(test=True, test_epochs=True), context := ScriptedContext())
    result = train(recipe(test=True, test_epochs=True), QuietContext())

    assert context.reports[-1].test_accuracy == result.test_accuracy


def test_the_same_weights_are_measured_once(monkeypatch):
    class Counting(ConvNet):
        evaluated = 0

        def forward(self, images):
            Counting.evaluated += 0 if self.training else len(images)
            return super().forward(images)

    monkeypatch.setitem(MODELS, "convnet", Counting)

    train(recipe(epochs=1, test=True, test_epochs=True), QuietContext())

    assert Counting.evaluated == 719 + 360


def test_looking_at_the_test_set_is_not_being_tested():
    assert train(recipe(test_epochs=True), QuietContext()).test_accuracy is None


def test_looking_at_the_test_set_does_not_change_the_training(tmp_path):
    states, dataset = [], f"imagefolder:{make_imagefolder(tmp_path / 'pets', per_class=8, shape=(16, 16))}"
    for looks in (False, True):
        folder = tmp_path / str(looks)
        folder.mkdir()
        config = recipe(test_epochs=looks, dataset=dataset, model="bn_cnn", batch_size=4)  # with dropout
        train(config, QuietContext(folder))
        states.append(load_checkpoint(folder))

    assert all(
        torch.equal(tensor, states[1]["learner"]["model"][name])
        for name, tensor in states[0]["learner"]["model"].items()
    )


def test_without_a_validation_split_the_test_set_can_be_watched():
    (report,) = reported(validation_fraction=0, test_epochs=True, epochs=1).reports

    assert report.validation_accuracy is None
    assert report.test_accuracy is not None
