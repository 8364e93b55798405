"""python -m trainer: named recipes, and what a run says and leaves."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import pytest
from trainer_helpers import files_below, outcome, refused, rows

from trainer.__main__ import main
from trainer.commands import BUG
from trainer.recipes import RECIPES
from trainer.weights import RECIPE

SMALL = ["--epochs", "2", "--batch-size", "20", "--loss-steps", "1000"]  # for forty images


# Named recipes


@pytest.mark.parametrize("name", ["first_network_mlp", "first_network_cnn"])
def test_a_named_recipe_is_trained_with_what_the_options_replace(mnist, tmp_path, capsys, name):
    folder = tmp_path / "run"

    status, lines, mistakes = outcome(capsys, "--recipe", name, *SMALL, "--folder", str(folder))

    assert (status, mistakes) == (0, "")
    recipe = json.loads((folder / RECIPE).read_text())
    assert recipe.items() >= {"epochs": 2, "batch_size": 20, "optimizer": "adadelta", "loss": "nll"}.items()
    assert [report["lr"] for report in told(folder)] == [1.0, 0.7]
    assert "test accuracy" in lines[-1]


def told(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "progress.jsonl").read_text().splitlines()]


def test_the_test_set_of_a_named_recipe_is_watched_at_every_epoch(mnist, capsys):
    _, lines, _ = outcome(capsys, "--recipe", "first_network_mlp", *SMALL)

    assert [" test " in line for line in lines[:2]] == [True, True]


def test_a_key_of_a_named_recipe_may_be_switched_off(mnist, capsys):
    options = ["--recipe", "first_network_mlp", *SMALL, "--no-test", "--no-test-epochs"]

    status, lines, _ = outcome(capsys, *options)

    assert status == 0
    assert not any(" test " in line for line in lines[:-1])
    assert lines[-1].startswith("No verdict: no images were held out")


def test_a_named_recipe_may_be_trained_on_other_data(pets, capsys):
    options = ["--recipe", "frontier_challenge", "--dataset", pets, "--epochs", "1", "--lr", "0.01"]

    status, lines, _ = outcome(capsys, *options, "--model", "mlp", "--device", "cpu")

    assert status == 0
    assert [row[0] for row in rows(lines)] == ["cat", "dog"]


def test_an_unknown_recipe_is_refused_with_the_known_ones(capsys):
    mistake = refused(capsys, "--recipe", "alexnet")

    assert "invalid choice: 'alexnet'" in mistake
    assert all(name in mistake for name in RECIPES)


def test_help_describes_the_recipes(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["--help"])

    text = capsys.readouterr().out
    assert all(f"{name} " in text and recipe.description in text for name, recipe in RECIPES.items())
    assert "python -m trainer explore DATASET" in text
    assert "python -m trainer test FOLDER" in text


@pytest.mark.parametrize("target", ["0", "-0.1", "1.01", "60", "nan", "most"])
def test_a_target_that_is_no_share_is_refused(capsys, target):
    mistake = refused(capsys, "--target", target)

    assert "argument --target: " in mistake
    assert target in mistake


def test_pretrained_weights_that_are_missing_are_the_users_mistake(pets, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    options = ["--recipe", "finetune_resnet18", "--dataset", pets, "--batch-size", "5", "--device", "cpu"]

    status, lines, mistakes = outcome(capsys, *options)

    assert (status, lines) == (1, [])
    assert mistakes.startswith("error: the pretrained weights are not in torch's cache")


def test_weights_and_a_network_that_do_not_go_together_are_the_users_mistake(capsys):
    status, _, mistakes = outcome(capsys, "--model", "mlp", "--weights", "pretrained")

    assert status == 1
    assert "pretrained is for model resnet18; got model mlp" in mistakes
    assert mistakes.count("\n") == 1


# What a run says and leaves


def test_the_running_loss_is_printed_with_its_epoch_and_step(capsys):
    options = ["--device", "cpu", "--epochs", "2", "--validation-fraction", "0.5", "--loss-steps", "10"]

    _, lines, _ = outcome(capsys, *options)

    assert lines[0].startswith("  epoch 1  step     10  loss ")
    assert lines[2].startswith("  epoch 2  step ")


def test_a_run_with_a_folder_leaves_its_weights_epochs_and_pictures(pets, tmp_path, capsys):
    folder = tmp_path / "run"
    options = ["--dataset", pets, "--batch-size", "6", "--epochs", "2", "--device", "cpu", "--folder", str(folder)]

    status, lines, _ = outcome(capsys, *options)

    pictures = ["curves.png", "first_layer.png", "last_batch.png", "overall_results.png"]
    assert status == 0
    assert {"weights.pt", "recipe.json", "progress.jsonl", *pictures} <= set(files_below(folder))
    assert all(name in lines[-2] for name in ["weights.pt", "recipe.json", *pictures])
    assert len(told(folder)) == 2


def test_a_run_without_a_folder_leaves_nothing_here(tmp_path, capsys):
    outcome(capsys, "--epochs", "1", "--device", "cpu")

    assert files_below(tmp_path) == []


def test_ones_own_network_here_is_trained(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "my_network_here.py").write_text(
        "from torch import nn\n"
        "def make(classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(1024, classes))\n"
    )

    status, lines, _ = outcome(capsys, "--model", "my_network_here:make", "--epochs", "3", "--device", "cpu")

    assert status == 0
    assert lines[-1].startswith("Success")


def test_a_network_that_does_not_exist_is_the_users_mistake(capsys):
    status, lines, mistakes = outcome(capsys, "--model", "nowhere:Network", "--device", "cpu")

    assert (status, lines) == (1, [])
    assert mistakes.startswith("error: model must be a name or an importable module:Class")
    assert mistakes.count("\n") == 1


def test_a_network_that_fails_in_the_middle_leaves_a_sentence_and_a_log(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "my_fragile_network.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "class Network(nn.Sequential):\n"
        "    def __init__(self, classes):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(1024, classes))\n"
        "    def forward(self, images):\n"
        "        assert not torch.is_grad_enabled(), 'no training, please'\n"
        "        return super().forward(images)\n"
    )

    status, lines, mistakes = outcome(capsys, "--model", "my_fragile_network:Network", "--device", "cpu")

    (log,) = tmp_path.glob("trainer-bug-*.log")
    assert (status, lines) == (BUG, [])
    assert mistakes.splitlines()[0] == "failed: AssertionError: no training, please"
    assert str(log) in mistakes
    assert "my_fragile_network.py" in log.read_text()
