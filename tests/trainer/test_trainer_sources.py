"""Sources: what is decoded, and what is said when files are missing or wrong."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from torchvision.datasets import cifar
from trainer_helpers import flat, make_imagefolder, make_mnist, save_image, write_idx

from trainer.errors import DataError
from trainer.sources import data_root, decode_digits, find_source


def imagefolder(root: Path):
    return find_source(f"imagefolder:{root}")


def decode(root: Path):
    return imagefolder(root).decode()


class TestDigits:
    def test_the_last_360_images_are_the_test_part(self):
        decoded = decode_digits()

        assert decoded.train.images.shape == (1437, 1, 32, 32)
        assert decoded.test.images.shape == (360, 1, 32, 32)
        np.testing.assert_array_equal(decoded.test.labels, load_digits().target[-360:])

    def test_images_are_bytes_and_labels_are_integers(self):
        decoded = decode_digits()

        assert decoded.train.images.dtype == np.uint8
        assert decoded.train.labels.dtype == np.int64
        assert decoded.classes == tuple("0123456789")

    def test_each_pixel_of_the_small_digit_becomes_a_block_of_its_brightness(self):
        enlarged = decode_digits().train.images[0, 0].reshape(8, 4, 8, 4)

        expected = np.rint(load_digits().images[0] / 16 * 255)

        assert (enlarged == expected[:, None, :, None]).all()

    def test_the_mean_and_deviation_are_those_of_the_training_pixels(self):
        decoded = decode_digits()
        pixels = decoded.train.images / 255

        assert decoded.mean == pytest.approx((pixels.mean(),), abs=0.005)
        assert decoded.std == pytest.approx((pixels.std(),), abs=0.005)


class TestImageFolder:
    def test_grey_images_have_one_channel(self, tmp_path):
        decoded = decode(make_imagefolder(tmp_path / "pets", shape=(20, 28)))

        assert decoded.train.images.shape == (8, 1, 20, 28)
        assert decoded.train.images.dtype == np.uint8
        assert decoded.train.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 200, 201, 202, 203]

    def test_labels_count_the_class_folders_in_alphabetical_order(self, tmp_path):
        decoded = decode(make_imagefolder(tmp_path / "pets", per_class=2))

        assert decoded.classes == ("cat", "dog")
        assert decoded.train.labels.tolist() == [0, 0, 1, 1]
        assert decoded.test.labels.dtype == np.int64

    def test_the_test_folder_is_the_test_part(self, tmp_path):
        decoded = decode(make_imagefolder(tmp_path / "pets", per_class=1))

        assert decoded.test.images[:, 0, 0, 0].tolist() == [40, 240]

    def test_colour_images_have_three_channels_first(self, tmp_path):
        root = make_imagefolder(tmp_path / "pets", shape=(32, 32, 3))
        pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        save_image(root / "train" / "cat" / "0.png", pixels)

        decoded = decode(root)

        np.testing.assert_array_equal(decoded.train.images[0], pixels.transpose(2, 0, 1))
        assert len(decoded.mean) == len(decoded.std) == 3

    def test_a_grey_image_among_colour_ones_has_three_equal_channels(self, tmp_path):
        root = make_imagefolder(tmp_path / "pets", per_class=2, shape=(32, 32, 3))
        save_image(root / "train" / "cat" / "1.png", flat(77))

        assert np.unique(decode(root).train.images[1]).tolist() == [77]

    def test_a_colour_image_among_grey_ones_becomes_its_mean(self, tmp_path):
        root = make_imagefolder(tmp_path / "pets", per_class=2)
        save_image(root / "train" / "cat" / "1.png", np.tile(np.uint8([30, 60, 90]), (32, 32, 1)))

        decoded = decode(root)

        assert decoded.train.images.shape[1] == 1
        assert np.unique(decoded.train.images[1]).tolist() == [60]

    @pytest.mark.parametrize("mode", ["P", "RGBA", "CMYK"])
    def test_other_colour_modes_become_rgb(self, tmp_path, mode):
        root = make_imagefolder(tmp_path / "pets", shape=(32, 32, 3))
        image = Image.new("RGB", (32, 32), (255, 0, 0)).convert(mode)
        (root / "train" / "cat" / "0.png").unlink()
        image.save(root / "train" / "cat" / "0.tif")

        assert decode(root).train.images[0, :, 0, 0].tolist() == [255, 0, 0]

    def test_black_and_white_images_are_grey(self, tmp_path):
        root = make_imagefolder(tmp_path / "pets")
        Image.new("1", (32, 32), 1).save(root / "train" / "cat" / "0.png")

        decoded = decode(root)

        assert decoded.train.images.shape[1] == 1
        assert np.unique(decoded.train.images[0]).tolist() == [255]

    def test_hidden_files_and_folders_are_passed_over(self, tmp_path):
        root = make_imagefolder(tmp_path / "pets", per_class=1)
        (root / "train" / ".git").mkdir()
        (root / "train" / "cat" / ".DS_Store").write_bytes(b"no image")

        assert decode(root).train.labels.tolist() == [0, 1]

    def test_files_beside_the_class_folders_are_passed_over(self, tmp_path):
        root = make_imagefolder(tmp_path / "pets", per_class=1)
        (root / "train" / "README.txt").write_text("Cats and dogs.")

        assert decode(root).classes == ("cat", "dog")


class TestImageSize:
    def test_images_of_several_sizes_are_brought_to_one(self, tmp_path):
        root = make_imagefolder(tmp_path / "pets")
        for number, (height, width) in enumerate([(20, 60), (64, 64), (7, 5)]):
            save_image(root / "train" / "cat" / f"{number}.png", flat(50 + number, (height, width)))

        decoded = find_source(f"imagefolder:{root}", image_size=24).decode()

        assert decoded.train.images.shape == (8, 1, 24, 24)
        assert decoded.test.images.shape == (8, 1, 24, 24)
        assert [np.unique(image).tolist() for image in decoded.train.images[:3]] == [[50], [51], [52]]

    @pytest.mark.parametrize("shape", [(8, 24), (24, 8)])
    def test_of_an_oblong_image_its_middle_square_is_kept(self, tmp_path, shape):
        root = make_imagefolder(tmp_path / "pets")
        pixels = flat(0, shape)
        pixels[shape[0] // 2 - 4 : shape[0] // 2 + 4, shape[1] // 2 - 4 : shape[1] // 2 + 4] = 200
        save_image(root / "train" / "cat" / "0.png", pixels)

        decoded = find_source(f"imagefolder:{root}", image_size=8).decode()

        assert np.unique(decoded.train.images[0]).tolist() == [200]

    def test_images_of_that_size_stay_as_they_are(self, tmp_path):
        root = make_imagefolder(tmp_path / "pets", shape=(9, 9, 3))
        noise = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
        save_image(root / "train" / "cat" / "0.png", noise)

        decoded = find_source(f"imagefolder:{root}", image_size=9).decode()

        np.testing.assert_array_equal(decoded.train.images[0], noise.transpose(2, 0, 1))

    def test_the_fingerprint_tells_sizes_apart(self, tmp_path):
        root = make_imagefolder(tmp_path / "pets")

        prints = {find_source(f"imagefolder:{root}", image_size=size).fingerprint for size in (None, 8, 9)}

        assert len(prints) == 3


class TestImageFolderMistakes:
    def test_a_folder_that_does_not_exist_is_named(self, tmp_path):
        with pytest.raises(DataError, match=r"nowhere/train does not exist"):
            imagefolder(tmp_path / "nowhere")

    @pytest.mark.parametrize("part", ["train", "test"])
    def test_a_missing_part_is_named(self, tmp_path, part):
        root = make_imagefolder(tmp_path / "pets")
        shutil.rmtree(root / part)

        with pytest.raises(DataError, match=f"pets/{part} does not exist"):
            imagefolder(root)

    @pytest.mark.parametrize("part", ["train", "test"])
    def test_an_empty_class_folder_is_named(self, tmp_path, part):
        root = make_imagefolder(tmp_path / "pets")
        for image in (root / part / "dog").iterdir():
            image.unlink()

        with pytest.raises(DataError, match=rf"pets/{part} hold no image: \['dog'\]"):
            imagefolder(root)

    def test_one_class_is_too_few(self, tmp_path):
        root = make_imagefolder(tmp_path / "pets")
        shutil.rmtree(root / "train" / "dog")
        shutil.rmtree(root / "test" / "dog")

        with pytest.raises(DataError, match="at least two are needed"):
            imagefolder(root)

    def test_no_class_is_too_few(self, tmp_path):
        for part in ("train", "test"):
            (tmp_path / "pets" / part).mkdir(parents=True)

        with pytest.raises(DataError, match=r"0 class folder\(s\)"):
            imagefolder(tmp_path / "pets")

    @pytest.mark.parametrize("part", ["train", "test"])
    def test_classes_that_only_one_part_has_are_named(self, tmp_path, part):
        root = make_imagefolder(tmp_path / "pets")
        save_image(root / part / "ferret" / "0.png", flat(1))

        with pytest.raises(DataError, match=r"these differ: \['ferret'\]"):
            imagefolder(root)

    @pytest.mark.parametrize("content", [b"", b"This is no image.", b"\x89PNG\r\n\x1a\n"])
    def test_an_unreadable_image_is_named(self, tmp_path, content):
        root = make_imagefolder(tmp_path / "pets")
        (root / "test" / "dog" / "broken.png").write_bytes(content)

        with pytest.raises(DataError, match=r"test/dog/broken\.png cannot be read"):
            decode(root)

    def test_an_image_cut_short_is_named(self, tmp_path):
        root = make_imagefolder(tmp_path / "pets")
        noise = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
        image = root / "train" / "cat" / "3.png"
        save_image(image, noise)
        image.write_bytes(image.read_bytes()[:500])

        with pytest.raises(DataError, match=r"train/cat/3\.png cannot be read"):
            decode(root)

    @pytest.mark.parametrize(("height", "width"), [(32, 31), (31, 32), (64, 64)])
    def test_an_image_of_another_size_is_named_with_both_sizes(self, tmp_path, height, width):
        root = make_imagefolder(tmp_path / "pets")
        save_image(root / "train" / "dog" / "0.png", flat(0, (height, width)))

        with pytest.raises(
            DataError, match=rf"dog/0\.png is {height} x {width}, the first is 32 x 32; set image_size"
        ):
            decode(root)


class TestImageFolderFingerprint:
    def test_it_stays_while_nothing_changes(self, tmp_path):
        root = make_imagefolder(tmp_path / "pets")

        assert imagefolder(root).fingerprint == imagefolder(root).fingerprint

    @pytest.mark.parametrize("part", ["train", "test"])
    def test_it_changes_when_an_image_is_added(self, tmp_path, part):
        root = make_imagefolder(tmp_path / "pets")
        before = imagefolder(root).fingerprint

        save_image(root / part / "cat" / "another.png", flat(9))

        assert imagefolder(root).fingerprint != before

    def test_it_changes_when_an_image_is_removed(self, tmp_path):
        root = make_imagefolder(tmp_path / "pets")
        before = imagefolder(root).fingerprint

        (root / "train" / "cat" / "0.png").unlink()

        assert imagefolder(root).fingerprint != before

    def test_it_changes_when_an_image_moves_to_another_class(self, tmp_path):
        root = make_imagefolder(tmp_path / "pets")
        before = imagefolder(root).fingerprint

        (root / "train" / "cat" / "0.png").rename(root / "train" / "dog" / "from-cat.png")

        assert imagefolder(root).fingerprint != before

    def test_two_folders_of_one_name_differ(self, tmp_path):
        here, there = (make_imagefolder(tmp_path / place / "pets") for place in ("here", "there"))

        assert imagefolder(here).name == imagefolder(there).name
        assert imagefolder(here).fingerprint != imagefolder(there).fingerprint

    def test_a_relative_path_is_the_same_folder(self, tmp_path, monkeypatch):
        root = make_imagefolder(tmp_path / "pets")
        monkeypatch.chdir(tmp_path)

        assert imagefolder(Path("pets")).fingerprint == imagefolder(root).fingerprint


class TestTorchvision:
    def test_mnist_is_read_from_its_raw_files(self, tmp_path):
        written = make_mnist(tmp_path)

        decoded = find_source("mnist", str(tmp_path)).decode()

        np.testing.assert_array_equal(decoded.train.images[:, 0], written["train_images"])
        np.testing.assert_array_equal(decoded.train.labels, written["train_labels"])
        np.testing.assert_array_equal(decoded.test.images[:, 0], written["test_images"])
        assert decoded.train.images.shape == (40, 1, 28, 28)
        assert len(decoded.classes) == 10

    def test_cifar10_is_read_with_its_channels_first(self, tmp_path, monkeypatch):
        pixels = make_cifar10(tmp_path, monkeypatch)

        decoded = find_source("cifar10", str(tmp_path)).decode()

        np.testing.assert_array_equal(decoded.train.images, np.tile(pixels, (5, 1, 1, 1)))
        np.testing.assert_array_equal(decoded.test.images, pixels)
        assert decoded.train.labels.tolist() == [3, 7] * 5
        assert decoded.classes[3] == "class 3"

    @pytest.mark.parametrize("name", ["cifar10", "mnist"])
    def test_a_missing_data_set_is_told_how_to_be_fetched(self, tmp_path, name):
        with pytest.raises(DataError, match=f"sweep download {name} --data-dir {tmp_path}"):
            find_source(name, str(tmp_path))

    @pytest.mark.parametrize(("name", "folder"), [("cifar10", "cifar-10-batches-py"), ("mnist", "MNIST/raw")])
    def test_an_empty_folder_is_a_missing_data_set(self, tmp_path, name, folder):
        (tmp_path / folder).mkdir(parents=True)

        with pytest.raises(DataError, match=f"sweep download {name}"):
            find_source(name, str(tmp_path))

    @pytest.mark.parametrize(
        ("name", "file"), [("cifar10", "cifar-10-batches-py/data_batch_1"), ("mnist", "MNIST/raw/readme")]
    )
    def test_an_incomplete_data_set_cannot_be_read(self, tmp_path, name, file):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_bytes(b"half of it")

        with pytest.raises(DataError, match=f"data set '{name}' in {tmp_path} cannot be read"):
            find_source(name, str(tmp_path)).decode()

    @pytest.mark.parametrize("left", [0, 500])
    def test_a_truncated_mnist_file_cannot_be_read(self, tmp_path, left):
        make_mnist(tmp_path)
        images = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
        images.write_bytes(images.read_bytes()[:left])

        with pytest.raises(DataError, match="cannot be read"):
            find_source("mnist", str(tmp_path)).decode()

    def test_the_fingerprint_changes_when_a_file_does(self, tmp_path):
        make_mnist(tmp_path)
        before = find_source("mnist", str(tmp_path)).fingerprint

        write_idx(tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte", np.zeros(39, np.uint8))

        assert find_source("mnist", str(tmp_path)).fingerprint != before


def make_cifar10(root: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Two images per file, in the files' own format; torchvision knows the real files by their checksums."""
    monkeypatch.setattr(cifar, "check_integrity", lambda path, md5: Path(path).is_file())
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32), dtype=np.uint8)
    batch = pickle.dumps({"data": pixels.reshape(2, 3072), "labels": [3, 7]})
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        (folder / name).write_bytes(batch)
    names = [f"class {number}" for number in range(10)]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    return pixels


class TestDataRoot:
    def test_the_argument_comes_first(self, tmp_path, monkeypatch):
        monkeypatch.setenv("SWEEP_DATA_DIR", "/elsewhere")

        assert data_root(str(tmp_path)) == tmp_path

    def test_the_environment_comes_second(self, tmp_path, monkeypatch):
        monkeypatch.setenv("SWEEP_DATA_DIR", str(tmp_path / "env"))

        assert data_root("") == tmp_path / "env"

    def test_the_default_is_the_data_folder_here(self, tmp_path):
        assert data_root("") == tmp_path / "data"

    def test_the_home_folder_is_understood(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))

        assert data_root("~/images") == tmp_path / "images"
