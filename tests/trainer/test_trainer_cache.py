"""The data cache: decoded once, never half, mended when damaged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from trainer_helpers import files_below, flat, full_disk, make_imagefolder, save_image

from trainer.cache import ARRAYS, cache_root, open_cached, prepare
from trainer.errors import DataError

FILES = [*(f"{name}.npy" for name in ARRAYS), "meta.json"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the test's own."""
    monkeypatch.setenv("SWEEP_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def pets(tmp_path: Path) -> str:
    """An image folder, as the `dataset` key names it."""
    return f"imagefolder:{make_imagefolder(tmp_path / 'pets')}"


def entry_of(cache: Path) -> Path:
    """The one entry of the cache."""
    (entry,) = (path for path in cache.iterdir() if path.is_dir())
    return entry


def first_shade(dataset: str) -> int:
    _, arrays = open_cached(dataset)
    return int(arrays["train_images"][0, 0, 0, 0])


def test_prepare_describes_the_data_set():
    info = prepare("digits")

    assert (info.name, info.image_shape) == ("digits", (1, 32, 32))
    assert (info.train_count, info.test_count) == (1437, 360)
    assert info.classes == tuple("0123456789")
    assert len(info.mean) == len(info.std) == 1


def test_a_warm_cache_gives_the_same_description(pets):
    assert prepare(pets) == prepare(pets)


def test_the_arrays_are_what_was_decoded(pets):
    _, arrays = open_cached(pets)

    assert arrays["train_images"][:, 0, 5, 5].tolist() == [0, 1, 2, 3, 200, 201, 202, 203]
    assert arrays["train_labels"].tolist() == [0] * 4 + [1] * 4
    assert arrays["test_images"][:, 0, 5, 5].tolist() == [40, 41, 42, 43, 240, 241, 242, 243]
    assert arrays["test_labels"].tolist() == [0] * 4 + [1] * 4


def test_colours_and_pixels_keep_their_places(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    root = make_imagefolder(tmp_path / "colours", shape=(6, 9, 3))
    save_image(root / "train" / "cat" / "0.png", noise)

    info, arrays = open_cached(f"imagefolder:{root}")

    assert info.image_shape == (3, 6, 9)
    np.testing.assert_array_equal(arrays["train_images"][0], noise.transpose(2, 0, 1))


def test_an_entry_of_another_layout_is_built_again(pets, cache, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("trainer.cache.LAYOUT", -1)
        prepare(pets)
    other = (entry_of(cache) / "meta.json").read_text()

    prepare(pets)

    assert (entry_of(cache) / "meta.json").read_text() != other


def test_the_arrays_are_mapped_not_read(pets):
    _, arrays = open_cached(pets)

    assert all(isinstance(array, np.memmap) for array in arrays.values())


def test_writing_into_the_arrays_leaves_the_cache_as_it_is(pets):
    _, arrays = open_cached(pets)

    arrays["train_images"][:] = 255

    assert first_shade(pets) == 0


def test_the_second_open_writes_nothing(pets, cache):
    prepare(pets)
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}

    prepare(pets)

    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before


def test_the_second_open_decodes_no_image(pets, tmp_path):
    prepare(pets)
    (tmp_path / "pets" / "train" / "cat" / "0.png").write_bytes(b"no image any more")

    assert first_shade(pets) == 0


def test_an_added_image_is_decoded_into_an_entry_of_its_own(pets, tmp_path):
    before = prepare(pets).train_count

    save_image(tmp_path / "pets" / "train" / "cat" / "another.png", flat(9))

    assert prepare(pets).train_count == before + 1


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("left", [0, 20])
def test_a_truncated_file_is_built_again(pets, cache, name, left):
    prepare(pets)
    whole = (entry_of(cache) / name).read_bytes()
    (entry_of(cache) / name).write_bytes(whole[:left])

    prepare(pets)

    assert (entry_of(cache) / name).read_bytes() == whole


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_anywhere_in_a_file_is_mended(pets, cache, name):
    expected, arrays = open_cached(pets)
    pixels = {part: array.copy() for part, array in arrays.items()}
    whole = (entry_of(cache) / name).read_bytes()
    for place in [*range(0, min(len(whole), 700), 5), len(whole) - 1]:
        changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        (entry_of(cache) / name).write_bytes(changed)

        info, arrays = open_cached(pets)

        assert info == expected
        assert all(np.array_equal(arrays[part], pixels[part]) for part in ARRAYS)
        assert (entry_of(cache) / name).read_bytes() == whole


@pytest.mark.parametrize("content", [b"[]", b"{}", b"null", b"\xff\xfe"])
def test_a_description_of_something_else_is_written_anew(pets, cache, content):
    prepare(pets)
    whole = (entry_of(cache) / "meta.json").read_bytes()
    (entry_of(cache) / "meta.json").write_bytes(content)

    prepare(pets)

    assert (entry_of(cache) / "meta.json").read_bytes() == whole


def test_an_entry_is_shared_as_the_umask_says(pets, cache):
    before = os.umask(0o027)
    try:
        prepare(pets)
    finally:
        os.umask(before)

    assert entry_of(cache).stat().st_mode & 0o777 == 0o750
    assert {path.stat().st_mode & 0o777 for path in entry_of(cache).iterdir()} == {0o640}


def test_an_entry_that_cannot_be_read_is_not_said_to_lack_space(pets, cache):
    prepare(pets)
    (entry_of(cache) / "meta.json").unlink()
    (entry_of(cache) / "meta.json").mkdir()

    with pytest.raises(DataError, match=r"cannot be read .*have its owner share it, or set \$SWEEP_CACHE_DIR"):
        prepare(pets)


@pytest.mark.parametrize("name", FILES)
def test_a_lost_file_is_built_again(pets, cache, name):
    prepare(pets)
    (entry_of(cache) / name).unlink()

    assert first_shade(pets) == 0
    assert files_below(entry_of(cache)) == sorted(FILES)


def test_each_image_size_has_an_entry_of_its_own(pets, cache):
    shapes = [open_cached(pets, image_size=size)[0].image_shape for size in (None, 16, 24, 16)]

    assert shapes == [(1, 32, 32), (1, 16, 16), (1, 24, 24), (1, 16, 16)]
    assert sum(path.is_dir() for path in cache.iterdir()) == 3


def test_an_image_that_cannot_be_read_leaves_no_entry(pets, cache, tmp_path):
    (tmp_path / "pets" / "train" / "cat" / "0.png").write_bytes(b"no image")

    with pytest.raises(DataError):
        prepare(pets)

    assert [path for path in cache.iterdir() if path.is_dir()] == []


def test_a_mended_image_is_decoded_at_the_next_open(pets, tmp_path):
    image = tmp_path / "pets" / "train" / "cat" / "0.png"
    image.write_bytes(b"no image")
    with pytest.raises(DataError):
        prepare(pets)

    save_image(image, flat(42))

    assert first_shade(pets) == 42


def test_a_cache_folder_that_cannot_be_made_is_the_users_mistake(pets, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SWEEP_CACHE_DIR", str(tmp_path / "file" / "cache"))

    with pytest.raises(DataError, match=r"cannot be written .*\$SWEEP_CACHE_DIR"):
        prepare(pets)


def test_a_full_disk_is_the_users_mistake_and_leaves_nothing_behind(cache):
    with full_disk(largest_file=100_000), pytest.raises(DataError, match="free some space"):
        prepare("digits")

    assert [path for path in cache.iterdir() if path.is_dir()] == []


def test_of_processes_that_prepare_at_once_one_builds_the_entry(cache):
    script = (
        "from trainer.cache import cache_root, prepare\n"
        "print(prepare('digits').train_count, (cache_root() / 'digits-1' / 'meta.json').stat().st_mtime_ns)"
    )
    command = [sys.executable, "-c", script]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]

    outputs = [process.communicate(timeout=120) for process in processes]

    written = (entry_of(cache) / "meta.json").stat().st_mtime_ns
    assert outputs == [(f"1437 {written}\n", "")] * 3
    assert files_below(entry_of(cache)) == sorted(FILES)


def test_the_cache_lies_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("SWEEP_CACHE_DIR", "~/decoded")
    monkeypatch.setenv("HOME", str(tmp_path))

    assert cache_root() == tmp_path / "decoded"


def test_the_cache_follows_the_users_cache_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("SWEEP_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))

    assert cache_root() == tmp_path / "xdg" / "sweep"


def test_the_cache_lies_in_the_home_folder_by_default(tmp_path, monkeypatch):
    monkeypatch.delenv("SWEEP_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert cache_root() == tmp_path / ".cache" / "sweep"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_may_only_be_read_serves_what_it_holds(pets, cache):
    prepare(pets)
    cache.chmod(0o500)
    try:
        assert first_shade(pets) == 0
    finally:
        cache.chmod(0o700)
