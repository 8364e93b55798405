"""Pictures: what is drawn is what was measured."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from trainer import EpochReport, figures

CONFUSION = np.array([[6, 2, 0], [1, 3, 0], [0, 4, 0]])
CLASSES = ("cat", "dog", "ferret")


def report(epoch: int, loss: float = 1.0, **measured: float | None) -> EpochReport:
    keys = {"validation_loss": None, "validation_accuracy": None, **measured}
    return EpochReport(epoch=epoch, epochs=9, train_loss=loss, lr=0.1, train_seconds=1, wall_seconds=1, **keys)


def widths(axes: Axes) -> list[float]:
    return [bar.get_width() for bar in axes.patches]


def lines(axes: Axes) -> dict[str, list[tuple[float, float]]]:
    """The points of each labelled line."""
    return {str(line.get_label()): [tuple(point) for point in line.get_xydata().tolist()] for line in axes.lines}


def opened(figure: Figure, path: Path) -> Image.Image:
    figure.savefig(path, dpi=60)
    with Image.open(path) as image:
        image.load()
    return image


# Overall results


def test_bars_are_as_wide_as_the_shares():
    identified, predicted = figures.overall_results(CONFUSION, CLASSES, "test").axes

    assert widths(identified) == pytest.approx([6 / 8, 3 / 4, 0])
    assert widths(predicted) == pytest.approx([6 / 7, 3 / 9, 0])  # a class never guessed has no bar


def test_bars_say_their_shares_and_classes():
    identified, predicted = figures.overall_results(CONFUSION, CLASSES, "test").axes

    assert [text.get_text() for text in identified.texts] == ["75%", "75%", "0%"]
    assert [text.get_text() for text in predicted.texts] == ["86%", "33%", "0%"]
    assert [label.get_text() for label in identified.get_yticklabels()] == list(CLASSES)


def test_the_headline_says_the_overall_accuracy_and_the_split():
    figure = figures.overall_results(CONFUSION, CLASSES, "validation")

    assert figure.get_suptitle() == "56.25% of 16 validation images recognised"
    for axes in figure.axes:
        assert axes.lines[0].get_xdata() == [9 / 16, 9 / 16]


def test_the_line_of_the_overall_accuracy_does_not_run_through_the_numbers():
    for axes in figures.overall_results(CONFUSION, CLASSES, "test").axes:
        for text in axes.texts:
            assert text.get_zorder() > axes.lines[0].get_zorder()
            assert text.get_bbox_patch().get_facecolor() == (1, 1, 1, 1)


def test_the_first_class_is_on_top():
    identified, _ = figures.overall_results(CONFUSION, CLASSES, "test").axes

    bottom, top = identified.get_ylim()
    assert bottom > top


# The last batch


def test_titles_say_truth_and_guess_and_wrong_ones_are_red():
    images = np.zeros((3, 1, 5, 5), np.uint8)

    figure = figures.last_batch(images, np.array([0, 1, 2]), np.array([0, 2, 2]), CLASSES)

    titles = [axes.get_title() for axes in figure.axes[:3]]
    assert titles == ["cat ✓", "dog\nguess: ferret ✗", "ferret ✓"]
    colours = [to_hex(axes.title.get_color()) for axes in figure.axes[:3]]
    assert colours == [figures.GREEN, figures.RED, figures.GREEN]
    assert figure.get_suptitle() == "The last batch: 2 of 3 right"


@pytest.mark.parametrize("channels", [1, 3])
def test_the_images_shown_are_those_given(channels):
    images = np.random.default_rng(0).integers(0, 256, (2, channels, 4, 6), dtype=np.uint8)

    figure = figures.last_batch(images, np.array([0, 1]), np.array([0, 1]), CLASSES)

    for axes, image in zip(figure.axes, images, strict=True):
        shown = axes.images[0].get_array()
        np.testing.assert_array_equal(np.asarray(shown), image.transpose(1, 2, 0).squeeze())


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_a_batch_of_any_size_is_drawn(tmp_path, count):
    labels = np.zeros(count, np.int64)

    figure = figures.last_batch(np.zeros((count, 3, 8, 8), np.uint8), labels, labels, CLASSES)

    assert sum(bool(axes.images) for axes in figure.axes) == count
    assert opened(figure, tmp_path / "batch.png").format == "PNG"


# Curves


def test_curves_go_through_what_was_reported():
    epochs = [
        report(1, 2.0, validation_loss=1.5, validation_accuracy=0.5),
        report(2, 1.0, validation_accuracy=0.75),
    ]

    losses, accuracies = figures.curves(epochs).axes

    assert lines(losses) == {"train": [(1, 2.0), (2, 1.0)], "validation": [(1, 1.5)]}
    assert lines(accuracies) == {"validation": [(1, 0.5), (2, 0.75)]}


def test_every_split_measured_has_its_curve():
    measured = {"validation_loss": 3.0, "test_loss": 4.0, "train_accuracy": 0.1, "test_accuracy": 0.3}

    losses, accuracies = figures.curves([report(1, 2.0, **measured)]).axes

    assert lines(losses) == {"train": [(1, 2.0)], "validation": [(1, 3.0)], "test": [(1, 4.0)]}
    assert lines(accuracies) == {"train": [(1, 0.1)], "test": [(1, 0.3)]}


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_losses_that_are_no_numbers_are_left_out(tmp_path, loss):
    figure = figures.curves([report(1, 2.0), report(2, loss)])

    assert lines(figure.axes[0]) == {"train": [(1, 2.0)]}
    opened(figure, tmp_path / "curves.png")


# First layers


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_every_kernel_is_stretched_from_black_to_white(tmp_path, channels):
    weights = np.random.default_rng(0).normal(size=(6, channels, 5, 5)).astype(np.float32)

    figure = figures.first_layer(weights)

    shown = [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]
    assert len(shown) == 6
    assert all(image.min() == 0 and image.max() >= 254 for image in shown)
    assert figure.get_suptitle() == "First layer: 6 kernels of 5 x 5"
    opened(figure, tmp_path / "first.png")


def test_a_kernel_of_one_value_is_drawn(tmp_path):
    opened(figures.first_layer(np.ones((1, 1, 3, 3), np.float32)), tmp_path / "first.png")


# Data sets


def test_class_balance_draws_a_bar_for_each_class_in_each_part():
    counts = {"train": np.array([5, 3000, 1]), "test": np.array([2, 0, 4])}

    (axes,) = figures.class_balance(counts, CLASSES).axes

    assert widths(axes) == [5, 3000, 1, 2, 0, 4]
    assert [text.get_text() for text in axes.texts] == ["5", "3,000", "1", "2", "0", "4"]


@pytest.mark.parametrize("channels", [1, 3])
def test_samples_have_a_row_for_each_class(channels):
    images = np.stack([np.full((channels, 4, 4), shade, np.uint8) for shade in range(12)])
    labels = np.array([0, 1, 2] * 4)

    figure = figures.samples(images, labels, CLASSES, each=3)

    shades = [int(np.max(axes.images[0].get_array())) for axes in figure.axes]
    assert shades == [0, 3, 6, 1, 4, 7, 2, 5, 8]
    assert [axes.get_ylabel() for axes in figure.axes[::3]] == list(CLASSES)


def test_samples_of_many_classes_show_the_first_twenty(tmp_path):
    labels = np.arange(30)

    figure = figures.samples(np.zeros((30, 1, 4, 4), np.uint8), labels, [str(label) for label in labels], each=2)

    assert len(figure.axes) == 40
    assert sum(bool(axes.images) for axes in figure.axes) == 20
    opened(figure, tmp_path / "samples.png")


@pytest.mark.parametrize("channels", [1, 3])
def test_histograms_show_the_share_of_pixels_in_each_eight_values(channels):
    counts = np.zeros((channels, 256), np.int64)
    counts[:, 0], counts[:, 7], counts[:, 255] = 1, 2, 5

    (axes,) = figures.channel_histograms(counts, [0.5] * channels, [0.25] * channels).axes

    for stairs in axes.patches:
        values = stairs.get_data().values
        assert values[[0, -1]].tolist() == pytest.approx([3 / 8, 5 / 8])
        assert values.sum() == pytest.approx(1)
        assert "mean 0.500, std 0.250" in str(stairs.get_label())
    assert len(axes.patches) == channels
