"""What learns: a network with its optimizer, stepping eagerly or by a recorded CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from trainer.averaging import WeightAverage
from trainer.config import TrainConfig
from trainer.devices import Autocast
from trainer.losses import Loss
from trainer.models import MODELS
from trainer.optim import make_optimizer

EAGER_STEPS = 3  # before a recording: libraries choose their algorithms and allocate what they keep


Step = Callable[[Tensor, Tensor, float], None]  # images, labels, learning rate


class Learner:
    """A network, its optimizer and its averaged weights.

    The sums of the loss and of correct images stay on the device until they are read.
    """

    def __init__(
        self, config: TrainConfig, model: nn.Module, loss: Loss, device: torch.device, autocast: Autocast
    ) -> None:
        self.model, self.loss, self.autocast = model, loss, autocast
        self.optimizer = make_optimizer(config, model, device, recorded=can_record(config, device))
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self.average = WeightAverage(model, config.ema) if config.ema else None
        self.loss_sum = torch.zeros((), device=device)
        self.correct = torch.zeros((), dtype=torch.int64, device=device)

    @property
    def evaluated(self) -> nn.Module:
        """The network whose accuracy counts."""
        return self.model if self.average is None else self.average.model

    def step(self, images: Tensor, labels: Tensor, lr: float) -> None:
        """Forward, backward, update."""
        self.optimizer.set_lr(lr)
        self.run(images, labels)

    def run(self, images: Tensor, labels: Tensor) -> None:
        """A step at the rate that is set; nothing in it waits for the device."""
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

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on, but for the random numbers."""
        return {
            "model": self.model.state_dict(),
            "average": None if self.average is None else self.average.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where another learner of the same recipe was."""
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.model.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])


class RecordedStep:
    """A learner's step, recorded once and replayed: one launch, where small batches pay for a hundred.

    The first steps run eagerly, as does a smaller last batch. The recording reads its images, labels and rate from
    fixed places, into which each batch is copied.
    """

    def __init__(self, learner: Learner, batch_size: int) -> None:
        self.learner, self.batch_size, self.eager_steps = learner, batch_size, 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch has no annotation here

    def __call__(self, images: Tensor, labels: Tensor, lr: float) -> None:
        if len(labels) != self.batch_size:
            self.learner.step(images, labels, lr)
        elif self.eager_steps < EAGER_STEPS:
            self.eager_steps += 1
            self.stream.wait_stream(torch.cuda.current_stream())  # a recording wants to come from its own stream
            with torch.cuda.stream(self.stream):
                self.learner.step(images, labels, lr)
            torch.cuda.current_stream().wait_stream(self.stream)
        else:
            if self.graph is None:
                self.graph = self._record(images, labels)
            self.images.copy_(images)
            self.labels.copy_(labels)
            self.learner.optimizer.set_lr(lr)
            self.graph.replay()

    def _record(self, images: Tensor, labels: Tensor) -> torch.cuda.CUDAGraph:
        """Recording runs nothing: weights and sums change at the first replay."""
        self.images, self.labels = torch.empty_like(images), torch.empty_like(labels)
        graph = torch.cuda.CUDAGraph()
        self.learner.optimizer.zero_grad()
        with torch.cuda.graph(graph, stream=self.stream):
            self.learner.run(self.images, self.labels)
        return graph


def make_step(learner: Learner, config: TrainConfig, device: torch.device) -> Step:
    """The learner's step, recorded where it can be."""
    return RecordedStep(learner, config.batch_size) if can_record(config, device) else learner.step


def can_record(config: TrainConfig, device: torch.device) -> bool:
    """Whether a recipe's steps can be recorded: on CUDA, for our own networks, and if nothing asks the host."""
    asks_the_host = config.optimizer == "muon" or config.precision == "fp16"
    return config.cuda_graphs and device.type == "cuda" and config.model in MODELS and not asks_the_host
