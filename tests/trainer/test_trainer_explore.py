"""A look at a data set, against numpy on the images themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trainer_helpers import files_below, make_imagefolder, save_image

from trainer.errors import DataError
from trainer.explore import explore

PICTURES = ["channels.png", "class_balance.png", "samples.png"]


def noisy_folder(root: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Five cats and three dogs of noise, two and one to test with; gives the training pixels, all in one."""
    generator = np.random.default_rng(1)
    pixels = []
    for part, counts in (("train", (5, 3)), ("test", (2, 1))):
        for name, count in zip(("cat", "dog"), counts, strict=True):
            for number in range(count):
                image = generator.integers(0, 200, shape, dtype=np.uint8)
                save_image(root / part / name / f"{number}.png", image)
                pixels += [image] * (part == "train")
    return np.stack(pixels)


def test_classes_are_counted_in_both_parts(tmp_path):
    noisy_folder(tmp_path / "pets", (6, 8))

    found = explore(f"imagefolder:{tmp_path / 'pets'}")

    assert found.info.classes == ("cat", "dog")
    assert found.train_counts.tolist() == [5, 3]
    assert found.test_counts.tolist() == [2, 1]


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 3)])
def test_mean_and_deviation_of_each_channel_are_those_of_the_training_images(tmp_path, shape):
    pixels = noisy_folder(tmp_path / "pets", shape).reshape(8, 6, 8, -1) / 255

    found = explore(f"imagefolder:{tmp_path / 'pets'}")

    assert found.mean == pytest.approx(tuple(pixels.mean(axis=(0, 1, 2))))
    assert found.std == pytest.approx(tuple(pixels.std(axis=(0, 1, 2))))


def test_every_value_of_every_channel_is_counted(tmp_path):
    pixels = noisy_folder(tmp_path / "pets", (6, 8, 3))

    found = explore(f"imagefolder:{tmp_path / 'pets'}")

    expected = [np.bincount(pixels[..., channel].ravel(), minlength=256) for channel in range(3)]
    np.testing.assert_array_equal(found.histograms, expected)


def test_images_of_one_shade_have_no_deviation(tmp_path):
    root = tmp_path / "pets"
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            save_image(root / part / name / "0.png", np.full((6, 8), 51, np.uint8))

    found = explore(f"imagefolder:{root}")

    assert found.mean == pytest.approx((0.2,))
    assert found.std == pytest.approx((0.0,), abs=1e-7)


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 3)])
def test_with_a_folder_it_is_drawn(tmp_path, shape):
    noisy_folder(tmp_path / "pets", shape)

    explore(f"imagefolder:{tmp_path / 'pets'}", folder=tmp_path / "deep" / "pictures")

    assert files_below(tmp_path / "deep" / "pictures") == PICTURES
    for name in PICTURES:
        with Image.open(tmp_path / "deep" / "pictures" / name) as image:
            image.load()
            assert min(image.size) > 100


def test_without_a_folder_nothing_is_drawn(tmp_path):
    dataset = f"imagefolder:{make_imagefolder(tmp_path / 'pets')}"
    before = files_below(tmp_path)

    explore(dataset)

    assert files_below(tmp_path) == before


def test_images_of_several_sizes_are_looked_at_in_the_size_asked_for(tmp_path):
    root = make_imagefolder(tmp_path / "pets")
    save_image(root / "train" / "cat" / "wide.png", np.zeros((10, 30), np.uint8))

    found = explore(f"imagefolder:{root}", image_size=12)

    assert found.info.image_shape == (1, 12, 12)


def test_a_missing_data_set_is_the_users_mistake(tmp_path):
    with pytest.raises(DataError, match="nowhere/train does not exist"):
        explore(f"imagefolder:{tmp_path / 'nowhere'}", folder=tmp_path / "pictures")

    assert files_below(tmp_path) == []
