"""How trials share a job: lanes, one process each, that draw from the job's bundle while its time lasts."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from sweep.records import JOB_OVERHEAD_SECONDS, Attempt, Bundle


@dataclass(frozen=True)
class Packing:
    """What a profile says of the jobs' shape. The default is one trial per job."""

    lanes: int = 1
    trials_per_lane: int = 1  # for so many trials per lane, a job asks for time
    lanes_per_gpu: int = 1
    gpus_charged: int | None = None  # where whole nodes are charged: all their GPUs
    mem_gb: float | None = None  # of each lane

    @property
    def is_fed(self) -> bool:
        """Whether jobs are handed further trials while they run."""
        return self.trials_per_lane > 1

    def gpus(self, lanes: int) -> int:
        """GPUs that a job of so many lanes is charged for."""
        return self.gpus_charged or math.ceil(lanes / self.lanes_per_gpu)


ALONE = Packing()


def lane_seconds(needs: Sequence[float], trials: int) -> float:
    """What a job asks for whose lanes begin with trials of these needs and are to do so many each."""
    return max(*needs, trials * mean(needs)) + JOB_OVERHEAD_SECONDS


def seconds_for_next(bundle: Bundle, began: Mapping[int, float], decided: Collection[int], now: float) -> float:
    """The time that the job has left for one more trial, once a lane has done what is before it.

    `began` are the times at which trials of the bundle were claimed (the first is taken for the job's start), and
    `decided` the trials that have a result. A lane is thought to need for each trial what was asked for it.
    """
    job_end = min(began.values()) + bundle.request_seconds - JOB_OVERHEAD_SECONDS
    free = [now] * bundle.lanes
    for attempt in sorted(_undecided(bundle, decided), key=lambda attempt: attempt.trial not in began):
        lane = min(range(bundle.lanes), key=free.__getitem__)
        done = max(0.0, now - began[attempt.trial]) if attempt.trial in began else 0.0
        free[lane] += max(0.0, attempt.needs_seconds - done)
    return job_end - min(free)


def is_hungry(bundle: Bundle, began: Collection[int], decided: Collection[int], *, ahead: bool = True) -> bool:
    """Whether the job should have another trial: one for every four lanes waits, so that none is ever idle.

    Without `ahead`, none waits: what is handed to a job may be begun sooner by another.
    """
    undecided = _undecided(bundle, decided)
    waiting = sum(attempt.trial not in began for attempt in undecided)
    idle = bundle.lanes - (len(undecided) - waiting)
    return waiting < idle + (math.ceil(bundle.lanes / 4) if ahead else 0)


def _undecided(bundle: Bundle, decided: Collection[int]) -> list[Attempt]:
    return [attempt for attempt in bundle.attempts if attempt.trial not in decided]
