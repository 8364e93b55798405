"""python -m trainer test and explore: weights measured again, and a look at a data set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trainer_helpers import files_below, make_imagefolder, outcome, refused, rows, save_image

from trainer.weights import RECIPE

# Weights tested again


@pytest.fixture
def run(pets: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The folder of a run that recognises its pets."""
    options = ["--dataset", pets, "--batch-size", "6", "--epochs", "30", "--optimizer", "adam", "--device", "cpu"]
    folder = tmp_path / "run"
    assert outcome(capsys, *options, "--validation-fraction", "0.3", "--folder", str(folder))[0] == 0
    return folder


@pytest.mark.parametrize(("options", "split"), [([], "validation"), (["--split", "test"], "test")])
def test_weights_are_tested_again_class_by_class(run, capsys, options, split):
    status, lines, mistakes = outcome(capsys, "test", str(run), "--device", "cpu", *options)

    assert (status, mistakes) == (0, "")
    assert lines[0] == f"100.00% overall, {split} images"
    assert rows(lines) == [["cat", "100.0%", "100.0%"], ["dog", "100.0%", "100.0%"]]
    assert lines[-1].startswith(f"In {run}: overall_results.png, last_batch.png")


def test_a_class_never_guessed_is_said_to_be(tmp_path, capsys):
    root = make_imagefolder(tmp_path / "pets", per_class=10, shape=(20, 20))
    options = ["--dataset", f"imagefolder:{root}", "--batch-size", "6", "--epochs", "1", "--lr", "1e-9"]
    outcome(capsys, *options, "--device", "cpu", "--folder", str(tmp_path / "run"))  # it has learned nothing

    _, lines, _ = outcome(capsys, "test", str(tmp_path / "run"), "--device", "cpu")

    assert lines[0] == "50.00% overall, validation images"
    assert sorted(cells[1:] for cells in rows(lines)) == [["0.0%", "never guessed"], ["100.0%", "50.0%"]]


def test_data_that_lies_elsewhere_now_can_be_pointed_to(mnist, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "run"
    outcome(
        capsys, "--recipe", "first_network_mlp", "--epochs", "1", "--batch-size", "20", "--folder", str(folder)
    )
    mnist.rename(tmp_path / "moved")

    lost, _, mistake = outcome(capsys, "test", str(folder), "--device", "cpu")
    status, lines, _ = outcome(
        capsys, "test", str(folder), "--device", "cpu", "--data-dir", str(tmp_path / "moved")
    )

    assert lost == 1
    assert "data set 'mnist' is not in" in mistake
    assert status == 0
    assert lines[0].endswith("overall, test images")


def test_a_folder_without_a_run_is_the_users_mistake(tmp_path, capsys):
    status, lines, mistakes = outcome(capsys, "test", str(tmp_path))

    assert (status, lines) == (1, [])
    assert mistakes == f"error: {tmp_path} holds no recipe.json; give the folder of a run that came to its end\n"


def test_a_recipe_changed_by_hand_into_an_impossible_one_is_the_users_mistake(run, capsys):
    recipe = json.loads((run / RECIPE).read_text())
    (run / RECIPE).write_text(json.dumps(recipe | {"epochs": 0}))

    status, _, mistakes = outcome(capsys, "test", str(run))

    assert status == 1
    assert "epochs: Input should be greater than or equal to 1" in mistakes


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"{'epochs': 1}"])
def test_a_file_that_is_no_recipe_is_named(tmp_path, capsys, content):
    (tmp_path / RECIPE).write_bytes(content)

    status, lines, mistakes = outcome(capsys, "test", str(tmp_path))

    assert (status, lines) == (1, [])
    assert mistakes.startswith(f"error: {tmp_path / RECIPE} is no recipe (")
    assert mistakes.count("\n") == 1


def test_a_split_that_does_not_exist_is_refused(tmp_path, capsys):
    assert "invalid choice: 'train'" in refused(capsys, "test", str(tmp_path), "--split", "train")


# A look at a data set


def test_exploring_shows_sizes_balance_and_channels_and_draws_them(tmp_path, capsys):
    generator = np.random.default_rng(0)
    for part, counts in (("train", (6, 2)), ("test", (1, 1))):
        for name, count in zip(("cat", "dog"), counts, strict=True):
            for number in range(count):
                pixels = generator.integers(0, 256, (20, 24, 3), dtype=np.uint8)
                save_image(tmp_path / "pets" / part / name / f"{number}.png", pixels)

    status, lines, mistakes = outcome(capsys, "explore", f"imagefolder:{tmp_path / 'pets'}")

    assert (status, mistakes) == (0, "")
    assert "8 training and 2 test images of 3 x 20 x 24 (channels x height x width), 2 classes" in lines[0]
    assert all("trained on as (value - 0.5) / 0.5 (fixed constants)" in line for line in lines[1:4])
    assert [line[:10] for line in lines[1:4]] == ["channel 0:", "channel 1:", "channel 2:"]
    assert rows(lines) == [["cat", "6", "1", "75.0%"], ["dog", "2", "1", "25.0%"]]
    pictures = tmp_path / "explore-pets"
    assert lines[-1] == "In explore-pets: class_balance.png, samples.png, channels.png"
    assert files_below(pictures) == ["channels.png", "class_balance.png", "samples.png"]
    for picture in pictures.iterdir():
        with Image.open(picture) as image:
            image.load()


def test_exploring_draws_where_it_is_told_to(mnist, tmp_path, capsys):
    status, lines, _ = outcome(capsys, "explore", "mnist", "--folder", str(tmp_path / "deep" / "look"))

    assert status == 0
    assert len(rows(lines)) == 10
    assert len(files_below(tmp_path / "deep" / "look")) == 3


def test_exploring_brings_images_of_several_sizes_to_one(tmp_path, capsys):
    root = make_imagefolder(tmp_path / "pets")
    save_image(root / "train" / "cat" / "wide.png", np.zeros((10, 30), np.uint8))

    refused_status, _, mistake = outcome(capsys, "explore", f"imagefolder:{root}")
    status, lines, _ = outcome(capsys, "explore", f"imagefolder:{root}", "--image-size", "16")

    assert refused_status == 1
    assert "set image_size, or resize them" in mistake
    assert status == 0
    assert "1 x 16 x 16" in lines[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mnist"], "error: data set 'mnist' is not in "),
        (["imagefolder:nowhere"], "nowhere/train does not exist"),
        (["nope"], "error: DATASET: must be one of digits, cifar10, mnist, imagefolder:PATH; got 'nope'"),
        (
            ["digits", "--image-size", "0"],
            "error: --image-size: Input should be greater than or equal to 1; got 0",
        ),
    ],
)
def test_exploring_what_is_not_there_is_the_users_mistake(capsys, words, said):
    status, lines, mistakes = outcome(capsys, "explore", *words)

    assert (status, lines) == (1, [])
    assert said in mistakes
    assert mistakes.count("\n") == 1
