"""Evaluations, against a confusion matrix made by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from trainer.config import TrainConfig
from trainer.data import Split, TrainingData
from trainer.evaluation import EVAL_BATCH, Evaluation, evaluate
from trainer.losses import make_loss

TRUE = [0, 0, 0, 0, 1, 1, 2, 2, 2, 2]
GUESSED = [0, 0, 1, 2, 1, 0, 2, 2, 2, 1]
CONFUSION = [[2, 1, 1], [1, 1, 0], [0, 1, 3]]


class PixelReader(nn.Module):
    """Guesses the class that the image's only pixel says, with that logit at 1 and the others at 0."""

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training
        return one_hot(images.flatten().long(), 3).float()


def written(true: list[int], guessed: list[int], rows: list[int] | None = None) -> TrainingData:
    """Images whose pixel says what PixelReader is to guess."""
    images = torch.tensor(guessed, dtype=torch.uint8).view(-1, 1, 1, 1)
    chosen = torch.arange(len(true)) if rows is None else torch.tensor(rows)
    split = Split(images, torch.tensor(true), chosen)
    unchanged, unmoved = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    return TrainingData(split, split, split, ("a", "b", "c"), unchanged, unmoved)


def evaluation(true: list[int] = TRUE, guessed: list[int] = GUESSED, rows: list[int] | None = None) -> Evaluation:
    data = written(true, guessed, rows)
    return evaluate(PixelReader(), data, data.validation)


def test_rows_of_the_confusion_matrix_are_true_classes_and_columns_guesses():
    assert evaluation().confusion.tolist() == CONFUSION


def test_the_accuracy_is_the_share_of_correct_images():
    assert evaluation().accuracy == pytest.approx(6 / 10)


def test_an_accuracy_of_seven_in_ten_reaches_a_target_of_70_percent():
    assert evaluation(true=[0] * 10, guessed=[0] * 7 + [1] * 3).accuracy >= 0.7


def test_the_loss_is_the_mean_cross_entropy():
    total = math.e + 2
    right, wrong = -math.log(math.e / total), -math.log(1 / total)

    assert evaluation().loss == pytest.approx((6 * right + 4 * wrong) / 10)


class Reluctant(PixelReader):
    """Runs out of memory at a batch of more than `most` images."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.most:
            raise torch.OutOfMemoryError("the device is full")
        return super().forward(images)


@pytest.mark.parametrize("most", [1, 3, 9])
def test_where_memory_is_short_batches_are_smaller_and_the_result_is_the_same(most):
    data, expected = written(TRUE, GUESSED), evaluation()

    found = evaluate(Reluctant(most), data, data.validation)

    assert found.confusion.tolist() == expected.confusion.tolist()
    assert found.loss == pytest.approx(expected.loss)


def test_a_network_that_fits_no_image_into_memory_cannot_be_evaluated():
    data = written(TRUE, GUESSED)

    with pytest.raises(torch.OutOfMemoryError):
        evaluate(Reluctant(0), data, data.validation)


def test_identification_success_is_the_share_of_a_class_that_is_recognised():
    assert evaluation().identification_success.tolist() == pytest.approx([2 / 4, 1 / 2, 3 / 4])


def test_prediction_success_is_the_share_of_guesses_that_are_right():
    assert evaluation().prediction_success.tolist() == pytest.approx([2 / 3, 1 / 3, 3 / 4])


def test_a_class_without_images_has_no_identification_success():
    success = evaluation(true=[0, 2], guessed=[0, 1]).identification_success

    assert success.isnan().tolist() == [False, True, False]


def test_a_class_never_guessed_has_no_prediction_success():
    success = evaluation(true=[0, 1], guessed=[0, 0]).prediction_success

    assert success.isnan().tolist() == [False, True, True]


def test_only_the_rows_of_the_split_count():
    assert evaluation(rows=[0, 1, 4]).confusion.tolist() == [[2, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_a_split_of_several_batches_is_counted_whole():
    images = 2 * EVAL_BATCH + 1

    assert evaluation(true=[1] * images, guessed=[1] * images).confusion[1, 1] == images


def test_the_loss_is_the_mean_of_the_loss_asked_for():
    data = written(TRUE, GUESSED)

    measured = evaluate(PixelReader(), data, data.validation, make_loss(TrainConfig(loss="mse"))).loss

    assert measured == pytest.approx(4 * (2 / 3) / 10)  # two logits of three are wrong for four images


def test_each_part_of_the_network_is_left_in_its_mode():
    model, data = nn.Sequential(PixelReader(), nn.Dropout(0.5), nn.Dropout(0.5)), written(TRUE, GUESSED)
    model[1].eval()

    evaluate(model, data, data.validation)

    assert [module.training for module in model.modules()] == [True, True, False, True]


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_in_its_mode(training):
    model, data = PixelReader().train(training), written(TRUE, GUESSED)

    evaluate(model, data, data.validation)

    assert model.training is training
