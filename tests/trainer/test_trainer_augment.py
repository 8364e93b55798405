"""Augmentation, pixel by pixel."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from trainer.augment import Augmentation, make_augmentation
from trainer.config import TrainConfig

HEIGHT, WIDTH = 7, 9
STILL = [0, 0, 0, 0, 0]  # mirrored, down, right, row and column of the blank


def images(count: int = 1, channels: int = 2) -> Tensor:
    """No two pixels alike, none zero."""
    size = channels * HEIGHT * WIDTH
    return torch.stack(
        [torch.arange(1, size + 1).view(channels, HEIGHT, WIDTH) + number for number in range(count)]
    )


def changed(draws: list[int], flip: bool = False, crop: int = 0, cutout: int = 0, before: Tensor | None = None):
    """The one image after these draws."""
    before = images() if before is None else before
    return Augmentation(flip, crop, cutout).apply(before, torch.tensor([draws]))[0]


def draw(count: int, seed: int = 0, **keys) -> Tensor:
    chosen = Augmentation(**{"flip": False, "crop": 0, "cutout": 0, **keys})
    return chosen.draw(count, HEIGHT, WIDTH, torch.Generator().manual_seed(seed))


# Chances


def test_without_augmentation_there_is_none():
    assert make_augmentation(TrainConfig()) is None


@pytest.mark.parametrize("keys", [{"flip": True}, {"crop": 1}, {"cutout": 2}])
def test_any_of_its_keys_makes_an_augmentation(keys):
    assert make_augmentation(TrainConfig(**keys)) == Augmentation(
        **{"flip": False, "crop": 0, "cutout": 0, **keys}
    )


def test_the_same_seed_draws_the_same():
    assert torch.equal(draw(100, seed=4, flip=True, crop=2), draw(100, seed=4, flip=True, crop=2))


def test_draws_reach_every_mirror_shift_and_centre_and_nothing_beyond():
    found = [sorted(set(column.tolist())) for column in draw(2000, flip=True, crop=2, cutout=3).unbind(dim=1)]

    assert found == [[0, 1], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4], list(range(HEIGHT)), list(range(WIDTH))]


def test_what_is_not_asked_for_is_not_drawn():
    mirrored, down, right = draw(500, cutout=1)[:, :3].unbind(dim=1)

    assert set((mirrored + down + right).tolist()) == {0}


def test_about_every_other_image_is_mirrored():
    assert draw(4000, flip=True)[:, 0].float().mean().item() == pytest.approx(0.5, abs=0.04)


# Mirrors


def test_a_mirrored_image_is_its_exact_mirror():
    assert torch.equal(changed([1, 0, 0, 0, 0], flip=True), images()[0].flip(2))


def test_an_image_not_drawn_stays_as_it_is():
    assert torch.equal(changed(STILL, flip=True), images()[0])


def test_each_image_follows_its_own_draws():
    before = images(3)

    after = Augmentation(True, 0, 0).apply(before, torch.tensor([STILL, [1, 0, 0, 0, 0], STILL]))

    assert torch.equal(after, torch.stack([before[0], before[1].flip(2), before[2]]))


# Shifts


def shifted(image: Tensor, down: int, right: int) -> Tensor:
    """What a window sees that lies `down` and `right` of the image, pixel by pixel."""
    expected = torch.zeros_like(image)
    for row in range(HEIGHT):
        for column in range(WIDTH):
            if 0 <= row + down < HEIGHT and 0 <= column + right < WIDTH:
                expected[:, row, column] = image[:, row + down, column + right]
    return expected


@pytest.mark.parametrize("down", range(5))
@pytest.mark.parametrize("right", [0, 1, 2, 4])
def test_a_shift_moves_whole_pixels_and_pads_with_black(down, right):
    after = changed([0, down, right, 0, 0], crop=2)

    assert torch.equal(after, shifted(images()[0], down - 2, right - 2))


def test_a_shift_by_the_whole_margin_is_none():
    assert torch.equal(changed([0, 3, 3, 0, 0], crop=3), images()[0])


def test_an_image_is_mirrored_and_shifted_at_once():
    after = changed([1, 1, 2, 0, 0], flip=True, crop=2).flip(2)

    assert torch.equal(after, shifted(images()[0], -1, 0))


# Blanks


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6])
def test_a_blank_is_a_square_of_as_many_pixels_a_side(size):
    after = changed([0, 0, 0, 3, 4], cutout=size)

    blank = (after == 0).all(dim=0)
    rows, columns = (blank.any(dim=dim).sum().item() for dim in (1, 0))
    assert (rows, columns, blank.sum().item()) == (size, size, size * size)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_blank_of_odd_size_lies_around_its_centre(size):
    rows, columns = (changed([0, 0, 0, 3, 4], cutout=size)[0] == 0).nonzero().unbind(dim=1)

    assert (rows.float().mean().item(), columns.float().mean().item()) == (3, 4)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_nothing_but_the_blank_changes(size):
    after = changed([0, 0, 0, 2, 5], cutout=size)

    assert torch.equal(after[after != 0], images()[0][after != 0])
    assert (after == 0).any()


def test_a_blank_at_the_edge_reaches_beyond_it():
    inside = (changed([0, 0, 0, 3, 4], cutout=3)[0] == 0).sum()
    corner = changed([0, 0, 0, 0, 0], cutout=3)[0] == 0

    assert 0 < corner.sum() < inside
    assert corner[0, 0]


# All together


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_the_type_of_the_pixels_stays(kind):
    before = images(channels=1).to(kind)

    after = changed([1, 0, 1, 3, 3], flip=True, crop=1, cutout=2, before=before)

    assert after.dtype == kind
    assert after.shape == before.shape[1:]


def test_the_images_given_are_left_as_they_are():
    before = images()

    changed([1, 0, 1, 3, 3], flip=True, crop=1, cutout=2, before=before)

    assert torch.equal(before, images())
