"""Odd files, odd numbers and odd moments: what is rare on a desk and common on a cluster."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from trainer_helpers import ScriptedContext, SlowNet, flat, make_imagefolder, make_mnist, save_image

from trainer import Ended, StopReason, TrainResult
from trainer.__main__ import main
from trainer.checkpoint import NAME, load_checkpoint, save_checkpoint
from trainer.commands import make_parser
from trainer.config import TrainConfig
from trainer.context import QuietContext
from trainer.errors import DataError, TrainerError
from trainer.models import MODELS
from trainer.shell import verdict
from trainer.sources import find_source
from trainer.training import train

CPU = torch.device("cpu")


@pytest.mark.parametrize("batch_size", [1295, 648])
def test_a_run_of_one_or_two_steps_per_epoch_returns_by_its_deadline(batch_size, monkeypatch):
    monkeypatch.setitem(MODELS, "convnet", SlowNet)
    train(TrainConfig(epochs=1), QuietContext())  # a process's first run takes longer to begin
    monkeypatch.setattr(SlowNet, "training_seconds", 0.5)
    deadline = time.monotonic() + 2.75

    result = train(TrainConfig(epochs=1000, batch_size=batch_size), QuietContext(deadline=deadline))

    assert result.ended == Ended.DEADLINE
    assert time.monotonic() < deadline


def test_sixteen_bit_images_keep_their_shades(tmp_path):
    root = make_imagefolder(tmp_path / "pets")
    Image.fromarray(np.full((32, 32), 40_000, np.uint16)).save(root / "train" / "cat" / "0.png")

    shade = find_source(f"imagefolder:{root}").decode().train.images[0, 0, 0, 0]

    assert int(shade) == pytest.approx(40_000 / 65_535 * 255, abs=1)


def test_an_image_may_have_a_name_that_is_not_utf8(tmp_path):
    root = make_imagefolder(tmp_path / "pets")
    (root / "train" / "cat" / "0.png").rename(os.fsdecode(os.fsencode(root / "train" / "cat") + b"/\xe9.png"))

    assert len(find_source(f"imagefolder:{root}").decode().train.labels) == 8


def test_an_mnist_file_of_another_format_cannot_be_read(tmp_path):
    make_mnist(tmp_path)
    (tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(b"<html>not found</html>")

    with pytest.raises(DataError, match="cannot be read"):
        find_source("mnist", str(tmp_path)).decode()


def test_a_checkpoint_with_altered_weights_falls_back_to_the_one_before(tmp_path):
    for number in (1, 2):
        save_checkpoint(tmp_path, {"number": number, "weights": torch.full((1000,), float(number))})
    whole = bytearray((tmp_path / NAME).read_bytes())
    middle = whole.index(torch.full((10,), 2.0).numpy().tobytes()) + 2000
    whole[middle : middle + 512] = bytes(512)
    (tmp_path / NAME).write_bytes(whole)

    state = load_checkpoint(tmp_path)

    assert state is not None
    assert state["number"] == 1


@pytest.mark.parametrize("content", [b"hello world\n", b"a list that is not there", b"X\x01\0\0\0\xff."])
def test_a_checkpoint_of_strange_bytes_is_none(tmp_path, content):
    (tmp_path / NAME).write_bytes(content)

    assert load_checkpoint(tmp_path) is None


@pytest.mark.parametrize("key", ["seed", "split_seed"])
def test_the_largest_seed_can_be_trained_with(key):
    assert train(TrainConfig(epochs=1, **{key: 2**32 - 1}), QuietContext()).ended == Ended.COMPLETED


def test_a_data_set_that_changed_between_attempts_is_the_users_mistake(tmp_path):
    root, run = make_imagefolder(tmp_path / "pets", per_class=10), tmp_path / "run"
    run.mkdir()
    config = TrainConfig(dataset=f"imagefolder:{root}", batch_size=2)
    train(config, ScriptedContext(run, stop_after={1: StopReason.INTERRUPTED}))

    for part in ("train", "test"):
        for number in range(10):
            save_image(root / part / "ferret" / f"{number}.png", flat(number))

    with pytest.raises(TrainerError, match=r"another recipe \(other images\)"):
        train(config, QuietContext(run))


def test_a_diverged_run_is_no_success():
    diverged = TrainResult(Ended.DIVERGED, 4, 0.9, 10, 11, detail="the loss became NaN")

    assert not verdict(diverged, 0.6, 60).startswith("Success")


def test_a_folder_that_cannot_be_made_is_the_users_mistake(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")

    assert main(["--epochs", "1", "--folder", str(tmp_path / "file" / "run")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_brackets_in_the_folder_are_printed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("trainer.shell.ShellContext.stop_requested", lambda self: StopReason.INTERRUPTED)

    main(["--epochs", "1", "--folder", str(tmp_path / "run[a]")])

    assert f"goes on from {Path(tmp_path / 'run[a]')}." in capsys.readouterr().out


@pytest.mark.parametrize("key", ["weight_decay", "seed", "split_seed"])
def test_help_names_defaults_of_zero(key):
    (option,) = (action for action in make_parser()._actions if action.dest == key)

    assert f"(default {json.dumps(TrainConfig.model_fields[key].default)})" in str(option.help)
