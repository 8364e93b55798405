"""Between a recipe and what Optuna sees of it: distributions, decoding, and the value it hears."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from sweep.curves import expected_accuracy
from sweep.records import TrialRecord, TrialState
from sweep.space import Budgeted, Choices, Ordinal, Range
from sweep.spec import StudySpec
from sweep.timings import SETTING, batch_size_of, setting_of, traits_of
from sweep.walltime import UNTIMED_EPOCHS, WalltimeModels

MISS_WEIGHT = 5.0  # how much log-seconds a whole unit of missing accuracy is worth

EPOCHS_SHARE = "epochs_share"  # Optuna's name for the epochs of a recipe

Params = dict[str, Any]
Goal = Literal["speed", "accuracy"]  # what one trial runs for; a study may have both


def distributions(spec: StudySpec) -> dict[str, BaseDistribution]:
    """The static space that Optuna searches: epochs as a share, ordinals by rank."""
    found: dict[str, BaseDistribution] = {}
    for key, parameter in spec.space.items():
        if isinstance(parameter, Choices):
            found[key] = CategoricalDistribution(parameter.choices)
        elif isinstance(parameter, Budgeted):
            found[EPOCHS_SHARE] = FloatDistribution(0.0, 1.0)
        elif isinstance(parameter, Ordinal):
            found[f"{key}_rank"] = IntDistribution(0, len(parameter.ranks()) - 1)
        elif parameter.is_whole:
            found[key] = IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
        else:
            found[key] = FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    return found


def decode(
    spec: StudySpec,
    params: Params,
    models: WalltimeModels,
    limit_seconds: float,
    untimed_epochs: int = UNTIMED_EPOCHS,
) -> Params | None:
    """The recipe that Optuna's parameters stand for; None if not even one epoch fits the limit.

    Epochs are `emax ** share`: a share means the same on a slow and on a quick batch size, and the space
    keeps its shape while the walltime model learns.
    """
    recipe = dict(spec.fixed)
    for key, parameter in sorted(spec.space.items(), key=lambda item: item[1].when is not None):
        if not parameter.applies(recipe):  # the sampler's value for it goes nowhere, so the space stays static
            continue
        if isinstance(parameter, Ordinal):
            recipe[key] = parameter.ranks()[params[f"{key}_rank"]]
        elif isinstance(parameter, Choices | Range):
            recipe[key] = params[key]
    epochs = spec.space.get("epochs")
    if isinstance(epochs, Budgeted):
        model = models.get(setting_of(recipe))
        emax = epochs.up_to if model else min(epochs.up_to, untimed_epochs)
        if model is not None:
            emax = min(emax, model.fitting_epochs(batch_size_of(recipe), limit_seconds, traits_of(recipe)))
        if emax < 1:
            return None
        recipe["epochs"] = share_to_epochs(params[EPOCHS_SHARE], emax)
    return recipe


def share_to_epochs(share: float, emax: int) -> int:
    """Epochs for a share in [0, 1] of the epochs that fit: 1 for none, `emax` for all."""
    return round(math.pow(emax, share))


def encode(spec: StudySpec, start: Mapping[str, Any]) -> Params:
    """Optuna's parameters for a recipe to start with: those that it says something about.

    Epochs are the share that they are of `up_to`: decoded while less fits the limit, they become fewer.
    """
    params: Params = {}
    for key, value in start.items():
        parameter = spec.space[key]
        if isinstance(parameter, Ordinal):
            params[f"{key}_rank"] = parameter.ranks().index(value)
        elif isinstance(parameter, Budgeted):
            params[EPOCHS_SHARE] = math.log(value) / math.log(parameter.up_to) if parameter.up_to > 1 else 0.0
        else:
            params[key] = value
    return params


def predict(models: WalltimeModels, recipe: Params) -> tuple[float, float] | None:
    """Seconds that a recipe's trial is expected to take, and that will do; None before anything was timed."""
    model, epochs = models.get(setting_of(recipe)), recipe.get("epochs")
    if model is None or not isinstance(epochs, int):
        return None
    facts = batch_size_of(recipe), epochs, traits_of(recipe)
    return model.trial_seconds(*facts), model.enough_seconds(*facts)


def epoch_seconds(models: WalltimeModels, recipe: Params) -> float | None:
    """Seconds that an epoch of a recipe is expected to take; None before its network was timed."""
    model = models.get(setting_of(recipe))
    return None if model is None else model.epoch_seconds(batch_size_of(recipe), traits_of(recipe))


def untimed_recipes(
    spec: StudySpec, params: Params, recipe: Params, timed: frozenset[str] | None
) -> tuple[Params, ...]:
    """A recipe that has words outside of `timed`, and others with other such words.

    Each of the others differs in one choice of the space. Nothing if the recipe's own words were all timed.
    `timed` is None for a network of which nothing was.
    """
    own = frozenset(traits_of(recipe))
    if timed is not None and own <= timed:
        return ()
    known, found = own | (timed or frozenset()), [recipe]
    for key, parameter in spec.space.items():
        for choice in parameter.choices if isinstance(parameter, Choices) and key not in SETTING else ():
            other = decode(spec, {**params, key: choice}, {}, spec.limits.trial)
            if other is not None and not known.issuperset(traits_of(other)):
                found.append(other)
    return tuple(found)


def has_epochs(spec: StudySpec) -> bool:
    """Whether every recipe of the study has a number of epochs."""
    searched = spec.space.get("epochs")
    match searched:
        case None:
            return type(spec.fixed.get("epochs")) is int
        case Choices(choices=values) | Ordinal(values=values) if values:
            is_whole = all(type(value) is int for value in values)
        case Range():
            is_whole = searched.is_whole
        case _:
            is_whole = True
    return is_whole and searched.when is None


def goals(spec: StudySpec) -> tuple[Goal, ...]:
    """What the study's trials run for, in turn."""
    return ("speed", "accuracy") if spec.goal == "both" else (spec.goal,)


def goal_of(spec: StudySpec, number: int) -> Goal:
    """What the trial of that number runs for."""
    turns = goals(spec)
    return turns[number % len(turns)]


def objective(spec: StudySpec, goal: Goal, accuracy: float, seconds_to_target: float | None) -> float:
    """The value that Optuna hears.

    speed (minimised): log seconds when the target was reached, else worse than any that did by the accuracy
    that is missing. accuracy (maximised): the validation accuracy.
    """
    if goal == "accuracy":
        return accuracy
    if seconds_to_target is not None:
        return math.log(max(seconds_to_target, 1e-3))
    return math.log(spec.limits.trial) + MISS_WEIGHT * max(0.0, spec.target - accuracy)


def seconds_to_target(spec: StudySpec, record: TrialRecord) -> float | None:
    """Training seconds to the first epoch at the target; None if there was none."""
    for epoch in record.epochs:
        if epoch.validation_accuracy is not None and epoch.validation_accuracy >= spec.target:
            return epoch.train_seconds
    return record.train_seconds if (record.accuracy or 0.0) >= spec.target else None


def was_cut_short(spec: StudySpec, record: TrialRecord) -> bool:
    """Missed the target within a limit below the study's, as the end of a budget leaves: no fair value."""
    missed = (record.accuracy or 0.0) < spec.target
    ended_early = record.state in (TrialState.DEADLINE, TrialState.PRUNED)
    cut = ended_early and record.spec.limit_seconds < spec.limits.trial
    return missed and cut


def verdict(spec: StudySpec, record: TrialRecord, goal: Goal) -> tuple[optuna.trial.TrialState, float | None]:
    """What a final trial is to Optuna. A bad recipe is a bad value, so that the sampler learns from it."""
    states = optuna.trial.TrialState
    if record.state.is_failure or was_cut_short(spec, record):
        return states.FAIL, None
    accuracy = record.accuracy if record.state.is_measured else 0.0
    if accuracy is None:
        return states.FAIL, None
    stopped = record.state == TrialState.PRUNED or (goal == "accuracy" and record.state == TrialState.TARGET)
    if stopped and record.epochs:  # it did not have the epochs that others had
        accuracy = expected_accuracy(record.epochs)
    reached = seconds_to_target(spec, record) if record.state.is_measured else None
    return states.COMPLETE, objective(spec, goal, accuracy, reached)


def attributes(record: TrialRecord) -> Params:
    """What a dashboard should show beside a trial's value."""
    return {"outcome": record.state.value, "accuracy": record.accuracy, "train_seconds": record.train_seconds}


def identity(spec: StudySpec, recipe: Params) -> str:
    """The same for two recipes that differ in nothing but the seed, unless seeds are what is searched."""
    own_seed = "seed" not in spec.space
    return repr(sorted((key, value) for key, value in recipe.items() if not (own_seed and key == "seed")))
