"""One training run from the shell: `python -m trainer --epochs 4 --batch-size 50`."""

from __future__ import annotations

import argparse
import math
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from trainer.config import TrainConfig
from trainer.context import Ended, EpochReport, StopReason, TrainResult
from trainer.errors import TrainerError


@dataclass
class ShellContext:
    """A run in a terminal: a bar moves with the epochs, Ctrl-C leaves a checkpoint, the target may end it."""

    folder: Path | None
    deadline: float
    stop_at: float | None
    bar: Progress
    interrupted: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.task = self.bar.add_task("starting", total=None)
        signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        self.interrupted = True

    def report(self, epoch: EpochReport) -> StopReason | None:
        accuracy = epoch.validation_accuracy
        text = f"loss {epoch.train_loss:.3f}" + ("" if accuracy is None else f"  validation {accuracy:.2%}")
        self.bar.update(self.task, description=text, completed=epoch.epoch, total=epoch.epochs)
        self.bar.console.print(f"epoch {epoch.epoch:3d}/{epoch.epochs}  {text}  {epoch.train_seconds:.1f} s")
        reached = self.stop_at is not None and accuracy is not None and accuracy >= self.stop_at
        return StopReason.TARGET if reached else None

    def running_loss(self, epoch: int, step: int, loss: float) -> None:
        self.bar.console.print(f"  epoch {epoch}  step {step:6,}  loss {loss:.3f}")

    def stop_requested(self) -> StopReason | None:
        return StopReason.INTERRUPTED if self.interrupted else None


def verdict(result: TrainResult, target: float, limit_seconds: float) -> str:
    """Success or try again, in one sentence. The test accuracy counts where it was measured."""
    measured = [(result.test_accuracy, "test"), (result.accuracy, "validation")]
    accuracy, split = next(((value, name) for value, name in measured if value is not None), (None, ""))
    if accuracy is None:
        return f"No verdict: no accuracy was measured ({result.ended})."
    facts = f"{accuracy:.2%} {split} accuracy in {result.train_seconds:.1f} s of training"
    within = result.train_seconds <= limit_seconds
    if accuracy >= target and within and result.ended != Ended.DIVERGED:
        return f"Success: {facts}, target {100 * target:.4g}%."
    return f"Try again: {facts}, target {100 * target:.4g}%" + ("." if within else f" within {limit_seconds:g} s.")


def make_parser() -> argparse.ArgumentParser:
    """Every key of TrainConfig is an option; its help text is the key's description."""
    parser = argparse.ArgumentParser(prog="python -m trainer", description="Train one recipe.")
    recipe = parser.add_argument_group("recipe")
    for name, key in TrainConfig.model_fields.items():
        option = "--" + name.replace("_", "-")
        default = (
            "" if key.default is None or key.default is False or key.default == "" else f" (default {key.default})"
        )
        text = f"{key.description}{default}".replace("%", "%%")
        if key.annotation is bool:
            recipe.add_argument(option, dest=name, action="store_true", help=text)
        else:
            recipe.add_argument(option, dest=name, metavar="X", help=text)
    run = parser.add_argument_group("run")
    run.add_argument("--target", type=float, default=0.6, help="accuracy to reach (default 0.6)")
    run.add_argument("--limit", type=float, default=3600.0, help="walltime in seconds (default 3600)")
    run.add_argument("--stop-at-target", action="store_true", help="end at the first epoch that reaches it")
    run.add_argument("--folder", type=Path, help="keep checkpoints here and go on from the one that is there")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; 0 when the run came to an end, 1 for the user's mistakes."""
    arguments = vars(make_parser().parse_args(argv))
    given = {name: arguments[name] for name in TrainConfig.model_fields if arguments[name] is not None}
    console = Console(highlight=False, markup=False, soft_wrap=True)
    try:
        config = TrainConfig.model_validate(given)
        result = run(config, arguments, console)
    except ValidationError as error:
        for mistake in error.errors():
            option = "--" + str(mistake["loc"][0]).replace("_", "-")
            print(f"error: {option}: {mistake['msg']}; got {mistake['input']!r}", file=sys.stderr)
        return 1
    except (TrainerError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if result.ended in (Ended.DIVERGED, Ended.OUT_OF_MEMORY):
        console.print(f"{result.ended}: {result.detail}")
    elif result.ended == Ended.INTERRUPTED and arguments["folder"]:
        console.print(f"Interrupted; the same command goes on from {arguments['folder']}.")
    console.print(verdict(result, arguments["target"], arguments["limit"]))
    return 0


def run(config: TrainConfig, arguments: dict[str, object], console: Console) -> TrainResult:
    """Train with a progress bar on a terminal, plain lines on a pipe."""
    deadline = time.monotonic() + float(str(arguments["limit"]))
    from trainer.training import train  # after the arguments are known to be good: torch takes seconds

    folder = arguments["folder"]
    if isinstance(folder, Path):
        folder.mkdir(parents=True, exist_ok=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        context = ShellContext(
            folder=folder if isinstance(folder, Path) else None,
            deadline=deadline if math.isfinite(deadline) else math.inf,
            stop_at=float(str(arguments["target"])) if arguments["stop_at_target"] else None,
            bar=bar,
        )
        return train(config, context)


if __name__ == "__main__":
    sys.exit(main())
