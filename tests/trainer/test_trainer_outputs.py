"""What a run leaves: weights that test the same again, epochs read back, pictures."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from trainer_helpers import ScriptedContext, make_imagefolder

from trainer import Ended, EpochReport, StopReason
from trainer.config import TrainConfig
from trainer.context import QuietContext
from trainer.errors import ConfigError
from trainer.outputs import PROGRESS, SHOWN, read_epochs, retest, save_pictures
from trainer.training import train
from trainer.weights import RECIPE, WEIGHTS


def trained(folder: Path, **keys):
    folder.mkdir(exist_ok=True)
    config = {"epochs": 2, "validation_fraction": 0.5, "device": "cpu", **keys}
    return train(TrainConfig(**config), QuietContext(folder))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that held out half of the digits and measured the test set."""
    folder = tmp_path_factory.mktemp("run")
    trained(folder, test=True)
    return folder


# Tested again


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"model": "bn_cnn", "epochs": 1},
        {"model": "mlp", "optimizer": "adam"},
        {"ema": 0.9},
        {"loss": "mse"},
        {"flip": True, "crop": 2},
    ],
)
def test_weights_loaded_again_are_as_good_as_they_were(tmp_path, keys):
    result = trained(tmp_path / "run", **keys)

    tested = retest(tmp_path / "run", device="cpu")

    assert tested.split == "validation"
    assert tested.evaluation.accuracy == result.accuracy


def test_the_test_set_counts_where_the_recipe_measured_it(tmp_path):
    result = trained(tmp_path / "run", test=True)

    tested = retest(tmp_path / "run", device="cpu")

    assert tested.split == "test"
    assert tested.evaluation.accuracy == result.test_accuracy
    assert tested.evaluation.confusion.sum() == 360


def test_either_split_can_be_asked_for(run):
    assert retest(run, "validation", "cpu").evaluation.confusion.sum() == 719
    assert retest(run, "test", "cpu").evaluation.confusion.sum() == 360


def test_a_recipe_that_held_nothing_out_has_only_its_test_set(tmp_path):
    trained(tmp_path / "run", validation_fraction=0, epochs=1)

    assert retest(tmp_path / "run", device="cpu").split == "test"
    with pytest.raises(ConfigError, match="held out no validation images; choose another split"):
        retest(tmp_path / "run", "validation", "cpu")


def test_a_frozen_network_is_tested_with_the_weights_it_left(tmp_path):
    trained(tmp_path / "start", model="bn_cnn", epochs=1)
    start = str(tmp_path / "start" / WEIGHTS)
    result = trained(tmp_path / "run", model="bn_cnn", weights=start, freeze="backbone", epochs=1)
    (tmp_path / "start" / WEIGHTS).unlink()

    assert retest(tmp_path / "run", device="cpu").evaluation.accuracy == result.accuracy


def test_weights_for_other_classes_than_those_of_the_data_are_not_tested(tmp_path):
    root = make_imagefolder(tmp_path / "pets", per_class=4)
    trained(tmp_path / "run", dataset=f"imagefolder:{root}", batch_size=2)
    for part in ("train", "test"):
        shutil.copytree(root / part / "cat", root / part / "tiger")

    with pytest.raises(ConfigError, match=r"weights\.pt is not of model convnet: 2 of its tensors differ"):
        retest(tmp_path / "run", device="cpu")


ALL_CONVOLUTIONS = """
from torch import nn

class Network(nn.Sequential):
    def __init__(self, channels, classes):
        super().__init__(nn.Conv2d(channels, classes, 8, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


def test_a_network_without_a_linear_layer_is_tested_again(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "all_convolutions.py").write_text(ALL_CONVOLUTIONS)
    result = trained(tmp_path / "run", model="all_convolutions:Network")

    assert retest(tmp_path / "run", device="cpu").evaluation.accuracy == result.accuracy


def test_a_folder_without_a_finished_run_is_the_users_mistake(tmp_path):
    with pytest.raises(ConfigError, match=r"holds no recipe\.json; give the folder of a run that came to its end"):
        retest(tmp_path)


def test_a_folder_without_weights_is_the_users_mistake(tmp_path, run):
    (tmp_path / RECIPE).write_text((run / RECIPE).read_text())

    with pytest.raises(ConfigError, match=r"weights\.pt does not exist"):
        retest(tmp_path)


@pytest.mark.parametrize(
    ("stop", "left"),
    [
        (StopReason.TARGET, [RECIPE, WEIGHTS]),
        (StopReason.PRUNED, []),
        (StopReason.INTERRUPTED, []),
    ],
)
def test_only_runs_that_come_to_an_end_leave_weights(tmp_path, stop, left):
    config = TrainConfig(epochs=2, validation_fraction=0.5, device="cpu")

    result = train(config, ScriptedContext(tmp_path, stop_after={1: stop}))

    assert result.ended == Ended(stop.value)
    assert [name for name in (RECIPE, WEIGHTS) if (tmp_path / name).exists()] == left


def test_the_recipe_left_is_the_recipe_trained(run):
    recipe = TrainConfig.model_validate_json((run / RECIPE).read_text())

    expected = TrainConfig(epochs=2, validation_fraction=0.5, test=True, device="cpu", data_dir=recipe.data_dir)
    assert recipe == expected
    assert Path(recipe.data_dir).is_absolute()


# The last batch


def test_the_last_batch_holds_images_with_their_truths_and_guesses(tmp_path):
    dataset = f"imagefolder:{make_imagefolder(tmp_path / 'pets', per_class=10, shape=(20, 20))}"
    result = trained(tmp_path / "run", dataset=dataset, batch_size=4, epochs=20, optimizer="adam")

    tested = retest(tmp_path / "run", device="cpu")

    assert result.accuracy == 1
    assert (tested.images.shape, tested.images.dtype) == ((4, 1, 20, 20), np.uint8)
    assert tested.truths.tolist() == (tested.images[:, 0, 0, 0] >= 200).astype(int).tolist()
    assert tested.guesses.tolist() == tested.truths.tolist()


def test_the_guesses_are_among_those_counted(run):
    tested = retest(run, device="cpu")

    assert len(tested.images) == len(tested.truths) == len(tested.guesses) == SHOWN
    for truth, guess in zip(tested.truths, tested.guesses, strict=True):
        assert tested.evaluation.confusion[truth, guess] > 0


def test_the_last_batch_is_the_same_at_every_test(run):
    first, second = retest(run, device="cpu"), retest(run, device="cpu")

    np.testing.assert_array_equal(first.images, second.images)
    assert len(set(first.truths.tolist())) > 3  # of mixed classes


@pytest.mark.parametrize(("model", "kernels"), [("convnet", (6, 1, 5, 5)), ("mlp", None)])
def test_the_first_layer_is_shown_if_it_is_a_convolution(tmp_path, model, kernels):
    trained(tmp_path / "run", model=model, epochs=1)

    found = retest(tmp_path / "run", device="cpu").first_kernels

    assert (None if found is None else found.shape) == kernels
    if found is not None:
        left = torch.load(tmp_path / "run" / WEIGHTS, weights_only=True)
        np.testing.assert_array_equal(found, next(iter(left.values())).numpy())


# Epochs


def report(epoch: int, loss: float = 1.0) -> EpochReport:
    return EpochReport(epoch, 9, loss, 0.5, 0.25, 0.1, 1.5, 2.5, train_accuracy=0.125)


def line(epoch: int, loss: float = 1.0, **more: object) -> str:
    return json.dumps(asdict(report(epoch, loss)) | more)


def test_epochs_are_read_back_as_they_were_told(tmp_path):
    (tmp_path / PROGRESS).write_text(f"{line(1)}\n{line(2, 0.5)}\n")

    assert read_epochs(tmp_path) == [report(1), report(2, 0.5)]


def test_the_last_word_on_an_epoch_counts(tmp_path):
    (tmp_path / PROGRESS).write_text("\n".join([line(1), line(2, 0.5), line(2, 0.25), line(1, 3.0)]))

    assert read_epochs(tmp_path) == [report(1, 3.0), report(2, 0.25)]


@pytest.mark.parametrize(
    "odd", ['{"epoch": 2, "train_lo', "", "null", "3", "[1, 2]", '{"note": "hello"}', '{"epoch": 2}', "\x00\x00"]
)
def test_torn_lines_and_other_notes_are_passed_over(tmp_path, odd):
    (tmp_path / PROGRESS).write_text(f"{line(1)}\n{odd}\n{line(3)}\n")

    assert read_epochs(tmp_path) == [report(1), report(3)]


def test_more_that_is_told_of_an_epoch_is_passed_over(tmp_path):
    (tmp_path / PROGRESS).write_text(line(1, attempt=3, walltime=9.0))

    assert read_epochs(tmp_path) == [report(1)]


def test_a_folder_without_progress_has_no_epochs(tmp_path):
    assert read_epochs(tmp_path) == []


# Pictures


def test_the_pictures_of_a_run_are_written_into_its_folder(tmp_path, run):
    (tmp_path / PROGRESS).write_text(f"{line(1)}\n{line(2)}\n")

    names = save_pictures(tmp_path, retest(run, device="cpu"))

    assert names == ["overall_results.png", "last_batch.png", "curves.png", "first_layer.png"]
    for name in names:
        with Image.open(tmp_path / name) as image:
            image.load()
            assert image.format == "PNG"


def test_without_epochs_there_are_no_curves(tmp_path, run):
    assert "curves.png" not in save_pictures(tmp_path, retest(run, device="cpu"))
