"""Tables of a run as pandas DataFrames. Pure: records in, frames out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from sweep.failures import POLICIES, tell
from sweep.records import TrialRecord, TrialState
from sweep.spec import StudySpec
from sweep.summary import reached
from sweep.view import recipe_text

TRIAL_COLUMNS = [
    "trial",
    "state",
    "reached",
    "accuracy",
    "test_accuracy",
    "train_seconds",
    "wall_seconds",
    "predicted_seconds",
    "epochs",
    "attempts",
    "device",
    "host",
    "code",
    "recipe",
    "reason",
    "on_front",
]


BY_THE_DRIVER = {policy.state for policy in POLICIES.values()}


@dataclass(frozen=True)
class Leaderboards:
    """Trials at or above the target within the limit, ranked twice, and the others with the reason."""

    top_accuracy: pd.DataFrame  # columns of _board
    top_speed: pd.DataFrame
    front: pd.DataFrame  # of those, the trials that no other beats in both, fastest first
    others: pd.DataFrame  # trial, accuracy, train_seconds, reason, recipe


def trials_table(spec: StudySpec, trials: Iterable[TrialRecord]) -> pd.DataFrame:
    """One row per trial: TRIAL_COLUMNS, then a `recipe.<key>` column per key and `metrics.<name>` per metric."""
    records = list(trials)
    front = pareto_front(record for record in records if reached(spec, record))
    rows = [_row(spec, record, on_front=record.number in front) for record in records]
    return pd.DataFrame(rows, columns=None if rows else TRIAL_COLUMNS)


def pareto_front(records: Iterable[TrialRecord]) -> set[int]:
    """The measured trials than which no other is both more accurate and as fast, or faster and as accurate."""
    measured = [record for record in records if record.state.is_measured and record.accuracy is not None]
    best, front = -1.0, set()
    for record in sorted(measured, key=lambda record: (record.train_seconds, -(record.accuracy or 0.0))):
        if (record.accuracy or 0.0) > best:
            best = record.accuracy or 0.0
            front.add(record.number)
    return front


def _row(spec: StudySpec, record: TrialRecord, *, on_front: bool) -> dict[str, object]:
    outcome = record.outcome
    return {
        "trial": record.number,
        "state": record.state.value,
        "reached": reached(spec, record),
        "accuracy": record.accuracy,
        "test_accuracy": outcome.test_accuracy if outcome else None,
        "train_seconds": record.train_seconds,
        "wall_seconds": outcome.wall_seconds if outcome else None,
        "predicted_seconds": record.spec.predicted_seconds,
        "epochs": outcome.epochs if outcome else len(record.epochs),
        "attempts": record.attempts,
        "device": outcome.device if outcome else "",
        "host": outcome.host if outcome else "",
        "code": record.spec.code,
        "recipe": describe_recipe(record),
        "reason": reason(spec, record),
        "on_front": on_front,
        **{f"recipe.{key}": value for key, value in record.spec.recipe.items()},
        **{f"metrics.{name}": value for name, value in (outcome.metrics if outcome else {}).items()},
    }


def describe_recipe(record: TrialRecord) -> str:
    """The searched keys in one line, epochs first."""
    planned = record.spec.recipe.get("epochs")
    done = record.outcome.epochs if record.outcome else len(record.epochs)
    plural = "" if planned == 1 else "s"
    trained = f"{planned} epoch{plural}" if done == planned else f"{done} of {planned} epoch{plural}"
    return ", ".join(part for part in (trained if planned is not None else "", recipe_text(record)) if part)


def reason(spec: StudySpec, record: TrialRecord) -> str:
    """Why a trial is not ranked; empty for one that is."""
    if reached(spec, record):
        return ""
    if not record.state.is_final:
        return f"still {record.state.value}"
    if record.state.is_measured and (record.accuracy or 0.0) >= spec.target:
        return f"at the target, but after more than {spec.limits.trial:g} s of training"
    words = {
        TrialState.DEADLINE: f"below the target when its {spec.limits.trial:g} s were over",
        TrialState.COMPLETED: "below the target after its last epoch",
        TrialState.PRUNED: "stopped early, below the target",
        TrialState.DIVERGED: "the loss diverged",
        TrialState.OUT_OF_MEMORY: "out of memory",
        TrialState.FAILED: "the code failed",
    }
    if record.state in BY_THE_DRIVER:  # whose detail says it all
        return (record.outcome.detail if record.outcome else "") or record.state.words
    detail = record.outcome.detail if record.outcome and record.state != TrialState.DEADLINE else ""
    return words.get(record.state, record.state.value) + (f": {detail}" if detail else "")


def mishaps(trials: Iterable[TrialRecord]) -> pd.DataFrame:
    """The trials that died with a job, once at least: Trial, State, Attempts, What happened."""
    rows = [
        {
            "Trial": record.number,
            "State": record.state.words,
            "Attempts": record.attempts,
            "What happened": _mishap(record),
        }
        for record in trials
        if record.failures
    ]
    return pd.DataFrame(rows, columns=["Trial", "State", "Attempts", "What happened"])


def _mishap(record: TrialRecord) -> str:
    """What its jobs died of and, where the last word is another, what its result says."""
    told = tell(record.failures)
    detail = record.outcome.detail if record.outcome and record.state.is_failure else ""
    return ", ".join(part for part in (told, detail if detail and detail not in told else "") if part)


def leaderboards(trials: pd.DataFrame) -> Leaderboards:
    """Rank the trials that reached the target; ties go to the other measure, then to the earlier trial."""
    if trials.empty:
        empty = pd.DataFrame(columns=["Rank", "Trial", "Accuracy", "Speed (seconds)", "Recipe"])
        return Leaderboards(
            empty, empty, empty, pd.DataFrame(columns=["Trial", "Accuracy", "Seconds", "Reason", "Recipe"])
        )
    ranked = trials[trials["reached"]]
    others = trials[~trials["reached"]].sort_values("accuracy", ascending=False, na_position="last", kind="stable")
    return Leaderboards(
        _board(ranked.sort_values(["accuracy", "train_seconds", "trial"], ascending=[False, True, True])),
        _board(ranked.sort_values(["train_seconds", "accuracy", "trial"], ascending=[True, False, True])),
        _board(trials[trials["on_front"]].sort_values(["train_seconds", "trial"])),
        others[["trial", "accuracy", "train_seconds", "reason", "recipe"]]
        .rename(columns={"train_seconds": "seconds"})
        .rename(columns=str.capitalize)
        .reset_index(drop=True),
    )


def _board(ranked: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Rank": range(1, len(ranked) + 1),
            "Trial": ranked["trial"].to_numpy(),
            "Accuracy": ranked["accuracy"].to_numpy(),
            "Speed (seconds)": ranked["train_seconds"].to_numpy(),
            "Recipe": ranked["recipe"].to_numpy(),
        }
    )
