"""How much time to ask for: what a trial will need, 19 times of 20, and no more than its limit."""

from __future__ import annotations

from sweep.records import JOB_OVERHEAD_SECONDS, TrialRecord
from sweep.timings import batch_size_of, setting_of, traits_of
from sweep.walltime import WalltimeModels

SLACK_SECONDS = 5.0  # a trial of a second may well take three
RAISE = 1.5  # the next request, after one that did not suffice


def needed_seconds(
    record: TrialRecord, models: WalltimeModels, used_seconds: float, overran_seconds: float | None
) -> float:
    """Seconds of a lane to ask for, without the job's start and end.

    `used_seconds` is what earlier attempts of the trial have used; `overran_seconds` the longest that proved too
    little, if any. A trial is never asked for more than its limit leaves.
    """
    left = max(0.0, record.spec.limit_seconds - used_seconds)
    epochs, recipe = record.spec.recipe.get("epochs"), record.spec.recipe
    model = models.get(setting_of(recipe))
    if model is None or not isinstance(epochs, int):
        return left
    needed = model.enough_seconds(batch_size_of(recipe), max(0, epochs - len(record.epochs)), traits_of(recipe))
    if overran_seconds is not None:
        needed = max(needed, RAISE * overran_seconds)
    return min(left, needed + SLACK_SECONDS)


def job_seconds(needed_seconds: float, limit_seconds: float) -> float:
    """What a job asks for whose one trial needs so much, and may take no more than its limit."""
    return min(limit_seconds, needed_seconds + SLACK_SECONDS) + JOB_OVERHEAD_SECONDS
