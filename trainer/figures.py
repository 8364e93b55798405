"""Pictures of data sets and results. Each function makes one figure from plain arrays and records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from trainer.context import EpochReport

BLUE, ORANGE, GREEN, RED, GREY = "#0072b2", "#d55e00", "#00714e", "#b40426", "#666666"  # told apart by most eyes
Images = NDArray[np.uint8]  # [N, C, H, W]


def overall_results(confusion: NDArray[np.int64], classes: Sequence[str], split: str) -> Figure:
    """Identification and prediction success of each class, from the confusion matrix [truth, guess]."""
    correct = confusion.diagonal()
    overall = correct.sum() / confusion.sum()
    panels = [
        (
            "Identification success",
            "correct / images of the class",
            correct / np.maximum(confusion.sum(axis=1), 1),
        ),
        ("Prediction success", "correct / times guessed", correct / np.maximum(confusion.sum(axis=0), 1)),
    ]
    figure = Figure(figsize=(10, 1.6 + 0.34 * len(classes)), layout="constrained")
    figure.suptitle(f"{overall:.2%} of {confusion.sum():,} {split} images recognised", fontsize=14)
    for axes, (title, meaning, shares) in zip(figure.subplots(1, 2, sharey=True), panels, strict=True):
        bars = axes.barh(range(len(classes)), shares, color=[BLUE if s >= overall else ORANGE for s in shares])
        background = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # hides the line behind a number
        axes.bar_label(bars, [f"{share:.0%}" for share in shares], padding=3, fontsize=9, bbox=background)
        axes.axvline(overall, color=GREY, linestyle="--", linewidth=1)
        axes.set_title(title)
        axes.set_xlabel(f"{meaning}   (dashed: overall)")
        axes.set_yticks(range(len(classes)), classes)
        axes.set_xlim(0, 1.12)
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
        _plain(axes)
    figure.axes[0].invert_yaxis()
    return figure


def last_batch(
    images: Images, truths: NDArray[np.int64], guesses: NDArray[np.int64], classes: Sequence[str]
) -> Figure:
    """Images with truth and guess; a wrong guess is red, struck out by its frame, and says what it took it for."""
    figure, grid = _grid(len(images), cell=1.5)
    right = int((truths == guesses).sum())
    figure.suptitle(f"The last batch: {right} of {len(images)} right", fontsize=13)
    for axes, image, truth, guess in zip(grid, images, truths, guesses, strict=True):
        colour = GREEN if truth == guess else RED
        _show(axes, image)
        text = f"{classes[truth]} ✓" if truth == guess else f"{classes[truth]}\nguess: {classes[guess]} ✗"
        axes.set_title(text, fontsize=9, color=colour)
        for spine in axes.spines.values():
            spine.set(visible=True, color=colour, linewidth=1 if truth == guess else 2.5)
    return figure


def curves(epochs: Sequence[EpochReport]) -> Figure:
    """Loss and accuracy against epochs, for each split that was measured."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, measure in ((left, "loss"), (right, "accuracy")):
        for split, colour, style in (("train", GREY, "--"), ("validation", BLUE, "-"), ("test", ORANGE, "-")):
            points = [
                (epoch.epoch, value)
                for epoch in epochs
                if (value := getattr(epoch, f"{split}_{measure}")) is not None and math.isfinite(value)
            ]
            if points:
                axes.plot(*zip(*points, strict=True), style, color=colour, marker="o", markersize=4, label=split)
        axes.set_title(measure.capitalize())
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        _plain(axes)
        if axes.lines:
            axes.legend(frameon=False)
    right.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def first_layer(weights: NDArray[np.float32]) -> Figure:
    """The kernels of a first convolution [K, C, h, w], each stretched to its own range."""
    figure, grid = _grid(len(weights), cell=0.9)
    figure.suptitle(f"First layer: {len(weights)} kernels of {weights.shape[2]} x {weights.shape[3]}", fontsize=12)
    for axes, kernel in zip(grid, weights, strict=True):
        shown = kernel if len(kernel) in (1, 3) else kernel.mean(axis=0, keepdims=True)
        low, high = shown.min(), shown.max()
        _show(axes, (255 * (shown - low) / max(high - low, 1e-12)).astype(np.uint8))
    return figure


def class_balance(counts: dict[str, NDArray[np.int64]], classes: Sequence[str]) -> Figure:
    """Images of each class in each part of a data set."""
    figure = Figure(figsize=(9, 1.4 + 0.34 * len(classes)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(counts)
    for offset, (part, numbers) in enumerate(counts.items()):
        places = np.arange(len(classes)) + (offset - (len(counts) - 1) / 2) * height
        bars = axes.barh(places, numbers, height, label=part, color=(BLUE, ORANGE)[offset])
        axes.bar_label(bars, [f"{number:,}" for number in numbers], padding=3, fontsize=8)
    axes.set_yticks(range(len(classes)), classes)
    axes.invert_yaxis()
    axes.set_xlabel("images")
    axes.set_title("Class balance")
    axes.margins(x=0.12)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    _plain(axes)
    return figure


def samples(images: Images, labels: NDArray[np.int64], classes: Sequence[str], each: int = 8) -> Figure:
    """The first images of every class, a row a class (at most 20), as they are before normalisation."""
    rows = min(len(classes), 20)
    figure = Figure(figsize=(1.6 + 0.9 * each, 0.5 + 0.9 * rows), layout="constrained")
    grid = figure.subplots(rows, each, squeeze=False)
    for label in range(rows):
        chosen = np.flatnonzero(labels == label)[:each]
        for axes in grid[label]:
            axes.axis("off")
        for axes, index in zip(grid[label], chosen, strict=False):
            _show(axes, images[index])
        grid[label][0].axis("on")
        grid[label][0].set_frame_on(False)
        grid[label][0].set_ylabel(classes[label], rotation=0, ha="right", va="center")
    return figure


def channel_histograms(counts: NDArray[np.int64], mean: Sequence[float], std: Sequence[float]) -> Figure:
    """How often each value 0 to 255 occurs, [C, 256]; mean and deviation are of values in [0, 1]."""
    names, colours = (("grey",), (GREY,)) if len(counts) == 1 else (("red", "green", "blue"), (RED, GREEN, BLUE))
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    bins = np.arange(0, 257, 8)
    for name, colour, values, middle, spread in zip(names, colours, counts, mean, std, strict=True):
        shares = [values[low:high].sum() / values.sum() for low, high in pairwise(bins)]
        axes.stairs(
            shares, bins, color=colour, linewidth=1.6, label=f"{name}: mean {middle:.3f}, std {spread:.3f}"
        )
    axes.set_title("Channel values")
    axes.set_xlabel("value, 0 to 255")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_ylabel("share of pixels")
    axes.legend(frameon=False)
    _plain(axes)
    return figure


def _grid(count: int, cell: float) -> tuple[Figure, list[Axes]]:
    """A figure of `count` square cells of `cell` inches, about as wide as high but at most ten in a row."""
    columns = min(count, 10, max(4, math.ceil(math.sqrt(count))))
    rows = math.ceil(count / columns)
    size = (max(4.5, columns * cell), rows * (cell + 0.35) + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for spare in axes[count:]:
        spare.axis("off")
    return figure, axes[:count]


def _show(axes: Axes, image: Images) -> None:
    axes.imshow(image.transpose(1, 2, 0).squeeze(), cmap="gray", vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_yticks([])


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
