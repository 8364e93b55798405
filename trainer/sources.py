"""Where images come from: each source names its files (a fingerprint) and decodes them to uint8 arrays.

Only the decoders import scikit-learn, torchvision or PIL, so a warm cache pays for none of them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.errors import DataError

DIGITS_TEST = 360  # the last images; scikit-learn keeps the original order, so other writers than the first


@dataclass(frozen=True)
class Part:
    """Images uint8 [N, C, H, W] and labels int64 [N] of the training or the test part."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Decoded:
    """A data set as arrays; channel mean and std are of pixels in [0, 1]."""

    train: Part
    test: Part
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Source:
    """A data set that can be decoded: `fingerprint` changes when its files do."""

    name: str
    fingerprint: str
    decode: Callable[[], Decoded]


def absolute(dataset: str) -> str:
    """The `dataset` key with the path of an image folder made absolute."""
    kind, colon, folder = dataset.partition(":")
    return f"{kind}:{Path(folder).expanduser().absolute()}" if kind == "imagefolder" and colon else dataset


def find_source(dataset: str, data_dir: str = "", image_size: int | None = None) -> Source:
    """The source behind a `dataset` key; an image folder's images are brought to `image_size`, if it is given.

    Raises:
        DataError: its files are missing, empty, or of fewer than two classes.
    """
    if dataset == "digits":
        return Source("digits", "1", decode_digits)
    if dataset.startswith("imagefolder:"):
        return imagefolder(Path(dataset.removeprefix("imagefolder:")).expanduser(), image_size)
    return torchvision_source(dataset, data_root(data_dir))


def data_root(data_dir: str) -> Path:
    """Where torchvision's data sets lie: `data_dir`, else $SWEEP_DATA_DIR, else ./data."""
    return Path(data_dir or os.environ.get("SWEEP_DATA_DIR", "data")).expanduser().resolve()


def decode_digits() -> Decoded:
    """scikit-learn's 1,797 8 x 8 digits, enlarged to 32 x 32 so that every network fits."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    small = np.rint(bunch.images * (255 / 16)).astype(np.uint8)  # [N, 8, 8], levels 0..16
    images = np.kron(small, np.ones((1, 4, 4), np.uint8))[:, None]  # [N, 1, 32, 32]
    labels = bunch.target.astype(np.int64)
    cut = len(images) - DIGITS_TEST
    names = tuple(str(digit) for digit in range(10))
    train, test = Part(images[:cut], labels[:cut]), Part(images[cut:], labels[cut:])
    return Decoded(train, test, names, mean=(0.306,), std=(0.376,))


def torchvision_source(name: str, root: Path) -> Source:
    """CIFAR-10 or MNIST as torchvision lays them out under `root`."""
    folder = root / {"cifar10": "cifar-10-batches-py", "mnist": "MNIST/raw"}[name]
    files = sorted(path for path in folder.glob("*") if path.is_file()) if folder.is_dir() else []
    if not files:
        raise DataError(
            f"data set {name!r} is not in {root} ({folder.name}/ is missing or empty); "
            f"run `sweep download {name} --data-dir {root}` where there is a network, "
            "or point data_dir or $SWEEP_DATA_DIR to where it lies"
        )
    identity = "".join(f"{path}:{path.stat().st_size}:{path.stat().st_mtime_ns};" for path in files)
    return Source(name, _digest(identity), lambda: decode_torchvision(name, root))


def decode_torchvision(name: str, root: Path) -> Decoded:
    """Read CIFAR-10 or MNIST through torchvision, without downloading."""
    from torchvision import datasets

    kind = {"cifar10": datasets.CIFAR10, "mnist": datasets.MNIST}[name]
    try:
        train, test = kind(str(root), train=True), kind(str(root), train=False)
    except (RuntimeError, ValueError, EOFError, OSError, AssertionError, TypeError) as error:
        raise DataError(
            f"data set {name!r} in {root} cannot be read ({type(error).__name__}); it is incomplete or damaged: "
            f"remove it and run `sweep download {name} --data-dir {root}` where there is a network"
        ) from error
    classes = tuple(train.classes)
    if name == "mnist":
        return Decoded(_torchvision_part(train), _torchvision_part(test), classes, (0.1307,), (0.3081,))
    return Decoded(_torchvision_part(train), _torchvision_part(test), classes, (0.5,) * 3, (0.5,) * 3)


def _torchvision_part(part: Any) -> Part:
    pixels = np.asarray(part.data)  # [N, H, W] or [N, H, W, C]
    pixels = pixels.transpose(0, 3, 1, 2) if pixels.ndim == 4 else pixels[:, None]
    return Part(np.ascontiguousarray(pixels), np.asarray(part.targets, dtype=np.int64))


def imagefolder(root: Path, image_size: int | None = None) -> Source:
    """A folder with train/<class>/<image> and test/<class>/<image>.

    The fingerprint covers the names of all files and the change times of their folders: adding, removing or
    renaming an image changes it, editing one in place does not.
    """
    root = root.resolve()
    listing = {part: _list_classes(root, part) for part in ("train", "test")}
    classes = sorted(listing["train"])
    if len(classes) < 2:
        raise DataError(
            f"{root / 'train'} holds {len(classes)} class folder(s) {classes}; at least two are needed"
        )
    if sorted(listing["test"]) != classes:
        odd = sorted(set(classes) ^ set(listing["test"]))
        raise DataError(f"train/ and test/ of {root} must hold the same class folders; these differ: {odd}")
    identity = f"{root}{image_size or ''}" + "".join(
        f"{part}/{name}:{(root / part / name).stat().st_mtime_ns}:{','.join(files)};"
        for part, folders in listing.items()
        for name, files in sorted(folders.items())
    )
    return Source(
        f"imagefolder-{root.name}", _digest(identity), lambda: decode_imagefolder(root, listing, image_size)
    )


def _list_classes(root: Path, part: str) -> dict[str, list[str]]:
    folder = root / part
    if not folder.is_dir():
        raise DataError(
            f"{folder} does not exist; an image folder holds train/<class>/<image> and test/<class>/<image>"
        )
    listing = {
        entry.name: sorted(file.name for file in os.scandir(entry.path) if not file.name.startswith("."))
        for entry in os.scandir(folder)
        if entry.is_dir() and not entry.name.startswith(".")
    }
    empty = sorted(name for name, files in listing.items() if not files)
    if empty:
        raise DataError(f"these class folders of {folder} hold no image: {empty}")
    return listing


def decode_imagefolder(
    root: Path, listing: dict[str, dict[str, list[str]]], image_size: int | None = None
) -> Decoded:
    """Decode every image of the folder; all must have the size of the first, unless they are brought to one."""
    classes = sorted(listing["train"])
    first = next(_read_images([root / "train" / classes[0] / listing["train"][classes[0]][0]], image_size))

    def decode(part: str) -> Part:
        paths = [root / part / name / file for name in classes for file in listing[part][name]]
        labels = [label for label, name in enumerate(classes) for _ in listing[part][name]]
        pixels = [
            _fit(image, path, first) for path, image in zip(paths, _read_images(paths, image_size), strict=True)
        ]
        return Part(np.stack(pixels), np.asarray(labels, dtype=np.int64))

    channels = 1 if first.ndim == 2 else 3
    return Decoded(decode("train"), decode("test"), tuple(classes), (0.5,) * channels, (0.5,) * channels)


def _read_images(paths: list[Path], image_size: int | None = None) -> Iterator[NDArray[np.uint8]]:
    """Each image as [H, W] if it is grey, else [H, W, 3]; with a size, its middle square, resized."""
    from PIL import Image, ImageOps

    for path in paths:
        try:
            with Image.open(path) as image:
                if image.mode in ("I", "F"):
                    raise ValueError(f"mode {image.mode} has no fixed range of shades; convert it to 8 or 16 bits")
                if image.mode.startswith("I;16"):  # PIL would clip them
                    eight_bits = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
                else:
                    eight_bits = image.convert("L" if image.mode in ("1", "L") else "RGB")
                yield np.asarray(
                    eight_bits if image_size is None else ImageOps.fit(eight_bits, (image_size, image_size))
                )
        except (OSError, SyntaxError, ValueError) as error:
            raise DataError(f"image {path} cannot be read ({error}); mend or remove it") from error


def _fit(image: NDArray[np.uint8], path: Path, first: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image as [C, H, W], grey or in colour like the data set's first image."""
    size = first.shape[:2]
    if image.shape[:2] != size:
        raise DataError(
            f"all images of a folder must have one size; {path} is {image.shape[0]} x {image.shape[1]}, "
            f"the first is {size[0]} x {size[1]}; set image_size, or resize them"
        )
    if first.ndim == 2:
        return (image if image.ndim == 2 else image.mean(axis=2).astype(np.uint8))[None]
    return np.broadcast_to(image[None], (3, *size)) if image.ndim == 2 else image.transpose(2, 0, 1)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]
