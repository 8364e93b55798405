"""python -m trainer: options, verdicts, mistakes, and going on after Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainer import Ended, TrainResult
from trainer.__main__ import INTERRUPTED, main
from trainer.config import TrainConfig
from trainer.shell import verdict

SHELL = [sys.executable, "-m", "trainer"]


@pytest.fixture(autouse=True)
def ctrl_c_as_before() -> Iterator[None]:
    """A run in this process takes Ctrl-C for itself; give it back."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SHELL, *options], capture_output=True, text=True, timeout=120, check=False)


def result(accuracy: float | None, seconds: float = 10, test: float | None = None) -> TrainResult:
    return TrainResult(Ended.COMPLETED, 4, accuracy, seconds, seconds + 1, test_accuracy=test)


# The verdict


def test_enough_accuracy_in_time_is_a_success():
    expected = "Success: 70.00% validation accuracy in 10.0 s of training, target 60%."

    assert verdict(result(0.7), 0.6, 60) == expected


@pytest.mark.parametrize(("accuracy", "seconds"), [(0.6, 10), (0.7, 60)])
def test_the_target_and_the_limit_themselves_are_a_success(accuracy, seconds):
    assert verdict(result(accuracy, seconds), 0.6, 60).startswith("Success")


def test_too_little_accuracy_is_to_be_tried_again():
    expected = "Try again: 59.00% validation accuracy in 10.0 s of training, target 60%."

    assert verdict(result(0.59), 0.6, 60) == expected


def test_too_much_time_is_to_be_tried_again():
    expected = "Try again: 70.00% validation accuracy in 61.0 s of training, target 60% within 60 s."

    assert verdict(result(0.7, seconds=61), 0.6, 60) == expected


@pytest.mark.parametrize(
    ("validation", "test", "beginning"),
    [
        (0.5, 0.9, "Success: 90.00% test"),
        (0.9, 0.1, "Try again: 10.00% test"),
        (0.9, 0.0, "Try again: 0.00% test"),
    ],
)
def test_the_test_accuracy_counts_where_it_was_measured(validation, test, beginning):
    assert verdict(result(validation, test=test), 0.6, 60).startswith(beginning)


def test_without_an_accuracy_there_is_no_verdict():
    nothing = TrainResult(Ended.DIVERGED, 0, None, 1, 1)

    assert verdict(nothing, 0.6, 60) == "No verdict: no accuracy was measured (diverged)."


# A run in a shell


def test_a_run_prints_its_epochs_and_a_verdict():
    finished = run("--epochs", "2", "--device", "cpu")

    first, second, headline, *table, last = finished.stdout.splitlines()
    assert (finished.returncode, finished.stderr) == (0, "")
    assert first.startswith("epoch   1/2  loss ")
    assert second.startswith("epoch   2/2  loss ")
    assert headline.endswith("% overall, validation images")
    assert sum(line.startswith("│") for line in table) == 10  # one row a class
    assert last.startswith(("Success: ", "Try again: "))


@pytest.mark.parametrize("width", ["80", "200"])
def test_help_lists_every_key_of_the_recipe(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", width)

    finished = run("--help")

    words = finished.stdout.replace(",", "").split()
    assert finished.returncode == 0
    assert {"--" + name.replace("_", "-") for name in TrainConfig.model_fields} <= set(words)
    assert {"--target", "--limit", "--stop-at-target", "--folder"} <= set(words)


def test_all_mistakes_are_listed_at_once():
    given = {"--epochs": "0", "--batch-size": "few", "--optimizer": "lion", "--lr": "-1"}

    finished = run(*(word for option in given.items() for word in option))

    assert (finished.returncode, finished.stdout) == (1, "")
    for line, (option, value) in zip(finished.stderr.splitlines(), given.items(), strict=True):
        assert line.startswith(f"error: {option}: ")
        assert line.endswith(f"got {value!r}")


def test_a_stranger_among_the_options_is_refused():
    finished = run("--learning-rate", "0.1")

    assert finished.returncode == 2
    assert "unrecognized arguments: --learning-rate" in finished.stderr


def test_after_ctrl_c_the_same_command_goes_on(tmp_path, capsys):
    options = ["--epochs", "100000", "--device", "cpu", "--folder", str(tmp_path / "run")]
    with subprocess.Popen([*SHELL, *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("epoch   1/100000")
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read().splitlines()
    assert process.returncode == INTERRUPTED
    assert rest[-1] == f"Interrupted; the same command goes on from {tmp_path / 'run'}."

    assert main([*options, "--stop-at-target", "--target", "0.01"]) == 0

    epochs_before = 1 + sum(line.startswith("epoch") for line in rest)
    (epoch,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch"))
    assert epoch.startswith(f"epoch {epochs_before + 1:3d}/100000")


@pytest.mark.parametrize("module", ["pydantic.version", "torch.torch_version", "trainer.steps"])
def test_ctrl_c_while_it_starts_says_no_more_than_that(module):
    command = [sys.executable, "-X", "importtime", *SHELL[1:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        told = (line.split("|")[-1].strip() for line in process.stderr)
        assert module in told  # and no further
        process.send_signal(signal.SIGINT)
        mistakes = [line for line in process.stderr if not line.startswith("import time:")]
        said = process.stdout.read()

    assert (process.returncode, said, mistakes) == (INTERRUPTED, "Interrupted.\n", [])


# A run in this process


def outcome(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, list[str], str]:
    """The exit status, the lines printed and the mistakes."""
    status = main(["--device", "cpu", *options])
    captured = capsys.readouterr()
    return status, captured.out.splitlines(), captured.err


def test_the_test_set_decides_when_asked_for(capsys):
    status, lines, _ = outcome(capsys, "--epochs", "1", "--test")

    assert status == 0
    assert "test accuracy" in lines[-1]


def test_the_run_ends_at_the_target_when_told_to(capsys):
    _, lines, _ = outcome(capsys, "--epochs", "50", "--stop-at-target", "--target", "0.5")

    assert lines[-1].startswith("Success")
    assert sum(line.startswith("epoch") for line in lines) < 10


def test_the_run_goes_on_past_the_target_by_default(capsys):
    _, lines, _ = outcome(capsys, "--epochs", "3", "--target", "0.01")

    assert [line[:11] for line in lines[:3]] == ["epoch   1/3", "epoch   2/3", "epoch   3/3"]


def test_a_diverged_run_says_so(capsys):
    status, lines, _ = outcome(capsys, "--lr", "1e30")

    assert status == 0
    assert lines[0].startswith("diverged: the loss became NaN or infinite")
    assert lines[0].endswith("; try a lower lr")
    assert lines[1].startswith("No verdict")


@pytest.mark.parametrize(
    ("options", "mistake"),
    [
        (["--batch-size", "5000"], "error: batch_size must not exceed the 1,295 training images"),
        (["--dataset", "mnist"], "error: data set 'mnist' is not in "),
        (["--dataset", "imagefolder:nowhere"], "nowhere/train does not exist"),
        (
            ["--dataset", "nope"],
            "error: --dataset: must be one of digits, cifar10, mnist, imagefolder:PATH; got 'nope'\n",
        ),
        (["--model", "lenet5"], "lenet, bn_cnn, mlp, mnist_cnn, resnet18, module:Class; got 'lenet5'\n"),
        (["--crop", "32"], "error: crop must be less than the side of the images, 32 x 32; got 32\n"),
        (["--cutout", "100"], "error: cutout must be less than the side of the images, 32 x 32; got 100\n"),
        (["--tensorboard"], "error: --tensorboard writes into the run's folder; add --folder DIR\n"),
        (["--folder", __file__], f"error: --folder {__file__} cannot be made (File exists); choose another\n"),
        (["--folder", "/proc/x"], "error: --folder /proc/x cannot be made (No such file or directory);"),
        (["--image-size", "8"], "error: image_size is for image folders; got dataset digits\n"),
        (["--seed", "-1"], "error: --seed: Input should be greater than or equal to 0; got '-1'"),
    ],
)
def test_the_users_mistakes_are_one_line_each(capsys, options, mistake):
    status, lines, mistakes = outcome(capsys, *options)

    assert (status, lines) == (1, [])
    assert mistake in mistakes
    assert mistakes.count("\n") == 1


def test_the_folder_of_another_recipe_is_the_users_mistake(tmp_path: Path, capsys):
    outcome(capsys, "--epochs", "1", "--folder", str(tmp_path / "run"))

    status, _, mistakes = outcome(capsys, "--epochs", "2", "--folder", str(tmp_path / "run"))

    assert status == 1
    assert "belongs to another recipe" in mistakes


def test_a_run_imports_neither_the_compiler_nor_the_decoders_of_a_cached_data_set():
    code = (
        "import sys; from trainer.__main__ import main; main(['--epochs', '1']); "
        "print([name for name in ('torch._dynamo', 'torchvision', 'sklearn', 'optuna') if name in sys.modules])"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=100)  # fills the cache
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout.splitlines()[-1] == "[]"


def test_ctrl_c_that_other_code_has_wrapped_is_ctrl_c(monkeypatch, capsys):
    def interrupted(argv):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as interrupt:
            raise RuntimeError("Error calling __set_name__") from interrupt

    monkeypatch.setattr("trainer.commands.run_command", interrupted)
    assert main([]) == INTERRUPTED
    assert capsys.readouterr().out == "Interrupted.\n"


def test_an_error_of_ours_is_not_taken_for_ctrl_c(monkeypatch):
    def broken(argv):
        raise RuntimeError("broken")

    monkeypatch.setattr("trainer.commands.run_command", broken)
    with pytest.raises(RuntimeError, match="broken"):
        main([])
