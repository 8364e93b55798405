"""Warm start: the trials of other studies, in the terms of a new one, as history to learn from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from sweep import files
from sweep.durations import show_percent
from sweep.errors import StudyFileError
from sweep.paths import RunPaths
from sweep.records import TrialRecord, TrialSpec, TrialState, as_json
from sweep.run import find_run, open_run
from sweep.search.proposals import EPOCHS_SHARE, encode
from sweep.space import Budgeted, Choices, Ordinal, Parameter
from sweep.spec import StudySpec
from sweep.timings import batch_size_of, setting_of, timings_of, traits_of
from sweep.trainables import config_class
from sweep.walltime import WalltimeModels, fit_all

# What two recipes of one search may differ in without being different recipes.
INCIDENTAL = {"seed", "data_dir", "device", "test", "test_epochs", "loss_steps", "cuda_graphs", "tensorboard"}
ENOUGH_TO_JUDGE = 10  # trials, before a target is called out of reach
OUT_OF_REACH = 0.05  # of accuracy, above the best that they reached


@dataclass(frozen=True)
class WarmStart:
    """What another study is worth to this one."""

    study: str
    history: tuple[TrialRecord, ...]  # compatible ones, numbered -1, -2, ...
    refused: Mapping[str, int]  # why others are not, and how many

    def describe(self) -> str:
        """A line for people."""
        left_out = "; ".join(f"{count} left out: {reason}" for reason, count in self.refused.items())
        return f"{len(self.history)} trials of {self.study}" + (f" ({left_out})" if left_out else "")


def warm_start(
    spec: StudySpec, study: str, other: StudySpec, trials: Sequence[TrialRecord], first_number: int = -1
) -> WarmStart:
    """The trials of `other` as history of `spec`.

    Raises:
        StudyFileError: the two train with different trainers or on different data.
    """
    if other.trainer != spec.trainer:
        raise StudyFileError(
            f"a warm start needs the same trainer; {study} has {other.trainer}, this study {spec.trainer}"
        )
    ours, theirs = (_complete(spec, each.fixed).get("dataset") for each in (spec, other))
    if ours != theirs:
        raise StudyFileError(
            f"a warm start needs the same data set; {study} trained on {theirs}, this study on {ours}; "
            "leave --from out, or start from another study"
        )
    models = fit_all(timing for record in trials for timing in timings_of(record))
    history: list[TrialRecord] = []
    refused: Counter[str] = Counter()
    for record in trials:
        reason = _mismatch(spec, record)
        if reason:
            refused[reason] += 1
        else:
            history.append(_translated(spec, record, models, first_number - len(history)))
    return WarmStart(study, tuple(history), dict(refused))


def gather(spec: StudySpec, studies: Sequence[str], runs: Path) -> list[WarmStart]:
    """What runs, by name or path, are worth to a new study.

    Raises:
        RunFolderError: there is no such run.
        StudyFileError: a run has another trainer or data set.
    """
    found: list[WarmStart] = []
    for name in studies:
        run = open_run(find_run(name, runs))
        first = -1 - sum(len(start.history) for start in found)
        trials = [run.trials[number] for number in sorted(run.trials)]
        found.append(warm_start(spec, run.spec.name, run.spec, trials, first))
    return found


def save_history(paths: RunPaths, starts: Sequence[WarmStart]) -> None:
    """Write the history into the run folder, where every driver of the run finds it."""
    for record in (record for start in starts for record in start.history):
        assert record.outcome is not None
        facts = {
            "spec": as_json(record.spec),
            "outcome": as_json(record.outcome),
            "epochs": [as_json(epoch) for epoch in record.epochs],
        }
        files.append_line(paths.history, facts)


def out_of_reach(spec: StudySpec, history: Sequence[TrialRecord]) -> str:
    """What to say of a target that the history does not come near; empty if there is nothing to say."""
    reached = [record.accuracy for record in history if record.accuracy is not None]
    if len(reached) < ENOUGH_TO_JUDGE or max(reached) + OUT_OF_REACH >= spec.target:
        return ""
    return (
        f"target {show_percent(spec.target)} looks out of reach: the best of {len(reached)} earlier trials got to "
        f"{max(reached):.2%}; lower the target, raise limits.trial, or widen the space"
    )


def _complete(spec: StudySpec, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe with the trainer's defaults, where pydantic knows them."""
    config = config_class(spec.trainer)
    if config is None or not issubclass(config, BaseModel):
        return dict(recipe)
    defaults = {
        name: field.get_default() for name, field in config.model_fields.items() if not field.is_required()
    }
    return {**defaults, **recipe}


def _mismatch(spec: StudySpec, record: TrialRecord) -> str:
    """Why a trial does not count here; empty if it does."""
    if not record.state.is_final or record.state.is_failure or record.outcome is None:
        return "no measurement" if record.state.is_final else "not finished"
    old = _complete(spec, record.spec.recipe)
    here = _complete(spec, spec.fixed)
    for key, parameter in spec.space.items():
        if parameter.applies(old) and not (key in old and parameter.accepts(old[key])):
            return f"{key} = {old.get(key)!r} is not in this space"
    for key in sorted((old.keys() | here.keys()) - spec.space.keys() - INCIDENTAL):
        if old.get(key) != here.get(key):
            return f"{key} is {old.get(key)!r} there, {here.get(key)!r} here"
    return _other_end(spec, record)


def _other_end(spec: StudySpec, record: TrialRecord) -> str:
    """Why a trial would have ended otherwise under this study's target and limit."""
    stop_at, limit = record.spec.stop_at, record.spec.limit_seconds
    if record.state == TrialState.TARGET and stop_at is not None and stop_at < spec.target:
        return f"stopped at its target of {show_percent(stop_at)}"
    if record.state == TrialState.PRUNED and stop_at != spec.target:
        return "stopped early for another target"
    if record.state == TrialState.DEADLINE and limit < spec.limits.trial:
        return f"ran out of its limit of {limit:g} s"
    if record.outcome is not None and record.outcome.wall_seconds > spec.limits.trial:
        return f"took longer than {spec.limits.trial:g} s"
    return ""


def _translated(spec: StudySpec, record: TrialRecord, models: WalltimeModels, number: int) -> TrialRecord:
    """The trial with the parameters that this study's sampler would have proposed it by."""
    old = _complete(spec, record.spec.recipe)
    searched = {
        key: old[key] if key in old and parameter.accepts(old[key]) else _any_value(parameter)
        for key, parameter in spec.space.items()
    }
    recipe = {key: value for key, value in searched.items() if spec.space[key].applies(old)}
    params = encode(spec, searched)
    told = record.spec.recipe  # as it was timed, without what was filled in
    epochs, model = spec.space.get("epochs"), models.get(setting_of(told))
    if isinstance(epochs, Budgeted) and model is not None:
        fits = model.fitting_epochs(batch_size_of(told), spec.limits.trial, traits_of(told))
        most = max(recipe["epochs"], min(epochs.up_to, fits))
        params[EPOCHS_SHARE] = math.log(recipe["epochs"]) / math.log(most) if most > 1 else 0.0
    facts = as_json(record.spec) | {"number": number, "params": params, "recipe": {**spec.fixed, **recipe}}
    return replace(record, spec=TrialSpec(**facts), in_flight=False)


def _any_value(parameter: Parameter) -> Any:
    """A value for a key that does not apply: the sampler's space is static."""
    if isinstance(parameter, Choices):
        return parameter.choices[0]
    if isinstance(parameter, Ordinal):
        return parameter.ranks()[0]
    return 1 if isinstance(parameter, Budgeted) else parameter.low
