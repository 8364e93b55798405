"""The watch over a deadline, on a device that does its steps after the host asked for them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from trainer import Ended
from trainer.context import QuietContext
from trainer.devices import Pace
from trainer.watch import Watch

DEADLINE, BATCH = 100.0, 10


@pytest.mark.parametrize("epoch_steps", [1, 3, 1000])
@pytest.mark.parametrize("step_seconds", [0.3, 2.0])
@pytest.mark.parametrize("ahead", [0, 4])
def test_what_is_under_way_is_done_and_measured_by_the_deadline(monkeypatch, ahead, step_seconds, epoch_steps):
    now, images = 0.0, 20
    monkeypatch.setattr("trainer.watch.time", SimpleNamespace(monotonic=lambda: now))
    watch = Watch(QuietContext(deadline=DEADLINE), BATCH, ahead)
    step = 0

    while (ended := watch.stop_requested(images)) is None:
        watch.start(step)
        for _ in range(epoch_steps):
            step += 1  # asked for in no time
            now = max(now, step_seconds * (step - ahead))  # the host waits for the step before those under way
            if watch.after_step(step - ahead) and (ended := watch.stop_requested(images)):
                break
        now = step_seconds * step
        watch.after_step(step)
        if ended:
            break

    assert ended == Ended.DEADLINE
    evaluated = now + images * step_seconds / BATCH
    assert DEADLINE - (2 * ahead + 5) * step_seconds < evaluated <= DEADLINE


def test_the_processor_has_done_a_step_when_it_is_kept():
    pace = Pace(torch.device("cpu"))

    pace.keep(1)

    assert pace.ahead == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA is not available")
def test_the_host_is_no_further_ahead_of_the_gpu_than_it_says():
    pace, done = Pace(torch.device("cuda")), []
    for step in range(1, 20):
        torch.cuda._sleep(5_000_000)  # some milliseconds
        done.append(torch.cuda.Event())
        done[-1].record()

        pace.keep(step)

        assert all(mark.query() for mark in done[: max(0, step - pace.ahead)])
    assert not done[-1].query()
