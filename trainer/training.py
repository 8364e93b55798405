"""train(config, context): one run, from data to result, inside its walltime."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.nn import functional

from trainer.checkpoint import load_checkpoint, save_checkpoint
from trainer.config import TrainConfig
from trainer.context import Ended, EpochReport, RunContext, TrainResult
from trainer.data import TrainingData, load_data
from trainer.errors import ConfigError
from trainer.evaluation import evaluate
from trainer.models import make_model
from trainer.optim import learning_rate, make_optimizer, plain_step

LOSS_CHECK_STEPS = 500  # reading the loss waits for the device, so not at every step


def train(config: TrainConfig, context: RunContext) -> TrainResult:
    """Train one recipe until its last epoch, its deadline, or the context's word, whichever comes first.

    A checkpoint in `context.folder` is continued, with the same weights at the end, bit for bit on the CPU, as
    an uninterrupted run. A diverged loss and a batch that does not fit the device are results, not exceptions.

    Raises:
        ConfigError, DataError: the recipe or the data set cannot be used.
    """
    began = time.monotonic()
    device = choose_device(config.device)
    torch.manual_seed(config.seed)
    try:
        run = TrainingRun(config, context, load_data(config, device), device, began)
        run.restore()
        return run.to_the_end()
    except torch.OutOfMemoryError:
        seconds = time.monotonic() - began
        detail = f"batch_size {config.batch_size} does not fit the memory of {device_name(device)}"
        return TrainResult(Ended.OUT_OF_MEMORY, 0, None, 0.0, seconds, device=device_name(device), detail=detail)


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` takes CUDA (torch calls ROCm that too), then MPS, then the CPU.

    Raises:
        ConfigError: the device asked for is not available.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, present in available.items() if present))
    if not available[name]:
        there = ", ".join(kind for kind, present in available.items() if present)
        raise ConfigError(f"device {name!r} is not available here; available: {there}")
    return torch.device(name)


@dataclass
class Progress:
    """How far a run has come; saved with every checkpoint. Seconds count earlier attempts too."""

    step: int = 0
    loss_sum: float = 0.0  # over the images of the epoch under way
    accuracy: float | None = None  # of the last evaluation
    train_seconds: float = 0.0
    eval_seconds: float = 0.0
    wall_seconds: float = 0.0


class TrainingRun:
    """The moving parts of one run: network, optimizer, progress and clock."""

    def __init__(
        self, config: TrainConfig, context: RunContext, data: TrainingData, device: torch.device, began: float
    ) -> None:
        self.config, self.context, self.data, self.device, self.began = config, context, data, device, began
        self.model = make_model(config.model, data.train.images, len(data.classes)).to(device)
        self.optimizer = make_optimizer(config, self.model.parameters(), device)
        self.optimizer_step = plain_step(self.optimizer)
        self.steps_per_epoch = math.ceil(len(data.train) / config.batch_size)
        self.steps = self.steps_per_epoch * config.epochs
        self.progress = Progress()
        self.earlier_wall_seconds = 0.0
        self.step_seconds = 0.0  # of this attempt, as are the next two
        self.cold = True  # the very first step is slow: it says what a step may take, not what an image does
        self.eval_image_seconds = 0.0
        self.validated_step = -1
        self.load_seconds = time.monotonic() - began

    def to_the_end(self) -> TrainResult:
        """Train epoch by epoch until something ends the run."""
        while self.progress.step < self.steps:
            ended = self.train_epoch()
            if ended == Ended.DIVERGED:
                return self.result(ended, f"the loss became NaN or infinite before step {self.progress.step}")
            if ended == Ended.INTERRUPTED:
                self.save()
                return self.result(ended)
            if ended is None:
                ended = self.close_epoch()
            elif ended == Ended.DEADLINE:
                self.validate()
                self.save()
            if ended is not None:
                return self.result(ended)
        return self.result(Ended.COMPLETED)

    def train_epoch(self) -> Ended | None:
        """Train what is left of the epoch under way; an answer says why it stopped early."""
        config, progress = self.config, self.progress
        epoch, done = divmod(progress.step, self.steps_per_epoch)
        order = self.epoch_order(epoch)[done * config.batch_size :]
        loss_sum = torch.full((), progress.loss_sum, device=self.device)
        self.synchronize()
        started, ended = time.monotonic(), self.stop_requested()
        warm, warm_step = started, progress.step
        batches = self.data.batches(self.data.train, config.batch_size, order)
        while ended is None and (batch := next(batches, None)) is not None:
            images, labels = batch
            self.set_learning_rate()
            self.optimizer.zero_grad(set_to_none=True)
            loss = functional.cross_entropy(self.model(images), labels)
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
            self.optimizer_step()
            loss_sum += loss.detach() * len(labels)
            progress.step += 1
            if progress.step % LOSS_CHECK_STEPS == 0 and not math.isfinite(float(loss_sum)):
                ended = Ended.DIVERGED
                break
            now = time.monotonic()
            self.step_seconds = (now - warm) / (progress.step - warm_step)
            if self.cold:
                warm, warm_step, self.cold = now, progress.step, False
            elif progress.step % self.steps_per_epoch:
                ended = self.stop_requested()
        self.synchronize()
        progress.train_seconds += time.monotonic() - started
        progress.loss_sum = float(loss_sum)
        return ended if math.isfinite(progress.loss_sum) else Ended.DIVERGED

    def close_epoch(self) -> Ended | None:
        """Validate, save and report the epoch just finished; an answer says that the run is to stop."""
        progress = self.progress
        loss = self.validate()
        report = EpochReport(
            epoch=progress.step // self.steps_per_epoch,
            epochs=self.config.epochs,
            train_loss=progress.loss_sum / len(self.data.train),
            validation_loss=loss,
            validation_accuracy=progress.accuracy,
            lr=self.optimizer.param_groups[0]["lr"],
            train_seconds=progress.train_seconds,
            wall_seconds=self.wall_seconds(),
        )
        progress.loss_sum = 0.0
        reason = self.context.report(report)  # before the checkpoint: an epoch may be told twice, but not missed
        self.save()
        return None if reason is None else Ended(reason.value)

    def validate(self) -> float | None:
        """Measure the validation split, if there is one and these weights are new, and return its loss."""
        if len(self.data.validation) == 0 or self.validated_step == self.progress.step:
            return None
        self.validated_step = self.progress.step
        started = time.monotonic()
        evaluation = evaluate(self.model, self.data, self.data.validation)
        seconds = time.monotonic() - started
        self.eval_image_seconds = seconds / len(self.data.validation)
        self.progress.eval_seconds += seconds
        self.progress.accuracy = evaluation.accuracy
        return evaluation.loss

    def result(self, ended: Ended, detail: str = "") -> TrainResult:
        """The result as things stand; measures the test set if the recipe asks and the run came to an end."""
        tested = ended in (Ended.COMPLETED, Ended.TARGET, Ended.DEADLINE) and len(self.data.test) > 0
        return TrainResult(
            ended=ended,
            epochs=self.progress.step // self.steps_per_epoch,
            accuracy=self.progress.accuracy,
            train_seconds=self.progress.train_seconds,
            test_accuracy=evaluate(self.model, self.data, self.data.test).accuracy if tested else None,
            eval_seconds=self.progress.eval_seconds,
            load_seconds=self.load_seconds,
            wall_seconds=self.wall_seconds(),
            device=device_name(self.device),
            detail=detail,
        )

    def stop_requested(self) -> Ended | None:
        """The deadline, less the time to evaluate what there is, or the context's word.

        Before the first evaluation, an image is taken to cost what it costs in training, which is more.
        """
        image_seconds = self.eval_image_seconds or self.step_seconds / self.config.batch_size
        evaluation_seconds = image_seconds * (len(self.data.validation) + len(self.data.test))
        if time.monotonic() > self.context.deadline - 1.5 * evaluation_seconds - 2 * self.step_seconds:
            return Ended.DEADLINE
        reason = self.context.stop_requested()
        return None if reason is None else Ended(reason.value)

    def set_learning_rate(self) -> None:
        lr = learning_rate(self.config, self.progress.step, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = lr

    def epoch_order(self, epoch: int) -> torch.Tensor:
        """A permutation of the training split that depends on the seed and the epoch only."""
        generator = torch.Generator().manual_seed((self.config.seed << 20) + epoch)
        return torch.randperm(len(self.data.train), generator=generator).to(self.device)

    def synchronize(self) -> None:
        """Wait for the device, so that seconds measure work and not its queue."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        elif self.device.type == "mps":
            torch.mps.synchronize()

    def wall_seconds(self) -> float:
        return self.earlier_wall_seconds + time.monotonic() - self.began

    def save(self) -> None:
        """Keep everything that a later attempt needs to end with the same weights."""
        if self.context.folder is None:
            return
        self.progress.wall_seconds = self.wall_seconds()
        state: dict[str, Any] = {
            "recipe": self.recipe(),
            "progress": asdict(self.progress),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": torch.get_rng_state(),
            "device_rng": torch.cuda.get_rng_state() if self.device.type == "cuda" else None,
        }
        save_checkpoint(self.context.folder, state)

    def restore(self) -> None:
        """Go on from the folder's checkpoint, if there is one.

        Raises:
            ConfigError: it belongs to another recipe.
        """
        folder = self.context.folder
        state = None if folder is None else load_checkpoint(folder)
        if state is None:
            return
        if state["recipe"] != self.recipe():
            raise ConfigError(
                f"the checkpoint in {folder} belongs to another recipe or other images; use another folder"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(**state["progress"])
        self.earlier_wall_seconds = self.progress.wall_seconds
        torch.set_rng_state(state["rng"])
        if state["device_rng"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["device_rng"])

    def recipe(self) -> str:
        """The recipe as text, without what may differ between two attempts of it."""
        images = [len(self.data.train), len(self.data.validation), *self.data.classes]
        return f"{self.config.model_dump_json(exclude={'data_dir', 'device', 'test'})} {images}"


def device_name(device: torch.device) -> str:
    """What the hardware calls itself, for the walltime model and the report."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
