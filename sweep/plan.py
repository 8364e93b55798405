"""What a launch would do, worked out without launching anything."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from sweep.durations import show_percent, show_seconds
from sweep.profile import Profile
from sweep.records import JOB_OVERHEAD_SECONDS
from sweep.search import sample_recipes
from sweep.search.samplers import check_sampler, sampler_name
from sweep.space import Budgeted, Choices, Ordinal, Parameter
from sweep.spec import StudySpec
from sweep.walltime import UNTIMED_EPOCHS

SAMPLES = 5


@dataclass(frozen=True)
class Plan:
    """A study as it would run here. Costs are upper bounds: every trial at its limit."""

    name: str
    goal: str
    target: float
    sampler: str
    space: dict[str, str]
    combinations: int | None  # None if a key is continuous
    fixed: dict[str, Any]
    slots: int
    trial_limit_seconds: float
    trials_wanted: int
    trials_affordable: int  # within gpu_hours and walltime, were each to take its whole limit
    gpu_hours_at_most: float
    walltime_seconds_at_most: float
    samples: list[dict[str, Any]]
    warnings: list[str]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def facts(self) -> list[tuple[str, str]]:
        """Name and text of each line for the terminal."""
        size = "continuous" if self.combinations is None else f"{self.combinations:,} combinations"
        fixed = "  ".join(f"{key} = {value}" for key, value in self.fixed.items())
        trials = f"{self.trials_wanted} of at most {show_seconds(self.trial_limit_seconds)} each"
        if self.trials_affordable < self.trials_wanted:
            trials += f"; the budget surely covers {self.trials_affordable}, more if trials end early"
        return [
            ("goal", f"{self.goal}, target {show_percent(self.target)}"),
            *((f"space.{key}", text) for key, text in self.space.items()),
            ("", f"{size}, sampler {self.sampler}"),
            ("fixed", fixed or "-"),
            ("trials", trials),
            ("slots", f"{self.slots} at once"),
            ("costs", f"at most {self.gpu_hours_at_most:.3g} GPU-hours"),
            ("takes", f"at most {show_seconds(self.walltime_seconds_at_most)}"),
        ]


def make_plan(spec: StudySpec, profile: Profile) -> Plan:
    """Work out what a launch of `spec` on `profile` would do.

    Raises:
        StudyFileError: there is no such sampler, or it does not take its options.
    """
    check_sampler(spec)
    limits, slots = spec.limits, profile.slot_count()
    job_seconds = limits.trial + JOB_OVERHEAD_SECONDS
    affordable = limits.trials
    if limits.gpu_hours is not None:
        affordable = min(affordable, math.floor(limits.gpu_hours * 3600 / job_seconds))
    if limits.walltime is not None:
        affordable = min(affordable, slots * math.floor(limits.walltime / job_seconds))
    gpu_hours = limits.trials * job_seconds / 3600
    rounds_seconds = math.ceil(limits.trials / slots) * job_seconds
    counts = [_count(parameter) for parameter in spec.space.values()]
    return Plan(
        name=spec.name,
        goal=spec.goal,
        target=spec.target,
        sampler=sampler_name(spec, 0),
        space={key: _describe(parameter) for key, parameter in spec.space.items()},
        combinations=None if None in counts else math.prod(count for count in counts if count is not None),
        fixed=spec.fixed,
        slots=slots,
        trial_limit_seconds=limits.trial,
        trials_wanted=limits.trials,
        trials_affordable=affordable,
        gpu_hours_at_most=min(gpu_hours, limits.gpu_hours or gpu_hours),
        walltime_seconds_at_most=min(rounds_seconds, limits.walltime or rounds_seconds),
        samples=[recipe for recipe, _ in sample_recipes(spec, {}, SAMPLES)],
        warnings=_warnings(spec, slots, affordable),
    )


def _warnings(spec: StudySpec, slots: int, affordable: int) -> list[str]:
    found = []
    if "epochs" in spec.space and isinstance(spec.space["epochs"], Budgeted):
        found.append(
            f"nothing has been timed yet: the first proposals have at most {UNTIMED_EPOCHS} epochs, "
            "later ones as many as fit the trial limit (the samples show what the space allows)"
        )
    if affordable < min(slots, spec.limits.trials):
        found.append(f"the budget covers {affordable} trial(s) at a time, fewer than the {slots} slots")
    if spec.limits.trials < 20 and spec.sampler in ("auto", "gp", "tpe"):
        found.append(f"the sampler learns little from {spec.limits.trials} trials: its first 10 are random")
    return found


def _describe(parameter: Parameter) -> str:
    conditions = [
        f"{key} is {' or '.join(str(value) for value in values)}" for key, values in (parameter.when or {}).items()
    ]
    return _describe_values(parameter) + (f", when {' and '.join(conditions)}" if conditions else "")


def _describe_values(parameter: Parameter) -> str:
    if isinstance(parameter, Choices):
        return "one of " + ", ".join(str(choice) for choice in parameter.choices)
    if isinstance(parameter, Budgeted):
        return f"1 to what fits the limit, at most {parameter.up_to}"
    if isinstance(parameter, Ordinal):
        ranks = parameter.ranks()
        shown = [str(rank) for rank in ranks] if len(ranks) <= 8 else [*map(str, ranks[:4]), "...", str(ranks[-1])]
        return f"{len(ranks)} values: " + ", ".join(shown)
    return f"{parameter.low:g} to {parameter.high:g}" + (", log scale" if parameter.log else "")


def _count(parameter: Parameter) -> int | None:
    if isinstance(parameter, Choices):
        return len(parameter.choices)
    if isinstance(parameter, Budgeted):
        return parameter.up_to
    if isinstance(parameter, Ordinal):
        return len(parameter.ranks())
    return int(parameter.high) - int(parameter.low) + 1 if parameter.is_whole else None
