"""Runs that fail in a way that is a result: the loss diverges, or memory runs out."""

from __future__ import annotations

import math
import time

import pytest
import torch
from trainer_helpers import ScriptedContext, files_below

from trainer import Ended
from trainer.checkpoint import load_checkpoint
from trainer.config import TrainConfig
from trainer.context import QuietContext
from trainer.models import MODELS, ConvNet
from trainer.training import train

ONE_STEP = {"epochs": 1, "optimizer": "sgd", "lr": 1e30}


def recipe(**keys) -> TrainConfig:
    return TrainConfig(**{"device": "cpu", **keys})


# Divergence


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "adam"])
def test_a_rate_far_too_large_diverges(optimizer):
    result = train(recipe(optimizer=optimizer, lr=1e30, test=True), QuietContext())

    assert result.ended == Ended.DIVERGED
    assert "NaN or infinite" in result.detail
    assert result.test_accuracy is None


def test_a_diverged_run_leaves_no_checkpoint_of_its_weights(tmp_path):
    train(recipe(lr=1e30), QuietContext(tmp_path))

    assert files_below(tmp_path) == []


@pytest.mark.parametrize(
    "keys",
    [
        {"batch_size": 1295},
        {"batch_size": 1295, "test": True},
        {"batch_size": 1437, "validation_fraction": 0},
        {"batch_size": 1437, "validation_fraction": 0, "test_epochs": True},
    ],
)
def test_a_run_whose_last_update_ruins_the_weights_has_diverged(tmp_path, keys):
    result = train(recipe(**ONE_STEP, **keys), context := ScriptedContext(tmp_path))

    assert result.ended == Ended.DIVERGED
    assert "NaN or infinite before step 1" in result.detail
    assert result.test_accuracy is None
    assert context.reports == []
    assert files_below(tmp_path) == []


def test_ruined_weights_at_the_deadline_have_diverged(tmp_path, monkeypatch):
    class Ruined(ConvNet):
        def forward(self, images):
            return super().forward(images) * (1 if self.training else math.nan)

    monkeypatch.setitem(MODELS, "convnet", Ruined)

    result = train(recipe(), QuietContext(tmp_path, deadline=time.monotonic() - 1))

    assert result.ended == Ended.DIVERGED
    assert files_below(tmp_path) == []


# Memory


FULL = torch.OutOfMemoryError("the device is full")


def test_a_device_out_of_memory_ends_the_run_and_names_the_batch():
    context = ScriptedContext(crash_at_check=10, error=FULL)

    result = train(recipe(batch_size=30), context)

    assert result.ended == Ended.OUT_OF_MEMORY
    assert "batch_size 30 does not fit the memory of cpu" in result.detail


def test_an_allocation_that_the_processor_refuses_ends_the_run_and_names_the_batch(monkeypatch):
    class Greedy(ConvNet):
        def forward(self, images):
            if torch.is_grad_enabled():
                torch.empty(2**57)
            return super().forward(images)

    monkeypatch.setitem(MODELS, "convnet", Greedy)

    result = train(recipe(batch_size=30), QuietContext())

    assert result.ended == Ended.OUT_OF_MEMORY
    assert "batch_size 30 does not fit the memory of cpu" in result.detail


def test_another_failure_of_the_network_is_none_of_memory(monkeypatch):
    class Broken(ConvNet):
        def forward(self, images):
            if torch.is_grad_enabled():
                raise RuntimeError("something else")
            return super().forward(images)

    monkeypatch.setitem(MODELS, "convnet", Broken)

    with pytest.raises(RuntimeError, match="something else"):
        train(recipe(), QuietContext())


def after(error: BaseException) -> RuntimeError:
    """What ending a recording raises when an error broke it off."""
    second = RuntimeError("CUDA error: operation failed due to a previous error during capture")
    second.__context__ = error
    return second


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.0 GB)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        after(FULL),
    ],
)
def test_memory_runs_out_under_many_names(error):
    assert train(recipe(), ScriptedContext(crash_at_check=10, error=error)).ended == Ended.OUT_OF_MEMORY


def test_an_error_after_one_of_another_kind_is_none_of_memory():
    with pytest.raises(RuntimeError, match="previous error during capture"):
        train(recipe(), ScriptedContext(crash_at_check=10, error=after(ValueError("something else"))))


def test_a_run_out_of_memory_keeps_what_it_had_reached():
    result = train(recipe(), context := ScriptedContext(crash_at_check=60, error=FULL))

    assert len(context.reports) == result.epochs == 2
    assert result.accuracy == context.reports[1].validation_accuracy
    assert result.train_seconds >= context.reports[1].train_seconds
    assert result.wall_seconds > context.reports[1].wall_seconds


def test_a_run_out_of_memory_counts_the_seconds_of_the_attempts_before(tmp_path):
    first = train(recipe(), ScriptedContext(tmp_path, checks_before_stop=40))
    saved = load_checkpoint(tmp_path)
    assert saved is not None
    began = time.monotonic()

    second = train(recipe(), ScriptedContext(tmp_path, crash_at_check=1, error=FULL))

    assert (first.ended, second.ended, second.epochs) == (Ended.INTERRUPTED, Ended.OUT_OF_MEMORY, 1)
    assert saved["progress"]["wall_seconds"] < second.wall_seconds
    assert second.wall_seconds > time.monotonic() - began  # which is all of the second attempt
    assert second.train_seconds == first.train_seconds
