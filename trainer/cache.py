"""Data sets decoded once into memory-mapped uint8 arrays that every worker of a machine shares.

The files hold images as [N, H, W, C], so that a batch for a channels-last network is one copy; they are read as
views [N, C, H, W].
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from trainer.errors import DataError
from trainer.sources import Decoded, Source, find_source

LAYOUT = 3  # of the files; entries of another are built anew
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


@dataclass(frozen=True)
class DatasetInfo:
    """What a data set is, without its pixels."""

    name: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]  # channels, height, width
    train_count: int
    test_count: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def cache_root() -> Path:
    """$SWEEP_CACHE_DIR, else the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "sweep"
    return Path(os.environ.get("SWEEP_CACHE_DIR", default)).expanduser()


def prepare(dataset: str, data_dir: str = "", image_size: int | None = None) -> DatasetInfo:
    """Make sure that the data set is decoded and cached; cheap when it is.

    Raises:
        DataError: the data set is missing, unreadable, or the cache cannot be written.
    """
    info, _ = open_cached(dataset, data_dir, image_size)
    return info


def is_cached(dataset: str, data_dir: str = "", image_size: int | None = None) -> bool:
    """Whether the data set is cached already, whole. Raises DataError if its files are missing."""
    return _load(_entry(find_source(dataset, data_dir, image_size))) is not None


def open_cached(
    dataset: str, data_dir: str = "", image_size: int | None = None
) -> tuple[DatasetInfo, dict[str, NDArray[Any]]]:
    """The data set's description and its arrays, memory-mapped copy-on-write."""
    source = find_source(dataset, data_dir, image_size)
    folder = _entry(source)
    try:
        loaded = _load(folder)
    except OSError as error:
        raise DataError(
            f"the data cache {folder} cannot be read ({error}); remove it, have its owner share it, "
            "or set $SWEEP_CACHE_DIR"
        ) from error
    try:
        if loaded is None:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{folder}.lock"):
                loaded = _load(folder) or _build(source, folder)
    except OSError as error:
        raise DataError(
            f"the data cache {folder} cannot be written ({error}); free some space or set $SWEEP_CACHE_DIR"
        ) from error
    return loaded


def _entry(source: Source) -> Path:
    return cache_root() / f"{source.name}-{source.fingerprint}"


def _load(folder: Path) -> tuple[DatasetInfo, dict[str, NDArray[Any]]] | None:
    """The cache entry, or None if there is none or a file has not the bytes it was written with."""
    try:
        meta = json.loads((folder / "meta.json").read_text())
        if (
            not isinstance(meta, dict)
            or meta.pop("checksum", None) != _meta_checksum(meta)
            or meta["layout"] != LAYOUT
        ):
            return None
        paths = {name: folder / f"{name}.npy" for name in ARRAYS}
        if any(_file_checksum(path) != meta["files"][name] for name, path in paths.items()):
            return None
        arrays = {name: np.load(path, mmap_mode="c") for name, path in paths.items()}
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    for part in ("train_images", "test_images"):
        arrays[part] = arrays[part].transpose(0, 3, 1, 2)
    shape = arrays["train_images"].shape
    info = DatasetInfo(
        name=meta["name"],
        classes=tuple(meta["classes"]),
        image_shape=(shape[1], shape[2], shape[3]),
        train_count=shape[0],
        test_count=len(arrays["test_labels"]),
        mean=tuple(meta["mean"]),
        std=tuple(meta["std"]),
    )
    return info, arrays


def _build(source: Source, folder: Path) -> tuple[DatasetInfo, dict[str, NDArray[Any]]]:
    """Decode into a temporary folder and rename it, so that a reader never sees half an entry."""
    decoded: Decoded = source.decode()
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.", dir=folder.parent) as scratch:
        entry = Path(scratch) / folder.name
        entry.mkdir()  # the scratch folder is its owner's alone; a cache is shared as the umask says
        for part, arrays in (("train", decoded.train), ("test", decoded.test)):
            np.save(entry / f"{part}_images.npy", np.ascontiguousarray(arrays.images.transpose(0, 2, 3, 1)))
            np.save(entry / f"{part}_labels.npy", arrays.labels)
        meta = {
            "layout": LAYOUT,
            "name": source.name,
            "classes": decoded.classes,
            "mean": decoded.mean,
            "std": decoded.std,
            "files": {name: _file_checksum(entry / f"{name}.npy") for name in ARRAYS},
        }
        (entry / "meta.json").write_text(json.dumps(meta | {"checksum": _meta_checksum(meta)}))
        shutil.rmtree(folder, ignore_errors=True)  # a damaged entry
        entry.rename(folder)
    loaded = _load(folder)
    assert loaded is not None, f"{folder} was just written"
    return loaded


def _meta_checksum(meta: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(meta, sort_keys=True).encode())


def _file_checksum(path: Path) -> int:
    return zlib.crc32(np.memmap(path, mode="r").data)
