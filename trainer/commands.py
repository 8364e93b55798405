"""The commands of `python -m trainer`: train, test, explore."""

from __future__ import annotations

import argparse
import math
import re
import sys
import tempfile
import time
import traceback
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from trainer.config import TrainConfig
from trainer.context import Ended, TrainResult
from trainer.errors import ConfigError, TrainerError
from trainer.recipes import RECIPES

BUG = 3


def share(text: str) -> float:
    """A target accuracy."""
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"an accuracy is above 0 and at most 1; got {text}")
    return value


def seconds(text: str) -> float:
    """A walltime: a number of seconds, or with a unit."""
    found = re.fullmatch(r"(\d+\.?\d*|inf) *(s|m|min|h|d|)", text.lower())
    if found is None:
        raise argparse.ArgumentTypeError(f"a walltime is a number of seconds, or such as 90s or 1h; got {text}")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}[found[2]]


def make_parser() -> argparse.ArgumentParser:
    """Every key of TrainConfig is an option; its help text is the key's description."""
    recipes = "\n".join(f"  {name:20} {recipe.description}" for name, recipe in RECIPES.items())
    parser = argparse.ArgumentParser(
        prog="python -m trainer",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Train one recipe.\n\nOther commands:\n"
        "  python -m trainer explore DATASET   sizes, class balance and samples of a data set\n"
        "  python -m trainer test FOLDER       load the weights a run left, and test them again",
        epilog=f"recipes of --recipe, each as its authors ran it:\n{recipes}",
    )
    recipe = parser.add_argument_group("recipe")
    recipe.add_argument("--recipe", choices=RECIPES, metavar="NAME", help="begin with a named recipe, see below")
    for name, key in TrainConfig.model_fields.items():
        option = "--" + name.replace("_", "-")
        default = "" if key.default in (None, "") or key.annotation is bool else f" (default {key.default})"
        text = f"{key.description}{default}".replace("%", "%%")
        if key.annotation is bool:
            recipe.add_argument(option, dest=name, action=argparse.BooleanOptionalAction, help=text)
        else:
            recipe.add_argument(option, dest=name, metavar="X", help=text)
    run = parser.add_argument_group("run")
    run.add_argument("--target", type=share, default=0.6, help="accuracy to reach (default 0.6)")
    run.add_argument("--limit", type=seconds, default=3600.0, help="walltime, such as 90s or 1h (default 1h)")
    run.add_argument("--stop-at-target", action="store_true", help="end at the first epoch that reaches it")
    run.add_argument(
        "--folder", type=Path, help="keep checkpoints, weights and pictures here; go on from those there"
    )
    return parser


def train_command(argv: list[str], console: Console) -> int:
    """Train, then load the weights left and test them again."""
    arguments = vars(make_parser().parse_args(argv))
    preset = RECIPES[arguments["recipe"]].keys if arguments["recipe"] else {}
    given = {name: arguments[name] for name in TrainConfig.model_fields if arguments[name] is not None}
    config = TrainConfig.model_validate({**preset, **given})
    kept: Path | None = arguments["folder"]
    if kept is not None:
        make_folder(kept)
    elif config.tensorboard:
        raise ConfigError("--tensorboard writes into the run's folder; add --folder DIR")
    going_on = "" if kept is None else f"; the same command goes on from {kept}"
    with tempfile.TemporaryDirectory() as scratch:
        folder = kept or Path(scratch)
        result = run(config, arguments, folder, console)
        if result.ended == Ended.INTERRUPTED:
            raise KeyboardInterrupt(f"Interrupted{going_on}.")
        from trainer.shell import ending, verdict

        if text := ending(result, config.epochs, going_on):
            console.print(text)
        if result.ended in (Ended.COMPLETED, Ended.TARGET, Ended.DEADLINE):
            show_left(folder, result, config, console, keeps=kept is not None)
    console.print(verdict(result, arguments["target"], arguments["limit"]))
    return 0


def make_folder(folder: Path) -> None:
    """Raise ConfigError if the folder is neither there nor can be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--folder {folder} cannot be made ({error.strerror}); choose another") from error


def run(config: TrainConfig, arguments: dict[str, object], folder: Path, console: Console) -> TrainResult:
    """Train with a progress bar on a terminal, plain lines on a pipe."""
    deadline = time.monotonic() + float(str(arguments["limit"]))
    from trainer.outputs import tested_as_before
    from trainer.shell import ShellContext
    from trainer.training import train  # after the arguments are known to be good: torch takes seconds

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        context = ShellContext(
            folder=folder,
            deadline=deadline if math.isfinite(deadline) else math.inf,
            stop_at=float(str(arguments["target"])) if arguments["stop_at_target"] else None,
            bar=bar,
        )
        says_whether_to_test = arguments["test"] is not None
        result = train(config if says_whether_to_test else tested_as_before(config, folder), context)
    if result.ended == Ended.COMPLETED and context.epochs_told == 0:
        console.print(f"The run in {folder} was complete: its {result.epochs} epoch(s) are kept as they are.")
    return result


def show_left(folder: Path, result: TrainResult, config: TrainConfig, console: Console, *, keeps: bool) -> None:
    """Weights loaded into a new network and tested, class by class, if an epoch was finished and measured."""
    from trainer.outputs import retest, save_pictures
    from trainer.shell import show_classes

    names = ["weights.pt", "recipe.json"]
    if result.epochs > 0 and (result.accuracy, result.test_accuracy) != (None, None):
        tested = retest(folder, device=config.device, data_dir=config.data_dir)
        show_classes(console, tested)
        names += save_pictures(folder, tested) if keeps else []
    if keeps:
        console.print(f"In {folder}: {', '.join(names)}")


def test_command(argv: list[str], console: Console) -> int:
    """Measure the weights of a folder."""
    parser = argparse.ArgumentParser(prog="python -m trainer test", description=test_command.__doc__)
    parser.add_argument("folder", type=Path, help="of a run, or of a study's trial: runs/STUDY/trials/00017")
    parser.add_argument("--split", choices=["test", "validation"], default="", help="default: as in its recipe")
    parser.add_argument("--device", default="auto", help="default auto")
    parser.add_argument("--data-dir", default="", help="where the data lies, if not where it lay")
    given = parser.parse_args(argv)
    from trainer.outputs import retest, save_pictures
    from trainer.shell import show_classes

    tested = retest(given.folder, given.split, given.device, given.data_dir)
    show_classes(console, tested)
    console.print(f"In {given.folder}: {', '.join(save_pictures(given.folder, tested))}")
    return 0


def explore_command(argv: list[str], console: Console) -> int:
    """Show what a data set holds: sizes, class balance, channel statistics, sample images."""
    parser = argparse.ArgumentParser(prog="python -m trainer explore", description=explore_command.__doc__)
    parser.add_argument("dataset", help=str(TrainConfig.model_fields["dataset"].description))
    parser.add_argument("--data-dir", default="", help=str(TrainConfig.model_fields["data_dir"].description))
    parser.add_argument("--image-size", type=int, help=str(TrainConfig.model_fields["image_size"].description))
    parser.add_argument("--folder", type=Path, help="for the pictures (default explore-NAME)")
    given = parser.parse_args(argv)
    keys = {"dataset": given.dataset, "data_dir": given.data_dir, "image_size": given.image_size}
    config = TrainConfig.model_validate(keys)
    from trainer.explore import explore
    from trainer.shell import show_data

    folder = given.folder or Path(f"explore-{Path(config.dataset.removeprefix('imagefolder:')).name}")
    show_data(console, explore(config.dataset, config.data_dir, config.image_size, folder))
    console.print(f"In {folder}: class_balance.png, samples.png, channels.png")
    return 0


def option_of(key: str, words: list[str]) -> str:
    """Where the command line gives a key of the recipe."""
    return "DATASET" if key == "dataset" and words[0] == "explore" else "--" + key.replace("_", "-")


def run_command(words: list[str]) -> int:
    """Run the command; 0 when it came to an end, 1 for the user's mistakes, 3 for bugs, with a log.

    Raises:
        KeyboardInterrupt: Ctrl-C; its text says how to go on.
    """
    console = Console(highlight=False, markup=False, soft_wrap=True)
    commands = {"test": test_command, "explore": explore_command}
    try:
        if words and words[0] in commands:
            return commands[words[0]](words[1:], console)
        return train_command(words, console)
    except ValidationError as error:
        for mistake in error.errors():
            said = mistake["msg"].removeprefix("Value error, ")
            if mistake["loc"]:  # else it is about several keys, and names them
                said = f"{option_of(str(mistake['loc'][0]), words)}: {said}; got {mistake['input']!r}"
            print(f"error: {said}", file=sys.stderr)
    except TrainerError as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        named = error.filename is not None and error.strerror is not None
        print(f"error: {f'{error.filename}: {error.strerror}' if named else error}", file=sys.stderr)
    except Exception:  # noqa: BLE001  # a bug, or a network of the user's own that fails in the middle
        with tempfile.NamedTemporaryFile("w", prefix="trainer-bug-", suffix=".log", delete=False) as log:
            log.write(f"{' '.join(words)}\n{traceback.format_exc()}")
        last = traceback.format_exc().strip().splitlines()[-1]
        print(f"failed: {last}\nThe whole story is in {log.name}; report it if we are to blame.", file=sys.stderr)
        return BUG
    return 1
