"""One training step: eagerly, or recorded once as a CUDA graph and replayed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from trainer.config import TrainConfig
from trainer.losses import Loss
from trainer.models import MODELS
from trainer.optim import make_optimizer

EAGER_STEPS = 3  # before a recording: libraries choose their algorithms and allocate what they keep

Autocast = Callable[[], AbstractContextManager[object]]


class EagerStep:
    """Forward, backward, update; sums of loss and of correct images stay on the device until they are read."""

    def __init__(
        self, config: TrainConfig, model: nn.Module, loss: Loss, device: torch.device, autocast: Autocast
    ) -> None:
        self.model, self.loss, self.autocast = model, loss, autocast
        self.optimizer = make_optimizer(config, model, device, recorded=can_record(config, device))
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self.loss_sum = torch.zeros((), device=device)
        self.correct = torch.zeros((), dtype=torch.int64, device=device)

    def __call__(self, images: Tensor, labels: Tensor, lr: float) -> None:
        self.optimizer.set_lr(lr)
        self.run(images, labels)

    def run(self, images: Tensor, labels: Tensor) -> None:
        """Everything but the setting of the rate; nothing in it waits for the device."""
        self.optimizer.zero_grad()
        with self.autocast():
            logits = self.model(images)
            loss = self.loss(logits, labels)
        if self.scaler.is_enabled():
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
            for part in self.optimizer.parts:
                self.scaler.step(part)
            self.scaler.update()
        else:
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        self.loss_sum.add_(loss.detach(), alpha=len(labels))
        self.correct.add_((logits.detach().argmax(dim=1) == labels).sum())


class RecordedStep:
    """The same step, recorded once and replayed: one launch, where small batches pay for a hundred.

    The first steps run eagerly, as does a smaller last batch. The recording reads its images, labels and rate from
    fixed places, into which each batch is copied.
    """

    def __init__(self, eager: EagerStep, batch_size: int) -> None:
        self.eager, self.batch_size, self.eager_steps = eager, batch_size, 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch has no annotation here

    def __call__(self, images: Tensor, labels: Tensor, lr: float) -> None:
        if len(labels) != self.batch_size:
            self.eager(images, labels, lr)
        elif self.eager_steps < EAGER_STEPS:
            self.eager_steps += 1
            self.stream.wait_stream(torch.cuda.current_stream())  # a recording wants to come from its own stream
            with torch.cuda.stream(self.stream):
                self.eager(images, labels, lr)
            torch.cuda.current_stream().wait_stream(self.stream)
        else:
            if self.graph is None:
                self.graph = self._record(images, labels)
            self.images.copy_(images)
            self.labels.copy_(labels)
            self.eager.optimizer.set_lr(lr)
            self.graph.replay()

    def _record(self, images: Tensor, labels: Tensor) -> torch.cuda.CUDAGraph:
        """Recording runs nothing: weights and sums change at the first replay."""
        self.images, self.labels = torch.empty_like(images), torch.empty_like(labels)
        graph = torch.cuda.CUDAGraph()
        self.eager.optimizer.zero_grad()
        with torch.cuda.graph(graph, stream=self.stream):
            self.eager.run(self.images, self.labels)
        return graph


def can_record(config: TrainConfig, device: torch.device) -> bool:
    """Whether a recipe's steps can be recorded: on CUDA, for our own networks, and if nothing asks the host."""
    asks_the_host = config.optimizer == "muon" or config.precision == "fp16"
    return config.cuda_graphs and device.type == "cuda" and config.model in MODELS and not asks_the_host


def make_step(
    config: TrainConfig, model: nn.Module, loss: Loss, device: torch.device, autocast: Autocast
) -> tuple[EagerStep, EagerStep | RecordedStep]:
    """The step's parts (optimizer, sums), and the step to call for each batch."""
    eager = EagerStep(config, model, loss, device, autocast)
    return eager, RecordedStep(eager, config.batch_size) if can_record(config, device) else eager
