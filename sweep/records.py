"""What is known of trials and jobs: frozen records, and which state may follow which."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from trainer.context import Calibration, EpochReport

# A job is asked for and charged up to this much more than its trial's time: process start and end.
JOB_OVERHEAD_SECONDS = 15.0


class TrialState(StrEnum):
    """Where a trial stands. All but the first two are final."""

    QUEUED = "queued"  # written down; waits for a job, or for the next attempt
    RUNNING = "running"
    COMPLETED = "completed"
    TARGET = "target"  # reached the target and stopped there
    DEADLINE = "deadline"  # stopped itself at the limit
    PRUNED = "pruned"
    DIVERGED = "diverged"
    OUT_OF_MEMORY = "out_of_memory"
    FAILED = "failed"  # the code raised an exception
    # Given up for want of a result, after the retries that the cause allows:
    TIMEOUT = "timeout"  # had to be killed at its limit
    PREEMPTED = "preempted"  # its job had to make way
    NODE_FAILURE = "node_failure"
    HOST_OUT_OF_MEMORY = "host_out_of_memory"  # the job was killed for its memory
    SETUP_FAILED = "setup_failed"  # a setup line of the profile failed
    CANCELLED = "cancelled"  # somebody cancelled the job
    LOST = "lost"  # its process died, nobody knows why

    @property
    def is_final(self) -> bool:
        return self not in (TrialState.QUEUED, TrialState.RUNNING)

    @property
    def words(self) -> str:
        """The state for people."""
        return {"target": "reached target", "deadline": "out of time"}.get(
            self.value, self.value.replace("_", " ")
        )

    @property
    def is_measured(self) -> bool:
        """Its accuracy is that of its recipe."""
        return self in (TrialState.COMPLETED, TrialState.TARGET, TrialState.DEADLINE, TrialState.PRUNED)

    @property
    def is_failure(self) -> bool:
        """No measurement came of it, and the recipe may not be to blame."""
        return self in FAILURES


FAILURES = (
    TrialState.FAILED,
    TrialState.TIMEOUT,
    TrialState.PREEMPTED,
    TrialState.NODE_FAILURE,
    TrialState.HOST_OUT_OF_MEMORY,
    TrialState.SETUP_FAILED,
    TrialState.CANCELLED,
    TrialState.LOST,
)


class JobState(StrEnum):
    """Where a job stands, as its launcher tells."""

    PENDING = "pending"
    RUNNING = "running"
    EXITED = "exited"  # gone; only result files tell how its trials fared
    TIMEOUT = "timeout"
    PREEMPTED = "preempted"
    NODE_FAILURE = "node_failure"
    OUT_OF_MEMORY = "out_of_memory"
    SETUP_FAILED = "setup_failed"
    CANCELLED = "cancelled"  # by somebody else than the driver

    @property
    def is_live(self) -> bool:
        return self in (JobState.PENDING, JobState.RUNNING)


class Ending(StrEnum):
    """Why a study is over, or rests."""

    TRIALS = "all trials are done"
    GPU_HOURS = "the GPU-hours are spent"
    WALLTIME = "the walltime is over"
    SPACE = "no new recipe that fits the limit is left"
    STOPPED = "stopped on request"


@dataclass(frozen=True)
class TrialSpec:
    """A proposed trial: everything that the worker needs, and what Optuna needs to hear of it again."""

    number: int
    trainer: str  # module:function
    recipe: dict[str, Any]
    params: dict[str, Any]  # as Optuna proposed them
    limit_seconds: float
    stop_at: float | None  # accuracy that ends the run, for goal "speed"
    predicted_seconds: float | None  # of the whole trial, None before anything was timed
    wants_calibration: bool = False  # too little is known of its pace: its worker times a few steps
    alternatives: tuple[dict[str, Any], ...] = ()  # recipes of which as little is known; timed with it
    stop_hopeless: bool = False  # once its learning curve cannot reach `stop_at` any more
    code: str = ""  # hash of the code that its latest attempt imports; empty in runs without a snapshot

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TrialSpec:
        """Without what it does not know: a run's jobs go on with the code of its launch, under a newer driver."""
        known = {field.name for field in fields(cls)} & data.keys()
        return cls(**{name: data[name] for name in known} | {"alternatives": tuple(data.get("alternatives", ()))})


@dataclass(frozen=True)
class Outcome:
    """How a trial ended (result.json). Seconds are cumulative over attempts."""

    state: TrialState
    attempt: int
    epochs: int = 0
    accuracy: float | None = None
    test_accuracy: float | None = None
    train_seconds: float = 0.0
    wall_seconds: float = 0.0
    eval_seconds: float = 0.0
    load_seconds: float = 0.0
    device: str = ""
    host: str = ""
    detail: str = ""
    traceback: str = ""  # its last lines, where the code raised an exception
    metrics: dict[str, float] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Outcome:
        return cls(**{**data, "state": TrialState(data["state"])})


@dataclass(frozen=True)
class Attempt:
    """One launch of a trial."""

    trial: int
    number: int  # 1 for the first
    needs_seconds: float  # of a lane's time, with the margin of a request


@dataclass(frozen=True)
class Bundle:
    """The trials handed to one job. Its lanes draw from them, in this order."""

    name: str
    attempts: tuple[Attempt, ...]
    request_seconds: float
    submitted_at: float  # time.time()
    host: str  # where it was submitted
    lanes: int = 1
    gpus: int = 1  # that the job is charged for
    mem_gb: float | None = None  # of each lane; None where nothing is asked for
    is_closed: bool = True  # no further trial will be handed to it
    code: str = ""  # hash of what the job imports; empty without a snapshot

    @property
    def committed_seconds(self) -> float:
        """GPU-seconds that it may cost."""
        return self.request_seconds * self.gpus

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Bundle:
        return cls(**{**data, "attempts": tuple(Attempt(**attempt) for attempt in data["attempts"])})


@dataclass(frozen=True)
class JobEnd:
    """How a job ended (ended.json) and the GPU-seconds it is charged.

    Trials of the bundle that are in neither list have a result, or were never begun: no attempt is held against
    them.
    """

    state: JobState
    gpu_seconds: float
    failed: tuple[int, ...] = ()  # trials that died with it
    overran: tuple[int, ...] = ()  # trials that need more time than it had

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> JobEnd:
        lists = {name: tuple(data.get(name, ())) for name in ("failed", "overran")}
        return cls(JobState(data["state"]), data["gpu_seconds"], **lists)


@dataclass(frozen=True)
class Job:
    """A launched bundle and, once it is gone, how it ended."""

    bundle: Bundle
    end: JobEnd | None = None


@dataclass(frozen=True)
class TrialRecord:
    """A trial as its files tell."""

    spec: TrialSpec
    state: TrialState = TrialState.QUEUED
    attempts: int = 0  # launches so far
    failures: tuple[JobState, ...] = ()  # how the jobs ended with which it died, without a result
    in_flight: bool = False  # launched, and its job is not known to have ended
    epochs: tuple[EpochReport, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    outcome: Outcome | None = None

    @property
    def number(self) -> int:
        return self.spec.number

    @property
    def calibrating_seconds(self) -> float:
        """What its calibration took, which a trial without one does not need."""
        return sum(calibration.took_seconds for calibration in self.calibrations)

    @property
    def accuracy(self) -> float | None:
        """Final validation accuracy, or the last epoch's while it runs."""
        if self.outcome is not None:
            return self.outcome.accuracy
        return self.epochs[-1].validation_accuracy if self.epochs else None

    @property
    def train_seconds(self) -> float:
        if self.outcome is not None:
            return self.outcome.train_seconds
        return self.epochs[-1].train_seconds if self.epochs else 0.0


def check_transition(old: TrialState, new: TrialState) -> None:
    """Raise ValueError unless a trial may go from `old` to `new`: a final state is never left."""
    if old.is_final and old != new:
        raise ValueError(f"a trial cannot go from {old} to {new}")


def as_json(record: TrialSpec | Outcome | Bundle | JobEnd | EpochReport | Calibration) -> dict[str, Any]:
    """A record as JSON-ready values (enums are strings already)."""
    return asdict(record)
