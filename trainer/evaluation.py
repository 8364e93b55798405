"""How good the weights are: loss, accuracy and what follows from the confusion matrix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.data import Split, TrainingData
from trainer.devices import Autocast, is_out_of_memory
from trainer.losses import Loss

EVAL_BATCH = 500


@dataclass(frozen=True)
class Evaluation:
    """Mean loss and the confusion matrix [true class, guessed class] of one split."""

    loss: float
    confusion: Tensor  # int64 [classes, classes], on the CPU

    @property
    def accuracy(self) -> float:
        """Correct images over all images."""
        return int(self.confusion.diagonal().sum()) / int(self.confusion.sum())  # in float64: 7 of 10 is 0.7

    @property
    def identification_success(self) -> Tensor:
        """Per class: correct / images of the class (recall); NaN for a class without images."""
        return self.confusion.diagonal() / self.confusion.sum(dim=1)

    @property
    def prediction_success(self) -> Tensor:
        """Per class: correct / times guessed (precision); NaN for a class never guessed."""
        return self.confusion.diagonal() / self.confusion.sum(dim=0)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and afterwards each part in the mode it had: a frozen backbone stays in it."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    data: TrainingData,
    split: Split,
    loss: Loss = functional.cross_entropy,
    autocast: Autocast = nullcontext,
) -> Evaluation:
    """Run the network over a split in large batches, halved while they exceed the memory."""
    batch_size = EVAL_BATCH
    while True:
        try:
            return _evaluate(model, data, split, loss, autocast, batch_size=batch_size)
        except (RuntimeError, MemoryError) as error:
            if batch_size == 1 or not is_out_of_memory(error):
                raise
        batch_size //= 2  # out here the error has let go of the tensors that it held


def _evaluate(
    model: nn.Module, data: TrainingData, split: Split, loss: Loss, autocast: Autocast, *, batch_size: int
) -> Evaluation:
    classes = len(data.classes)
    device = split.labels.device
    loss_sum = torch.zeros((), device=device)
    confusion = torch.zeros(classes * classes, dtype=torch.int64, device=device)
    with evaluating(model), autocast():
        for images, labels in data.batches(split, batch_size, torch.arange(len(split), device=device)):
            logits = model(images)
            loss_sum += loss(logits, labels) * len(labels)
            confusion += torch.bincount(labels * classes + logits.argmax(dim=1), minlength=classes * classes)
    return Evaluation(float(loss_sum) / len(split), confusion.view(classes, classes).cpu())
