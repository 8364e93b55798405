"""Data sets that several tests of the trainer make."""

from __future__ import annotations

from pathlib import Path

import pytest
from trainer_helpers import make_imagefolder, make_mnist


@pytest.fixture
def mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty made images to train on and twenty to test with, where the environment says."""
    make_mnist(tmp_path / "data")
    monkeypatch.setenv("SWEEP_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def pets(tmp_path: Path) -> str:
    return f"imagefolder:{make_imagefolder(tmp_path / 'pets', per_class=10, shape=(20, 20))}"
