"""What bad input gets: the rule, the value, what to do, and exit code 1."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from driving import sweep, write_study
from PIL import Image


def refused(*arguments: str | Path) -> str:
    done = sweep(*arguments)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["launch", "no_such_study"], ["no_such_study", "quickstart"]),
        (["launch", "quickstart", "--profile", "no_such"], ["no profile 'no_such'", "local"]),
        (["launch", "quickstart", "--set", "target=1.5"], ["target", "1.5", "less than or equal to 1"]),
        (["launch", "quickstart", "--set", "limits.trials=0"], ["limits.trials", "got 0"]),
        (["launch", "quickstart", "--set", "space={}"], ["space", "at least 1"]),
        (["launch", "quickstart", "--set", "space.batch_sice=3"], ["batch_sice"]),
        (["launch", "quickstart", "--set", "limits"], ["key=value", "limits"]),
        (["launch", "quickstart", "--set", "fixed.dataset=cifar11"], ["fixed.dataset", "cifar11"]),
        (["launch", "quickstart", "--set", "space.batch_size.high=4096"], ["batch_size", "1,150", "4,096"]),
        (["status"], ["0 runs", "sweep launch"]),
        (["resume", "nothing"], ["no run 'nothing'"]),
        (["stop", "nothing"], ["no run 'nothing'"]),
        (["report", "nothing"], ["no run 'nothing'"]),
    ],
)
def test_a_mistake_is_named_with_its_value_and_what_to_do(arguments, words):
    message = refused(*arguments)
    assert [word for word in words if word not in message] == [], message
    assert not Path("runs").exists(), "nothing was started"


def test_all_mistakes_of_a_file_are_reported_at_once(tmp_path):
    study = tmp_path / "bad.toml"
    study.write_text(
        'name = "a b"\ngoal = "fast"\ntarget = 0\ncolour = 1\n[limits]\ntrials = "many"\ntrial = "soon"\n'
        "[space]\nlr_scale = { low = 2.0, high = 1.0 }\n"
    )
    message = refused("plan", study)
    for key in ("name", "goal", "target", "colour", "limits.trials", "limits.trial", "space.lr_scale"):
        assert key in message
    assert str(study) in message


def test_a_missing_data_set_says_how_to_get_it():
    assert "sweep download cifar10" in refused("launch", "cifar10_60")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: None, "does not exist"),
        (lambda root: (root / "train").mkdir(parents=True) or (root / "test").mkdir(), "0 class folder(s)"),
        (lambda root: _images(root, classes=1), "at least two"),
        (lambda root: _images(root, broken=True), "cannot be read"),
    ],
)
def test_an_unusable_image_folder_is_refused_before_anything_runs(tmp_path, make, words):
    root = tmp_path / "pictures"
    make(root)
    message = refused("launch", "quickstart", "--set", f"fixed.dataset=imagefolder:{root}")
    assert words in message
    assert not Path("runs").exists()


def test_a_runs_folder_that_cannot_be_written_is_named(tmp_path):
    Path("file").touch()
    assert "file" in refused("launch", write_study(tmp_path), "--runs", "file")


def test_a_run_of_another_study_in_the_same_storage_is_refused(tmp_path):
    study = write_study(tmp_path, trials=1, top=f'storage = "sqlite:///{tmp_path}/shared.db"')
    assert sweep("launch", study, "--runs", "one").returncode == 0
    assert "already holds a study 'sleepy'" in refused("launch", study, "--runs", "two")


def test_a_full_disk_ends_with_a_clear_error_and_keeps_what_is_done(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1500k,nr_inodes=700", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a small tmpfs; run as root")
    try:
        message = refused("launch", write_study(tmp_path, trials=500), "--runs", disk, "--set", "profile.slots=2")
        assert "No space left on device" in message
        done = len(list(disk.glob("sleepy/trials/*/result.json")))
        assert done > 0
        for path in sorted(disk.glob("sleepy/trials/*/checkpoint.pt")):
            path.unlink()
        assert sweep("status", "sleepy", "--runs", disk).returncode == 0
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_bug_of_ours_ends_with_3_and_a_log(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    broken = tmp_path / "runs/broken"
    broken.mkdir(parents=True)
    assert sweep("launch", write_study(tmp_path, trials=1), "--runs", tmp_path / "runs").returncode == 0
    (tmp_path / "runs/sleepy/trials/00000/trial.json").write_text("[]")
    done = sweep("status", "sleepy", "--runs", tmp_path / "runs")
    assert done.returncode == 3
    assert "sweep-bug-" in done.stderr
    assert "Traceback" in next(tmp_path.glob("sweep-bug-*.log")).read_text()


def test_download_without_a_network_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    message = refused("download", "mnist", "--data-dir", tmp_path / "data")
    assert "where there is a network" in message


def _images(root: Path, classes: int = 2, broken: bool = False) -> None:
    for part in ("train", "test"):
        for name in "abc"[:classes]:
            (root / part / name).mkdir(parents=True)
            for index in range(12):
                path = root / part / name / f"{index}.png"
                Image.fromarray(np.full((32, 32, 3), index, np.uint8)).save(path)
    if broken:
        (root / "train/a/3.png").write_bytes(b"no image")
