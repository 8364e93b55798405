"""How good the weights are: loss, accuracy and what follows from the confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.data import Split, TrainingData

EVAL_BATCH = 500


@dataclass(frozen=True)
class Evaluation:
    """Mean cross-entropy and the confusion matrix [true class, guessed class] of one split."""

    loss: float
    confusion: Tensor  # int64 [classes, classes], on the CPU

    @property
    def accuracy(self) -> float:
        """Correct images over all images."""
        return float(self.confusion.diagonal().sum() / self.confusion.sum())

    @property
    def identification_success(self) -> Tensor:
        """Per class: correct / images of the class (recall); NaN for a class without images."""
        return self.confusion.diagonal() / self.confusion.sum(dim=1)

    @property
    def prediction_success(self) -> Tensor:
        """Per class: correct / times guessed (precision); NaN for a class never guessed."""
        return self.confusion.diagonal() / self.confusion.sum(dim=0)


@torch.inference_mode()
def evaluate(model: nn.Module, data: TrainingData, split: Split) -> Evaluation:
    """Run the network over a split in large batches, whatever the training batch was."""
    was_training = model.training
    model.eval()
    classes = len(data.classes)
    device = split.labels.device
    loss = torch.zeros((), device=device)
    confusion = torch.zeros(classes * classes, dtype=torch.int64, device=device)
    for images, labels in data.batches(split, EVAL_BATCH, torch.arange(len(split), device=device)):
        logits = model(images)
        loss += functional.cross_entropy(logits, labels, reduction="sum")
        confusion += torch.bincount(labels * classes + logits.argmax(dim=1), minlength=classes * classes)
    model.train(was_training)
    return Evaluation(float(loss) / len(split), confusion.view(classes, classes).cpu())
