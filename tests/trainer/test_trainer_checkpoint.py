"""Checkpoints: whole or not at all, and one to fall back on."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import torch
from trainer_helpers import full_disk

from trainer.checkpoint import NAME, PREVIOUS, SCRATCH, load_checkpoint, save_checkpoint

CPU = torch.device("cpu")
DAMAGES = {
    "empty": lambda whole: b"",
    "first byte only": lambda whole: whole[:1],
    "cut in half": lambda whole: whole[: len(whole) // 2],
    "last byte lost": lambda whole: whole[:-1],
    "second half zeros": lambda whole: whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2),
    "all zeros": lambda whole: bytes(len(whole)),
}


def load(folder: Path) -> int | None:
    """The number in the checkpoint that load_checkpoint chooses."""
    state = load_checkpoint(folder)
    return None if state is None else state["number"]


def save(folder: Path, number: int) -> None:
    save_checkpoint(folder, {"number": number, "weights": torch.full((1000,), float(number))})


def damage(file: Path, how: str) -> None:
    file.write_bytes(DAMAGES[how](file.read_bytes()))


def test_what_is_saved_is_loaded(tmp_path):
    weights = torch.randn(7, 3)

    save_checkpoint(tmp_path, {"weights": weights, "recipe": "{}", "step": 12, "accuracy": None})

    state = load_checkpoint(tmp_path)
    assert state is not None
    assert torch.equal(state.pop("weights"), weights)
    assert state == {"recipe": "{}", "step": 12, "accuracy": None}


def test_the_newest_is_loaded(tmp_path):
    for number in (1, 2, 3):
        save(tmp_path, number)

    assert load(tmp_path) == 3


def test_the_one_before_is_kept_and_no_other(tmp_path):
    for number in (1, 2, 3):
        save(tmp_path, number)

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([NAME, PREVIOUS])


def test_an_empty_folder_has_no_checkpoint(tmp_path):
    assert load(tmp_path) is None


def test_a_missing_folder_has_no_checkpoint(tmp_path):
    assert load(tmp_path / "nowhere") is None


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_newest_falls_back_to_the_one_before(tmp_path, how):
    save(tmp_path, 1)
    save(tmp_path, 2)
    damage(tmp_path / NAME, how)

    assert load(tmp_path) == 1


def test_a_lost_newest_falls_back_to_the_one_before(tmp_path):
    save(tmp_path, 1)
    save(tmp_path, 2)
    (tmp_path / NAME).unlink()

    assert load(tmp_path) == 1


@pytest.mark.parametrize("how", DAMAGES)
def test_two_damaged_checkpoints_are_none(tmp_path, how):
    save(tmp_path, 1)
    save(tmp_path, 2)
    damage(tmp_path / NAME, how)
    damage(tmp_path / PREVIOUS, how)

    assert load(tmp_path) is None


def test_damage_is_told_with_what_comes_of_it(tmp_path, caplog):
    save(tmp_path, 1)
    save(tmp_path, 2)
    load(tmp_path)
    (tmp_path / SCRATCH).write_bytes(b"half of a save that died")
    load(tmp_path)
    assert caplog.messages == []

    damage(tmp_path / NAME, "cut in half")
    load(tmp_path)
    damage(tmp_path / PREVIOUS, "cut in half")
    load(tmp_path)

    assert caplog.messages == [
        f"{tmp_path / NAME} is damaged; going on from the one before",
        f"{tmp_path / NAME} is damaged; starting again",
    ]


def test_the_first_checkpoint_damaged_is_none(tmp_path):
    save(tmp_path, 1)
    damage(tmp_path / NAME, "cut in half")

    assert load(tmp_path) is None


def test_a_save_after_damage_is_the_newest(tmp_path):
    save(tmp_path, 1)
    damage(tmp_path / NAME, "cut in half")

    save(tmp_path, 2)

    assert load(tmp_path) == 2


def test_a_save_that_fails_leaves_the_checkpoint_before_it(tmp_path):
    save(tmp_path, 1)

    with full_disk(largest_file=1000), pytest.raises((OSError, RuntimeError)):
        save(tmp_path, 2)

    assert load(tmp_path) == 1


def test_a_save_after_one_that_failed_is_the_newest(tmp_path):
    save(tmp_path, 1)
    with full_disk(largest_file=1000), pytest.raises((OSError, RuntimeError)):
        save(tmp_path, 2)

    save(tmp_path, 3)

    assert load(tmp_path) == 3


def test_a_file_that_holds_more_than_tensors_and_plain_values_is_not_loaded(tmp_path):
    torch.save({"number": 1, "stranger": Path("a class of somebody's own")}, tmp_path / NAME)

    assert load(tmp_path) is None


def test_a_flipped_bit_in_the_directory_of_the_file_costs_one_checkpoint_at_most(tmp_path):
    save(tmp_path, 1)
    save(tmp_path, 2)
    whole = (tmp_path / NAME).read_bytes()

    for place in range(whole.index(b"PK\1\2"), len(whole)):
        for bit in (1, 128):
            flipped = whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :]
            (tmp_path / NAME).write_bytes(flipped)
            state = load_checkpoint(tmp_path)
            assert state is not None
            assert torch.equal(state["weights"], torch.full((1000,), float(state["number"])))


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_save_that_dies_at_a_rename_loses_nothing_though_the_newest_was_damaged(tmp_path, monkeypatch, renames):
    save(tmp_path, 1)
    save(tmp_path, 2)
    damage(tmp_path / NAME, "cut in half")
    rename, done = Path.replace, []

    def dying(source: Path, target: Path) -> Path:
        if len(done) == renames:
            raise InterruptedError("killed")
        done.append(target)
        return rename(source, target)

    with monkeypatch.context() as patch, contextlib.suppress(InterruptedError):
        patch.setattr(Path, "replace", dying)
        save(tmp_path, 3)

    assert len(done) == renames
    assert load(tmp_path) == 3


def test_a_checkpoint_that_cannot_be_read_is_not_passed_over(tmp_path):
    save(tmp_path, 1)
    save(tmp_path, 2)
    (tmp_path / NAME).unlink()
    (tmp_path / NAME).mkdir()

    with pytest.raises(IsADirectoryError):
        load(tmp_path)
