"""What runs in a lane: claim a trial, train it, publish its result.

A worker writes into the folders of its own trials only. It imports next to nothing before it knows which
trainer to load: with one process per trial, its start-up is the price of every trial.
"""

from __future__ import annotations

import math
import os
import signal
import socket
import time
import traceback
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any

from sweep.curves import HOPELESS, stop_after_epoch
from sweep.files import append_line, must_read_json, publish, to_json
from sweep.history import read_progress, used_seconds
from sweep.paths import TrialPaths
from sweep.records import Outcome, TrialSpec, TrialState, as_json
from sweep.trainables import build_config, config_class, load_function
from trainer.context import Calibration, Ended, EpochReport, StopReason, TrainResult

STOP_CHECK_SECONDS = 1.0
TRACEBACK_LINES = 20  # that a result keeps; the log has them all
LEAVING_SECONDS = 5.0  # from the end of a job's time to what a trainer takes as its deadline


@dataclass(frozen=True)
class Claimant:
    """Who claims a trial: a lane of a job, which the site may have started again."""

    job: str = ""
    lane: int = 0
    restart: int = 0


class InterruptFlag:
    """Set by SIGTERM or SIGUSR2. Children forked later (data loaders) inherit the handler, hence the pid."""

    def __init__(self) -> None:
        self.is_set = False
        self.pid = os.getpid()
        for number in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, self._set)

    def _set(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() == self.pid:
            self.is_set = True


class TrialContext:
    """The `RunContext` of a trial: reports go to progress.jsonl, stops come from signals and files."""

    def __init__(
        self,
        files: TrialPaths,
        spec: TrialSpec,
        interrupt: InterruptFlag,
        job_end: float = math.inf,
        ended: Path | None = None,
    ) -> None:
        self.folder: Path | None = files.folder
        self.wants_calibration = spec.wants_calibration
        self._began = time.monotonic() - used_seconds(files)
        limit = self._began + spec.limit_seconds
        # A job that ends with its trial's limit, or nearly, leaves the end to the limit.
        self.is_cut = job_end + LEAVING_SECONDS < limit
        self._job_end = job_end if self.is_cut else math.inf
        self.deadline = min(limit, self._job_end + LEAVING_SECONDS)
        self._files, self._spec, self._interrupt, self._ended = files, spec, interrupt, ended
        self._epochs = list(read_progress(files.progress))
        self._next_check = 0.0

    @cached_property
    def alternatives(self) -> dict[int, Any]:
        """By number; without those that have a mistake, which their own trials will tell."""
        kind, built = config_class(self._spec.trainer), {}
        for number, recipe in enumerate(self._spec.alternatives):
            try:
                built[number] = build_config(kind, recipe)
            except Exception as error:  # noqa: BLE001  # of a class of the user's
                print(f"calibration: alternative {number} is no recipe: {error}", flush=True)
        return built

    def calibrated(self, calibration: Calibration) -> None:
        """For the driver, which proposes what fits.

        Raises:
            ValueError: its numbers cannot be, or there is no such alternative.
        """
        numbers = [number for point in calibration.epoch_seconds for number in point]
        if not all(math.isfinite(number) and number > 0 for number in numbers):
            points = calibration.epoch_seconds
            raise ValueError(f"batch sizes and seconds of a Calibration must be above 0; got {points}")
        if calibration.alternative is not None and calibration.alternative not in self.alternatives:
            known = sorted(self.alternatives)
            raise ValueError(f"Calibration.alternative must be one of {known}; got {calibration.alternative}")
        append_line(self._files.progress, {"calibration": as_json(calibration)})

    def report(self, epoch: EpochReport) -> StopReason | None:
        """Write the epoch down; stop where the study's goal is reached, or out of reach.

        Wall seconds are the worker's: what the trainer counts leaves out its own import.
        """
        epoch = replace(epoch, wall_seconds=self.wall_seconds())
        self._epochs.append(epoch)
        append_line(self._files.progress, as_json(epoch))
        accuracy = epoch.validation_accuracy
        measured = "" if accuracy is None else f"  validation {accuracy:.2%}"
        print(
            f"trial {self._spec.number}  epoch {epoch.epoch}/{epoch.epochs}  loss {epoch.train_loss:.3f}{measured}"
            f"  {epoch.train_seconds:.1f} s",
            flush=True,
        )
        return stop_after_epoch(self._spec, self._epochs) or self.stop_requested()

    def running_loss(self, epoch: int, step: int, loss: float) -> None:
        """Into the job's log."""
        print(f"trial {self._spec.number}  epoch {epoch}  step {step:,}  loss {loss:.3f}", flush=True)

    def wall_seconds(self) -> float:
        """Walltime of the trial, earlier attempts included."""
        return time.monotonic() - self._began

    def stop_requested(self) -> StopReason | None:
        """A signal and the end of the job's time at once; the stop file, which may lie on a shared file system, at
        most once a second.
        """
        if self._interrupt.is_set or time.monotonic() >= self._job_end:
            return StopReason.INTERRUPTED
        if time.monotonic() < self._next_check:
            return None
        self._next_check = time.monotonic() + STOP_CHECK_SECONDS
        if self._ended is not None and self._ended.exists():
            return StopReason.INTERRUPTED
        return StopReason.PRUNED if self._files.stop.exists() else None


def run_trial(
    files: TrialPaths,
    attempt: int,
    interrupt: InterruptFlag,
    job_end: float = math.inf,
    claimant: Claimant = Claimant(),  # frozen
    *,
    ended: Path | None = None,
) -> TrialState | None:
    """Claim and run one trial; None if it is decided or claimed by somebody else.

    The state is that of the result, or RUNNING if the trial had to leave before its end. Where the file `ended`
    appears, the driver has given the job up: whatever still runs of it must leave.
    """
    if files.result.exists() or not claim(files, attempt, claimant):
        return None
    spec = TrialSpec.from_json(must_read_json(files.spec))
    context = TrialContext(files, spec, interrupt, job_end, ended)
    try:
        config = build_config(config_class(spec.trainer), spec.recipe)
        result = load_function(spec.trainer)(config, context)
        if not isinstance(result, TrainResult):
            raise TypeError(f"{spec.trainer} must return a TrainResult; got {type(result).__name__}")
        if result.ended == Ended.INTERRUPTED or (result.ended == Ended.DEADLINE and context.is_cut):
            why = "interrupted_attempt" if interrupt.is_set else "overran_attempt" if context.is_cut else ""
            left = {"left_after_seconds": context.wall_seconds()}
            append_line(files.progress, left | ({why: attempt} if why else {}))
            return TrialState.RUNNING
        if result.ended == Ended.PRUNED and not result.detail and not files.stop.exists():
            result = replace(result, detail=HOPELESS)
        outcome = outcome_of(replace(result, wall_seconds=context.wall_seconds()), attempt)
        text = to_json(as_json(outcome))
    except (Exception, SystemExit) as error:  # noqa: BLE001  # what the swept function raises is the trial's outcome
        print(traceback.format_exc(), flush=True)
        outcome = failure_of(error, files, attempt, context.wall_seconds())
        text = to_json(as_json(outcome))
    publish(files.result, text)
    return outcome.state


def failure_of(error: BaseException, files: TrialPaths, attempt: int, wall_seconds: float) -> Outcome:
    """An exception as the trial's outcome, after the epochs that it finished; memory is told apart."""
    epochs = read_progress(files.progress)
    return Outcome(
        TrialState.OUT_OF_MEMORY if _is_out_of_memory(error) else TrialState.FAILED,
        attempt,
        epochs=len(epochs),
        train_seconds=epochs[-1].train_seconds if epochs else 0.0,
        wall_seconds=wall_seconds,
        host=socket.gethostname(),
        detail="".join(traceback.format_exception_only(error)).strip(),
        traceback="\n".join("".join(traceback.format_exception(error)).splitlines()[-TRACEBACK_LINES:]),
    )


def claim(files: TrialPaths, attempt: int, claimant: Claimant) -> bool:
    """Take this attempt, if nobody has: an attempt runs once.

    When the site has started the job again, an attempt that an earlier start of the same job had claimed goes on.
    """
    owner: dict[str, Any] = {
        "attempt": attempt,
        **asdict(claimant),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "claimed_at": time.time(),
        "monotonic": time.monotonic(),  # stands still while the machine sleeps, as deadlines do
    }
    if not files.claim(attempt).exists() and publish(files.claim(attempt), to_json(owner)):
        return True
    earlier = must_read_json(files.claim(attempt))
    is_ours = earlier.get("job") == claimant.job and earlier.get("restart", 0) < claimant.restart
    return is_ours and publish(files.claim(attempt, claimant.restart), to_json(owner))


def outcome_of(result: TrainResult, attempt: int) -> Outcome:
    """The trainer's result as the trial's outcome. Raises TypeError if its numbers are none."""
    for name in (
        "accuracy",
        "test_accuracy",
        "train_seconds",
        "wall_seconds",
        "eval_seconds",
        "load_seconds",
        "epochs",
    ):
        value = getattr(result, name)
        if not isinstance(value, int | float) and not (value is None and name.endswith("accuracy")):
            raise TypeError(f"TrainResult.{name} must be a number; got {value!r}")
        if name.endswith("accuracy") and value is not None and not 0 <= value <= 1:
            raise ValueError(f"TrainResult.{name} must be in [0, 1]; got {value!r}")
    return Outcome(
        state=TrialState(result.ended.value),
        attempt=attempt,
        epochs=result.epochs,
        accuracy=result.accuracy,
        test_accuracy=result.test_accuracy,
        train_seconds=result.train_seconds,
        wall_seconds=result.wall_seconds,
        eval_seconds=result.eval_seconds,
        load_seconds=result.load_seconds,
        device=result.device,
        host=socket.gethostname(),
        detail=result.detail,
        metrics=result.metrics,
    )


def _is_out_of_memory(error: BaseException) -> bool:
    """Without importing torch: its OutOfMemoryError, Python's MemoryError, or what torch's CPU allocator says."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"OutOfMemoryError", "MemoryError"}) or "can't allocate memory" in str(error)
