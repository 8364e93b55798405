"""train(config, context): one run, from data to result, inside its walltime."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from typing import Any

import torch

from trainer.augment import epoch_batches
from trainer.calibration import calibrate
from trainer.checkpoint import load_checkpoint, save_checkpoint
from trainer.config import TrainConfig
from trainer.context import Ended, EpochReport, RunContext, TrainResult
from trainer.data import TrainingData, load_data
from trainer.devices import Pace, choose_device, device_name, is_out_of_memory, make_autocast, synchronize
from trainer.errors import ConfigError
from trainer.evaluation import Evaluation
from trainer.identity import differences, identity
from trainer.losses import make_loss
from trainer.measuring import Measuring
from trainer.network import make_network
from trainer.progress import Progress
from trainer.scalars import scalar_writer
from trainer.schedules import learning_rate
from trainer.steps import Learner, make_step
from trainer.watch import Watch
from trainer.weights import save_weights


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
    run: TrainingRun | None = None
    try:
        run = TrainingRun(config, context, load_data(config, device), device, began)
        run.restore()
        if context.wants_calibration and run.progress.step == 0:
            autocast, seconds = run.learner.autocast, run.load_seconds
            for calibration in calibrate(config, context, run.data, device, autocast, startup_seconds=seconds):
                context.calibrated(calibration)
        return run.to_the_end()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    name = device_name(device)
    detail = f"batch_size {config.batch_size} does not fit the memory of {name}"
    if run is not None:
        return run.result(Ended.OUT_OF_MEMORY, detail)
    seconds = time.monotonic() - began
    return TrainResult(Ended.OUT_OF_MEMORY, 0, None, 0.0, seconds, device=name, detail=detail)


class TrainingRun:
    """The moving parts of one run: network, optimizer, progress and clock."""

    def __init__(
        self, config: TrainConfig, context: RunContext, data: TrainingData, device: torch.device, began: float
    ) -> None:
        self.config, self.context, self.data, self.device, self.began = config, context, data, device, began
        autocast = make_autocast(config.precision, device)
        self.learner = Learner(config, make_network(config, data, device), make_loss(config), device, autocast)
        self.step = make_step(self.learner, config, device)
        wants_scalars = config.tensorboard and context.folder is not None
        self.write_scalars = scalar_writer(context.folder) if wants_scalars and context.folder else None
        self.pace = Pace(device)
        self.steps_per_epoch = math.ceil(len(data.train) / config.batch_size)
        self.steps = self.steps_per_epoch * config.epochs
        self.progress = Progress()
        self.earlier_wall_seconds = 0.0
        self.watch = Watch(context, config.batch_size, self.pace.ahead)
        self.measuring = Measuring(self.learner, data, self.watch)
        self.load_seconds = time.monotonic() - began

    def to_the_end(self) -> TrainResult:
        """Train epoch by epoch until something ends the run."""
        while self.progress.step < self.steps:
            ended = self.train_epoch()
            ended = self.close_epoch() if ended is None else self.leave_epoch(ended)
            if ended == Ended.DIVERGED:
                return self.result(ended, f"the loss became NaN or infinite before step {self.progress.step}")
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
        started, ended = time.monotonic(), self.watch.stop_requested(self.measuring.images_left)
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
            if self.watch.after_step(progress.step - self.pace.ahead) and progress.step % self.steps_per_epoch:
                ended = self.watch.stop_requested(self.measuring.images_left)
        synchronize(self.device)
        self.watch.after_step(progress.step)
        progress.train_seconds += time.monotonic() - started
        progress.loss_sum, progress.correct = float(self.learner.loss_sum), int(self.learner.correct)
        return ended if math.isfinite(progress.loss_sum) else Ended.DIVERGED

    def close_epoch(self) -> Ended | None:
        """Validate, report and save the epoch just finished; an answer says that the run is to stop."""
        progress = self.progress
        validation = self.validate()
        test = self.measuring.measure("test", self.progress) if self.config.test_epochs else None
        if self.measuring.has_diverged(self.progress):
            return Ended.DIVERGED
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

    def leave_epoch(self, ended: Ended) -> Ended:
        """Measure and save, where it is wanted, in the middle of an epoch; the answer is why the run ends."""
        if ended == Ended.DEADLINE:
            self.validate()
            if self.measuring.has_diverged(self.progress):
                return Ended.DIVERGED
        if ended in (Ended.DEADLINE, Ended.INTERRUPTED):
            self.save()
        return ended

    def validate(self) -> Evaluation | None:
        """Measure the validation split, if there is one."""
        if len(self.data.validation) == 0:
            return None
        evaluation = self.measuring.measure("validation", self.progress)
        self.progress.accuracy = evaluation.accuracy
        return evaluation

    def result(self, ended: Ended, detail: str = "") -> TrainResult:
        """The result as things stand. A run that came to an end leaves its weights, and is tested if it asks."""
        arrived = ended in (Ended.COMPLETED, Ended.TARGET, Ended.DEADLINE)
        tested = arrived and self.config.test
        test_accuracy = self.measuring.measure("test", self.progress).accuracy if tested else None
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
            "recipe": identity(self.config, self.data),
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
        ours = identity(self.config, self.data)
        if state["recipe"] != ours:
            differing = differences(state["recipe"], ours)
            raise ConfigError(
                f"the checkpoint in {folder} belongs to another recipe ({differing}); use another folder"
            )
        self.learner.load_state_dict(state["learner"])
        self.progress = Progress(**state["progress"])
        self.earlier_wall_seconds = self.progress.wall_seconds
        torch.set_rng_state(state["rng"])
        if state["device_rng"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["device_rng"])
