"""train(config, context): one run, from data to result, inside its walltime."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch

from trainer.augment import epoch_batches
from trainer.calibration import calibrate
from trainer.checkpoint import load_checkpoint, save_checkpoint
from trainer.config import TrainConfig
from trainer.context import Ended, EpochReport, RunContext, TrainResult
from trainer.data import Split, TrainingData, load_data
from trainer.devices import Pace, choose_device, device_name, make_autocast, synchronize
from trainer.errors import ConfigError
from trainer.evaluation import Evaluation, evaluate
from trainer.losses import make_loss
from trainer.network import make_network
from trainer.scalars import scalar_writer
from trainer.schedules import learning_rate
from trainer.steps import Learner, RecordedStep, can_record
from trainer.watch import Watch
from trainer.weights import save_weights

# What may differ between two attempts of one recipe.
NO_RECIPE = {"data_dir", "device", "test", "test_epochs", "loss_steps", "cuda_graphs", "tensorboard"}


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
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        seconds = time.monotonic() - began
        detail = f"batch_size {config.batch_size} does not fit the memory of {device_name(device)}"
        return TrainResult(Ended.OUT_OF_MEMORY, 0, None, 0.0, seconds, device=device_name(device), detail=detail)


@dataclass
class Progress:
    """How far a run has come; saved with every checkpoint. Seconds count earlier attempts too."""

    step: int = 0
    loss_sum: float = 0.0  # over the images of the epoch under way
    correct: int = 0  # of them
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
        self.loss, self.autocast = make_loss(config), make_autocast(config.precision, device)
        network = make_network(config, data, device)
        self.learner = Learner(config, network, self.loss, device, self.autocast)
        recorded = can_record(config, device)
        self.step = RecordedStep(self.learner, config.batch_size) if recorded else self.learner.step
        wants_scalars = config.tensorboard and context.folder is not None
        self.write_scalars = scalar_writer(context.folder) if wants_scalars and context.folder else None
        self.pace = Pace(device)
        self.steps_per_epoch = math.ceil(len(data.train) / config.batch_size)
        self.steps = self.steps_per_epoch * config.epochs
        self.progress = Progress()
        self.earlier_wall_seconds = 0.0
        self.watch = Watch(context, config.batch_size)
        self.images_left = len(data.validation) + len(data.test)  # to evaluate before the run is over
        self.validated_step = -1
        self.load_seconds = time.monotonic() - began
        if context.wants_calibration:
            seen = calibrate(config, data, device, self.loss, self.autocast, startup_seconds=self.load_seconds)
            context.calibrated(seen)

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
        self.learner.loss_sum.fill_(progress.loss_sum)
        self.learner.correct.fill_(progress.correct)
        looked_at, looked_sum = done * config.batch_size, progress.loss_sum
        batches = epoch_batches(config, self.data, epoch, looked_at)
        synchronize(self.device)
        started, ended = time.monotonic(), self.watch.stop_requested(self.images_left)
        self.watch.start(progress.step)
        while ended is None and (batch := next(batches, None)) is not None:
            self.step(*batch, learning_rate(config, progress.step, self.steps))
            if self.learner.average is not None:
                self.learner.average.update(progress.step)
            progress.step += 1
            self.pace.keep(progress.step)
            done += 1
            if done % config.loss_steps == 0:
                loss_sum = float(self.learner.loss_sum)
                if not math.isfinite(loss_sum):
                    break
                seen = min(done * config.batch_size, len(self.data.train))
                self.context.running_loss(epoch + 1, done, (loss_sum - looked_sum) / (seen - looked_at))
                looked_at, looked_sum = seen, loss_sum
            if self.watch.after_step(progress.step) and progress.step % self.steps_per_epoch:
                ended = self.watch.stop_requested(self.images_left)
        synchronize(self.device)
        progress.train_seconds += time.monotonic() - started
        progress.loss_sum, progress.correct = float(self.learner.loss_sum), int(self.learner.correct)
        return ended if math.isfinite(progress.loss_sum) else Ended.DIVERGED

    def close_epoch(self) -> Ended | None:
        """Validate, save and report the epoch just finished; an answer says that the run is to stop."""
        progress = self.progress
        validation = self.validate()
        test = self.measure(self.data.test) if self.config.test_epochs else None
        report = EpochReport(
            epoch=progress.step // self.steps_per_epoch,
            epochs=self.config.epochs,
            train_loss=progress.loss_sum / len(self.data.train),
            validation_loss=validation.loss if validation else None,
            validation_accuracy=progress.accuracy,
            lr=self.learner.optimizer.lr,
            train_seconds=progress.train_seconds,
            wall_seconds=self.wall_seconds(),
            train_accuracy=progress.correct / len(self.data.train),
            test_loss=test.loss if test else None,
            test_accuracy=test.accuracy if test else None,
        )
        progress.loss_sum, progress.correct = 0.0, 0
        if self.write_scalars is not None:
            self.write_scalars(report)
        reason = self.context.report(report)  # before the checkpoint: an epoch may be told twice, but not missed
        self.save()
        return None if reason is None else Ended(reason.value)

    def validate(self) -> Evaluation | None:
        """Measure the validation split, if there is one and these weights are new."""
        if len(self.data.validation) == 0 or self.validated_step == self.progress.step:
            return None
        self.validated_step = self.progress.step
        evaluation = self.measure(self.data.validation)
        self.progress.accuracy = evaluation.accuracy
        return evaluation

    def measure(self, split: Split) -> Evaluation:
        """Evaluate the weights as they are (the averaged ones, if there are), on the clock of evaluations."""
        started = time.monotonic()
        evaluation = evaluate(self.learner.evaluated, self.data, split, self.loss, self.autocast)
        seconds = time.monotonic() - started
        self.watch.after_evaluation(seconds, len(split))
        self.progress.eval_seconds += seconds
        return evaluation

    def result(self, ended: Ended, detail: str = "") -> TrainResult:
        """The result as things stand. A run that came to an end leaves its weights, and is tested if it asks."""
        arrived = ended in (Ended.COMPLETED, Ended.TARGET, Ended.DEADLINE)
        tested = arrived and self.config.test
        test_accuracy = self.measure(self.data.test).accuracy if tested else None
        if arrived and self.context.folder is not None:
            save_weights(self.context.folder, self.learner.evaluated, self.config)
        return TrainResult(
            ended=ended,
            epochs=self.progress.step // self.steps_per_epoch,
            accuracy=self.progress.accuracy,
            train_seconds=self.progress.train_seconds,
            test_accuracy=test_accuracy,
            eval_seconds=self.progress.eval_seconds,
            load_seconds=self.load_seconds,
            wall_seconds=self.wall_seconds(),
            device=device_name(self.device),
            detail=detail,
        )

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
            "learner": self.learner.state_dict(),
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
        self.learner.load_state_dict(state["learner"])
        self.progress = Progress(**state["progress"])
        self.earlier_wall_seconds = self.progress.wall_seconds
        torch.set_rng_state(state["rng"])
        if state["device_rng"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["device_rng"])

    def recipe(self) -> str:
        """The recipe as text, without what may differ between two attempts of it."""
        images = [len(self.data.train), len(self.data.validation), *self.data.classes]
        return f"{self.config.model_dump_json(exclude=NO_RECIPE, exclude_defaults=True)} {images}"
