"""A run in numbers: what `status` and the live view show. Pure: records in, a frozen summary out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sweep.ledger import Ledger
from sweep.records import Job, TrialRecord, TrialState
from sweep.spec import StudySpec


@dataclass(frozen=True)
class Summary:
    """Where a study stands."""

    name: str
    goal: str
    target: float
    trials_wanted: int
    states: dict[str, int]  # how many trials are in each state
    retries: int
    gpu_hours_budget: float | None
    gpu_hours_spent: float
    gpu_hours_in_flight: float
    jobs_running: int
    jobs_waiting: int  # in the queue, or for a slot
    best_accuracy: float | None
    best_accuracy_trial: int | None
    fastest_seconds: float | None  # to the target, in training seconds
    fastest_trial: int | None
    eta_seconds: float | None  # None before the first trial is done, and when nothing is left

    @property
    def done(self) -> int:
        """Trials in a final state."""
        return sum(count for state, count in self.states.items() if TrialState(state).is_final)


def reached(spec: StudySpec, record: TrialRecord) -> bool:
    """Whether a final trial counts: at or above the target, trained within the trial limit."""
    accuracy = record.accuracy
    return (
        record.state.is_measured
        and accuracy is not None
        and accuracy >= spec.target
        and record.train_seconds <= spec.limits.trial
    )


def summarize(
    spec: StudySpec, trials: Mapping[int, TrialRecord], ledger: Ledger, slots: int, jobs: Iterable[Job] = ()
) -> Summary:
    """Sum up a run; `slots` is how many trials run at once, for the time that is left."""
    live = [job.bundle for job in jobs if job.end is None]
    begun = [any(_has_begun(trials.get(attempt.trial)) for attempt in bundle.attempts) for bundle in live]
    final = [record for record in trials.values() if record.state.is_final]
    measured = [record for record in final if record.accuracy is not None and record.state.is_measured]
    best = max(measured, key=lambda record: record.accuracy or 0.0, default=None)
    fastest = min(
        (record for record in final if reached(spec, record)),
        key=lambda record: record.train_seconds,
        default=None,
    )
    return Summary(
        name=spec.name,
        goal=spec.goal,
        target=spec.target,
        trials_wanted=spec.limits.trials,
        states=dict(Counter(record.state.value for record in trials.values())),
        retries=sum(
            min(len(record.failures), record.attempts - 1) for record in trials.values() if record.attempts
        ),
        gpu_hours_budget=spec.limits.gpu_hours,
        gpu_hours_spent=ledger.spent_seconds / 3600,
        gpu_hours_in_flight=ledger.committed_seconds / 3600,
        jobs_running=sum(begun),
        jobs_waiting=len(begun) - sum(begun),
        best_accuracy=best.accuracy if best else None,
        best_accuracy_trial=best.number if best else None,
        fastest_seconds=fastest.train_seconds if fastest else None,
        fastest_trial=fastest.number if fastest else None,
        eta_seconds=_eta_seconds(spec, trials, final, min(slots, sum(bundle.lanes for bundle in live) or slots)),
    )


def _has_begun(record: TrialRecord | None) -> bool:
    return record is not None and record.state != TrialState.QUEUED


def _eta_seconds(
    spec: StudySpec, trials: Mapping[int, TrialRecord], final: list[TrialRecord], slots: int
) -> float | None:
    """Mean seconds of the finished trials times the rounds that are left, less what the running ones have done."""
    left = spec.limits.trials - len(final)
    walls = [record.outcome.wall_seconds for record in final if record.outcome is not None]
    if left <= 0 or not walls:
        return None
    mean = sum(walls) / len(walls)
    running = [record for record in trials.values() if record.state == TrialState.RUNNING]
    begun = sum(min(mean, record.epochs[-1].wall_seconds if record.epochs else 0.0) for record in running)
    return max(0.0, left * mean - begun) / max(1, slots)
