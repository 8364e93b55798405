"""StudySpec: a study file, read and checked whole."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from sweep.durations import Seconds
from sweep.errors import StudyFileError
from sweep.records import JOB_OVERHEAD_SECONDS
from sweep.space import Budgeted, Choices, Ordinal, Parameter, Range
from sweep.trainables import OURS, build_config, config_class, recipe_keys

TRAINER_PATTERN = r"^[\w.]+:\w+$"

PARAMETER: TypeAdapter[Parameter] = TypeAdapter(Parameter)


class Limits(BaseModel):
    """What a study may use. The first limit that is reached ends it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: int = Field(ge=1, description="how many trials to run")
    trial: Seconds = Field(description="walltime of one trial, start-up and evaluation included")
    walltime: Seconds | None = Field(None, description="elapsed time of the study while it is driven")
    gpu_hours: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="GPU-hours of all jobs; slot-hours where there is no GPU"
    )

    @model_validator(mode="after")
    def _check(self) -> Limits:
        least = self.trial + JOB_OVERHEAD_SECONDS
        rule = f"must cover one trial of {self.trial:g} s and {JOB_OVERHEAD_SECONDS:g} s for its start and end"
        problems = []
        if self.walltime is not None and self.walltime < least:
            problems.append(f"walltime {rule}, {least:g} s in all; got {self.walltime:g} s")
        if self.gpu_hours is not None and self.gpu_hours * 3600 < least:
            problems.append(f"gpu_hours {rule}, {least / 3600:.4g} in all; got {self.gpu_hours:g}")
        if problems:
            raise ValueError("\n".join(problems))
        return self


class StudySpec(BaseModel):
    """One search: its goal, limits, fixed keys and space."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="names the run folder")
    description: str = Field("", description="a sentence for people")
    goal: Literal["speed", "accuracy", "both"] = Field(
        description="speed: fewest training seconds to the target; accuracy: the most accurate within the limit; "
        "both: the two in turn, for the front between them"
    )
    target: float = Field(gt=0, le=1, description="the validation accuracy to reach, in (0, 1]")
    seed: int = Field(
        0, ge=0, lt=2**31, description="of the proposals; trial n trains with seed + n unless seed is fixed"
    )
    sampler: str = Field(
        "auto",
        pattern=r"^\w+$",
        description="auto: curves where recipes have epochs, else gp, after 300 trials tpe; or curves, gp, tpe, "
        "random, qmc, any of Optuna's",
    )
    sampler_options: dict[str, Any] = Field(default_factory=dict, description="arguments of Optuna's sampler")
    pruner: str = Field(
        "", pattern=r"^\w*$", description="goal accuracy: stops trials early; median, hyperband, any of Optuna's"
    )
    pruner_options: dict[str, Any] = Field(default_factory=dict, description="arguments of Optuna's pruner")
    stop_hopeless: bool = Field(
        True, description="goals speed and both: stop a trial whose learning curve cannot reach the target"
    )
    storage: str = Field("", description="an Optuna storage URL; empty: journal.log in the run folder")
    trainer: str = Field(OURS, pattern=TRAINER_PATTERN, description="the training function, module:function")
    retries: int = Field(2, ge=0, description="new attempts for a trial whose process died without a result")
    limits: Limits = Field(description="what the study may use")
    fixed: dict[str, Any] = Field(default_factory=dict, description="keys of the recipe that are not searched")
    space: dict[str, Parameter] = Field(min_length=1, description="keys of the recipe that are searched")
    start: tuple[dict[str, Any], ...] = Field(
        (), description="recipes to try first; the sampler proposes the searched keys that they leave out"
    )

    @model_validator(mode="after")
    def _check(self) -> StudySpec:
        problems = [*condition_mistakes(self.space, self.fixed), *start_mistakes(self.start, self.space)]
        if self.sampler == "auto" and self.sampler_options:
            problems.append('sampler_options are of one sampler; sampler = "auto" is several')
        if self.pruner and self.goal != "accuracy":
            problems.append(
                f"pruner = {self.pruner} goes with goal accuracy, not {self.goal}: trials for speed end at the "
                "target; leave it out: stop_hopeless does its work"
            )
        if self.pruner_options and not self.pruner:
            problems.append("pruner_options are of a pruner; name one")
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def takes_seed(self) -> bool:
        """Whether the driver gives each trial its own training seed."""
        keys = recipe_keys(config_class(self.trainer))
        return "seed" not in self.fixed and "seed" not in self.space and (keys is None or "seed" in keys)


def condition_mistakes(space: Mapping[str, Parameter], fixed: Mapping[str, Any]) -> list[str]:
    """What is wrong with the `when` of searched keys."""
    problems = []
    for key, parameter in space.items():
        for other, values in (parameter.when or {}).items():
            where = f"space.{key}.when.{other}"
            if key == "epochs" and isinstance(parameter, Budgeted):
                problems.append(f"{where}: epochs with up_to are part of every recipe; leave `when` out")
            elif other in space and space[other].when is not None:
                problems.append(f"{where}: a condition must be on a key that has none itself; {other} has one")
            elif other in space:
                odd = [value for value in values if not space[other].accepts(value)]
                problems += [f"{where}: {value!r} is no value of space.{other}" for value in odd]
            elif other not in fixed:
                problems.append(f"{where}: {other} is neither in [space] nor in [fixed]")
    return problems


def start_mistakes(start: tuple[dict[str, Any], ...], space: Mapping[str, Parameter]) -> list[str]:
    """What is wrong with the recipes to start with."""
    problems = []
    for number, recipe in enumerate(start, 1):
        for key, value in recipe.items():
            if key not in space:
                problems.append(f"start {number}: {key} is not searched; searched are {', '.join(space)}")
            elif not space[key].accepts(value):
                problems.append(f"start {number}: {key} = {value!r} is not in space.{key}")
    return problems


def recipe_mistakes(data: Mapping[str, Any]) -> list[str]:
    """What the trainer says to the recipes of a study file, whatever else is wrong with the file.

    `data` is the file as read; parts of it that break the rules of their own form are left out.
    """
    fixed = data.get("fixed", {})
    space = _readable(data.get("space", {}))
    name = data.get("trainer", OURS)
    if not isinstance(fixed, dict) or not isinstance(name, str) or not re.match(TRAINER_PATTERN, name):
        return []
    problems = [f"{key} is in both [fixed] and [space]" for key in fixed if key in space]
    problems += [
        f"space.{key}: up_to is for epochs only"
        for key, parameter in space.items()
        if isinstance(parameter, Budgeted) and key != "epochs"
    ]
    problems += [
        f"fixed.{key}: a recipe holds text, numbers, true or false, and lists of them; got {value!r}"
        for key, value in fixed.items()
        if not _is_plain(value)
    ]
    try:
        config = config_class(name)
    except StudyFileError as error:
        return [*problems, str(error)]
    keys = recipe_keys(config)
    unknown = sorted((fixed.keys() | space.keys()) - keys) if keys is not None else []
    problems += [f"{key} is no key of {name}; it knows {', '.join(sorted(keys or ()))}" for key in unknown]
    known = {key: value for key, value in fixed.items() if key not in unknown and _is_plain(value)}
    unread = set(data["space"]) - space.keys() if isinstance(data.get("space"), dict) else set()
    searched = {key: parameter for key, parameter in space.items() if key not in unknown}
    return problems + _refusals(name, config, known, searched, unread)


def _readable(space: Any) -> dict[str, Parameter]:
    found: dict[str, Parameter] = {}
    for key, value in space.items() if isinstance(space, dict) else ():
        with contextlib.suppress(ValidationError):
            found[key] = PARAMETER.validate_python(value)
    return found


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    return isinstance(value, bool | int | float | str)


def _refusals(
    name: str,
    config: type[Any] | None,
    fixed: dict[str, Any],
    space: dict[str, Parameter],
    unread: set[str],
) -> list[str]:
    """What the trainer's own rules say to the corners of the space, each key varied by itself.

    Keys of the space that could not be read are missing from the recipes, which is no news.
    """
    base = {**fixed, **{key: corners(parameter)[0] for key, parameter in space.items()}}
    problems: dict[str, None] = {}  # in order, each once
    recipes = [{**base, key: value} for key, parameter in space.items() for value in corners(parameter)]
    for recipe in recipes or [base]:
        try:
            build_config(config, recipe)
        except ValidationError as error:
            for mistake in error.errors():
                where = ".".join(str(part) for part in mistake["loc"])
                if where in unread:
                    continue
                table = "space" if where in space else "fixed"
                problems[f"{table}.{where}: {mistake['msg']}; got {mistake['input']!r}"] = None
        except Exception as error:  # noqa: BLE001  # the constructor is the user's code
            if unread:
                continue
            problems[f"{name} refuses {recipe}: {type(error).__name__}: {error}"] = None
    return list(problems)


def corners(parameter: Choices | Range | Ordinal | Budgeted) -> list[Any]:
    """The values that decide whether a trainer accepts a parameter: all choices, both ends of a range."""
    if isinstance(parameter, Choices):
        return list(parameter.choices)
    if isinstance(parameter, Range):
        return [parameter.low, parameter.high]
    if isinstance(parameter, Ordinal):
        ranks = parameter.ranks()
        return [ranks[0], ranks[-1]]
    return [1, parameter.up_to]
