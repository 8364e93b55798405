"""Splits and batches: every image where it belongs, once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from trainer_helpers import make_imagefolder

from trainer.cache import open_cached
from trainer.config import TrainConfig
from trainer.data import CHUNK_IMAGES, Split, TrainingData, load_data, split_indices
from trainer.errors import ConfigError, DataError

CPU = torch.device("cpu")


def load(**keys) -> TrainingData:
    return load_data(TrainConfig(**keys), CPU)


def numbered(count: int, mean: float = 0.0, std: float = 1 / 255) -> TrainingData:
    """`count` grey images of one pixel each, worth 0, 1, 2, ... modulo 256; labels count on."""
    images = (torch.arange(count) % 256).to(torch.uint8).view(-1, 1, 1, 1)
    split = Split(images, torch.arange(count), torch.arange(count))
    scale, shift = torch.full((1, 1, 1, 1), 1 / (255 * std)), torch.full((1, 1, 1, 1), -mean / std)
    return TrainingData(split, split, split, ("a", "b"), scale, shift)


# The split


def test_the_split_is_disjoint_and_complete():
    data = load(validation_fraction=0.1)

    rows = torch.cat([data.train.rows, data.validation.rows])

    assert torch.equal(rows.sort().values, torch.arange(1437))


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5, 0.9])
def test_the_same_share_of_every_class_is_held_out(fraction):
    data = load(validation_fraction=fraction)
    images = np.bincount(data.train.labels)

    held_out = np.bincount(data.validation.labels[data.validation.rows])

    assert held_out.tolist() == [round(fraction * count) for count in images]


def test_the_split_does_not_depend_on_the_training_seed():
    assert torch.equal(load(seed=1).validation.rows, load(seed=2).validation.rows)


def test_the_split_is_the_same_at_every_load():
    assert torch.equal(load(split_seed=3).validation.rows, load(split_seed=3).validation.rows)


def test_another_split_seed_holds_out_other_images():
    assert not torch.equal(load(split_seed=1).validation.rows, load(split_seed=2).validation.rows)


def test_a_fraction_of_zero_holds_out_nothing():
    data = load(validation_fraction=0)

    assert (len(data.train), len(data.validation)) == (1437, 0)


@pytest.mark.parametrize("fraction", [0.1, 0.9])
def test_a_class_too_small_to_split_is_named_with_its_size(fraction):
    labels = np.array([0] * 20 + [1] * 3)

    with pytest.raises(DataError, match=r"class 'dog' has 3 training image\(s\)"):
        split_indices(labels, fraction, 0, ("cat", "dog"))


def test_a_class_without_images_cannot_be_split():
    with pytest.raises(DataError, match="class 'dog' has 0"):
        split_indices(np.zeros(10, np.int64), 0.5, 0, ("cat", "dog"))


@settings(deadline=None, max_examples=50)
@given(
    counts=st.lists(st.integers(4, 60), min_size=2, max_size=6),
    fraction=st.floats(0.2, 0.8),
    seed=st.integers(0, 2**40),
)
def test_any_split_keeps_every_image_on_one_side_in_order(counts, fraction, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))

    train, validation = split_indices(labels, fraction, seed, tuple("abcdef"[: len(counts)]))

    assert np.array_equal(np.sort(np.concatenate([train, validation])), np.arange(len(labels)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(validation) > 0).all()


# Loading


def test_the_test_images_stay_on_disk_unless_asked_for():
    data = load(test=False)

    assert len(data.test) == len(data.test.images) == len(data.test.labels) == 0


def test_all_test_images_are_loaded_when_asked_for():
    data = load(test=True)

    assert torch.equal(data.test.rows, torch.arange(360))
    np.testing.assert_array_equal(data.test.labels, open_cached("digits")[1]["test_labels"])


def test_both_parts_of_the_split_share_the_images():
    data = load()

    assert data.train.images.data_ptr() == data.validation.images.data_ptr()


@pytest.mark.parametrize(("fraction", "train_count"), [(0.0, 1437), (0.5, 718)])
def test_a_batch_larger_than_the_training_split_is_refused_with_its_size(fraction, train_count):
    with pytest.raises(ConfigError, match=rf"must not exceed the {train_count:,} training images.*got 1,438"):
        load(validation_fraction=fraction, batch_size=1438)


def test_a_batch_may_be_the_whole_training_split():
    assert len(load(validation_fraction=0, batch_size=1437).train) == 1437


def test_the_test_images_are_loaded_for_a_look_at_every_epoch():
    assert len(load(test_epochs=True).test) == 360


# Normalisation


@pytest.mark.parametrize(
    ("shape", "mean", "std"),
    [
        ((20, 20, 3), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ((20, 20), [(0.485 + 0.456 + 0.406) / 3], [(0.229 + 0.224 + 0.225) / 3]),
    ],
)
def test_images_are_normalised_as_imagenets_weights_expect(tmp_path, shape, mean, std):
    dataset = f"imagefolder:{make_imagefolder(tmp_path / 'pets', shape=shape)}"

    data = load(dataset=dataset, normalization="imagenet", validation_fraction=0, batch_size=1)

    ((images, _),) = data.batches(data.train, 1, torch.tensor([7]))
    expected = [(203 / 255 - middle) / spread for middle, spread in zip(mean, std, strict=True)]
    torch.testing.assert_close(images[0, :, 3, 5], torch.tensor(expected))


def test_image_folders_are_centred_on_one_half(tmp_path):
    dataset = f"imagefolder:{make_imagefolder(tmp_path / 'pets')}"

    data = load(dataset=dataset, validation_fraction=0, batch_size=1)

    ((images, _),) = data.batches(data.train, 1, torch.tensor([7]))
    assert images[0, 0, 0, 0].item() == pytest.approx((203 / 255 - 0.5) / 0.5)


def test_a_change_gets_the_pixels_and_their_positions():
    data = numbered(9000)

    batches = data.batches(
        data.train,
        1000,
        torch.arange(9000).flip(0),
        lambda pixels, positions: (pixels + positions[:, None, None, None]).to(torch.uint8),
    )

    images = torch.cat([images for images, _ in batches])
    torch.testing.assert_close(images.flatten(), (2 * torch.arange(9000).flip(0) % 256).float())


# Batches


@pytest.mark.parametrize("batch_size", [1, 3, 50, 999, CHUNK_IMAGES, CHUNK_IMAGES + 1, 9000, 20_000])
def test_every_image_comes_once_in_order_whatever_the_batch_size(batch_size):
    data = numbered(9000)

    images, labels = (torch.cat(parts) for parts in zip(*in_order(data, batch_size), strict=True))

    assert torch.equal(labels, torch.arange(9000))
    torch.testing.assert_close(images.flatten(), (torch.arange(9000) % 256).float())


@pytest.mark.parametrize("batch_size", [1, 3, 50, 999, CHUNK_IMAGES, CHUNK_IMAGES + 1, 9000, 20_000])
def test_only_the_last_batch_is_smaller(batch_size):
    sizes = [len(labels) for _, labels in in_order(numbered(9000), batch_size)]

    whole, rest = divmod(9000, batch_size)
    assert sizes == [batch_size] * whole + [rest] * (rest > 0)


def in_order(data: TrainingData, batch_size: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(data.batches(data.train, batch_size, torch.arange(len(data.train))))


def test_batches_follow_the_order_they_are_given():
    data = numbered(6)

    batches = data.batches(data.train, 2, torch.tensor([5, 0, 3, 3]))

    assert [labels.tolist() for _, labels in batches] == [[5, 0], [3, 3]]


def test_the_order_counts_positions_in_the_split():
    data = load()

    (_, labels), *_ = data.batches(data.validation, 4, torch.tensor([2, 0]))

    assert torch.equal(labels, data.validation.labels[data.validation.rows[[2, 0]]])


def test_pixels_are_scaled_to_one_then_centred_and_divided():
    data = numbered(256, mean=0.4, std=0.2)

    ((images, _),) = in_order(data, 256)

    torch.testing.assert_close(images.flatten(), (torch.arange(256) / 255 - 0.4) / 0.2)


def test_batches_leave_the_images_as_they_are():
    data = load()
    before = data.train.images.clone()

    in_order(data, 50)

    assert torch.equal(data.train.images, before)


def test_normalised_digits_have_mean_zero_and_deviation_one():
    data = load(validation_fraction=0)

    ((images, labels),) = in_order(data, 1437)

    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert float(images.mean()) == pytest.approx(0, abs=0.01)
    assert float(images.std()) == pytest.approx(1, abs=0.01)
