"""What a launch would do, worked out without launching anything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from sweep.durations import show_percent, show_seconds
from sweep.launchers import job_script
from sweep.packing import Packing, lane_seconds
from sweep.paths import RunPaths
from sweep.profile import Profile
from sweep.records import JOB_OVERHEAD_SECONDS
from sweep.search.forecast import Sample, batch_sizes_without_an_epoch, check_fits, draw_samples
from sweep.search.pruners import make_pruner
from sweep.search.samplers import STARTS, check_sampler, sampler_name
from sweep.space import Budgeted, Choices, Ordinal, Parameter
from sweep.spec import StudySpec
from sweep.walltime import UNTIMED_EPOCHS, WalltimeModels

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
    slots: int  # trials that run at once
    launcher: str
    jobs_at_once: int
    packing: Packing
    trial_limit_seconds: float
    trials_wanted: int
    trials_affordable: int  # within gpu_hours and walltime, were each to take its whole limit
    trials_expected: int | None  # were each to take what random recipes are predicted to; None while unknown
    request_seconds: tuple[float, float] | None  # shortest and longest that a job would ask for
    time_limit_seconds: float | None  # of the profile
    gpu_hours_at_most: float
    walltime_seconds_at_most: float
    samples: list[dict[str, Any]]
    job_script: str
    warnings: list[str]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def facts(self) -> list[tuple[str, str]]:
        """Name and text of each line for the terminal."""
        size = "continuous" if self.combinations is None else f"{self.combinations:,} combinations"
        fixed = "  ".join(f"{key} = {value}" for key, value in self.fixed.items())
        return [
            ("goal", f"{self.goal}, target {show_percent(self.target)}"),
            *((f"space.{key}", text) for key, text in self.space.items()),
            ("", f"{size}, sampler {self.sampler}"),
            ("fixed", fixed or "-"),
            ("trials", self._trials()),
            ("jobs", self._jobs()),
            ("costs", f"at most {self.gpu_hours_at_most:.3g} GPU-hours"),
            ("takes", f"at most {show_seconds(self.walltime_seconds_at_most)}{self._queue()}"),
        ]

    def _trials(self) -> str:
        trials = f"{self.trials_wanted} of at most {show_seconds(self.trial_limit_seconds)} each"
        if self.trials_affordable < self.trials_wanted:
            trials += f"; the budget surely covers {self.trials_affordable}, more if trials end early"
            if self.trials_expected is not None:
                trials += f": about {self.trials_expected} by the predictions"
        return trials

    def _queue(self) -> str:
        return ", waiting in the queue aside" if self.launcher == "slurm" else ""

    def _jobs(self) -> str:
        jobs = f"{self.jobs_at_once} at once, {_lanes_text(self.packing)}"
        if self.request_seconds is not None:
            shortest, longest = map(show_seconds, self.request_seconds)
            jobs += f", asking for {shortest}" + (f" to {longest}" if longest != shortest else "")
        if self.time_limit_seconds is not None:
            jobs += f" (the profile allows {show_seconds(self.time_limit_seconds)})"
        return jobs


def make_plan(
    spec: StudySpec,
    profile: Profile,
    models: WalltimeModels,
    *,
    runs: Path = Path("runs"),
    more_warnings: Sequence[str] = (),
) -> Plan:
    """Work out what a launch of `spec` on `profile` would do, with the timings of earlier studies.

    Raises:
        StudyFileError: there is no such sampler or pruner, or no recipe fits the limit.
    """
    check_sampler(spec)
    make_pruner(spec)
    check_fits(spec, models)
    limits, slots = spec.limits, profile.slot_count()
    job_seconds = limits.trial + JOB_OVERHEAD_SECONDS
    samples = draw_samples(spec, models)
    predicted = [sample.predicted_seconds for sample in samples if sample.predicted_seconds is not None]
    packing, requests = profile.packing, _requests(samples, profile)
    whole_job = lane_seconds([limits.trial], packing.trials_per_lane)
    jobs = math.ceil(limits.trials / (packing.lanes * packing.trials_per_lane))
    gpu_hours = jobs * profile.granted_seconds(whole_job) * packing.gpus(packing.lanes) / 3600
    at_once = packing.lanes * min(slots // packing.lanes, jobs)
    rounds_seconds = math.ceil(limits.trials / at_once) * job_seconds
    counts = [_count(parameter) for parameter in spec.space.values()]
    gpus_per_trial = packing.gpus(packing.lanes) / packing.lanes
    affordable = _affordable(spec, slots, job_seconds, gpus_per_trial)
    return Plan(
        name=spec.name,
        goal=spec.goal,
        target=spec.target,
        sampler=sampler_name(spec, 0),
        space={key: _describe(parameter) for key, parameter in spec.space.items()},
        combinations=None if None in counts else math.prod(count for count in counts if count is not None),
        fixed=spec.fixed,
        slots=slots,
        launcher=profile.launcher,
        jobs_at_once=at_once // packing.lanes,
        packing=packing,
        trial_limit_seconds=limits.trial,
        trials_wanted=limits.trials,
        trials_affordable=affordable,
        trials_expected=_affordable(spec, slots, mean(predicted), gpus_per_trial) if predicted else None,
        request_seconds=(min(requests), max(requests)) if requests else None,
        time_limit_seconds=profile.time_limit,
        gpu_hours_at_most=min(gpu_hours, limits.gpu_hours or gpu_hours),
        walltime_seconds_at_most=min(rounds_seconds, limits.walltime or rounds_seconds),
        samples=[_shown(sample) for sample in samples[:SAMPLES]],
        job_script=job_script(profile, RunPaths(runs / spec.name), spec.name, profile.granted_seconds(whole_job)),
        warnings=[*_warnings(spec, profile, affordable, models), *more_warnings],
    )


def _requests(samples: Sequence[Sample], profile: Profile) -> list[float]:
    """Seconds that the jobs of these samples would ask for, where that is known."""
    lanes = [
        sample.request_seconds - JOB_OVERHEAD_SECONDS for sample in samples if sample.request_seconds is not None
    ]
    return [profile.granted_seconds(lane_seconds([lane], profile.packing.trials_per_lane)) for lane in lanes]


def _lanes_text(packing: Packing) -> str:
    if packing.lanes == packing.trials_per_lane == 1:
        return "one trial each"
    lanes = f"{packing.lanes} trials side by side" if packing.lanes > 1 else "one trial at a time"
    return lanes + (f", {packing.trials_per_lane} one after the other" if packing.is_fed else "")


def _affordable(spec: StudySpec, slots: int, trial_seconds: float, gpus_per_trial: float) -> int:
    """How many trials of that length the study's limits allow."""
    limits, affordable = spec.limits, spec.limits.trials
    if limits.gpu_hours is not None:
        affordable = min(affordable, math.floor(limits.gpu_hours * 3600 / (trial_seconds * gpus_per_trial)))
    if limits.walltime is not None:
        affordable = min(affordable, slots * math.floor(limits.walltime / trial_seconds))
    return affordable


def _shown(sample: Sample) -> dict[str, Any]:
    seconds = {} if sample.predicted_seconds is None else {"seconds": round(sample.predicted_seconds, 1)}
    return {**sample.recipe, **seconds}


def _warnings(spec: StudySpec, profile: Profile, affordable: int, models: WalltimeModels) -> list[str]:
    found, limits, slots = [], spec.limits, profile.slot_count()
    if isinstance(spec.space.get("epochs"), Budgeted) and not models:
        found.append(
            f"nothing has been timed yet: the first proposals have at most {UNTIMED_EPOCHS} epochs, "
            "later ones as many as fit the trial limit (the samples show what the space allows)"
        )
    if without := batch_sizes_without_an_epoch(spec, models):
        sizes = ", ".join(f"{size:g}" for size in without)
        found.append(f"no epoch fits {show_seconds(limits.trial)} with batch size {sizes}: never proposed")
    if profile.time_limit is not None and profile.time_limit < limits.trial + JOB_OVERHEAD_SECONDS:
        found.append(
            f"a trial may take {show_seconds(limits.trial)}, a job here {show_seconds(profile.time_limit)}: "
            "longer trials go on from their checkpoint in another job"
        )
    if affordable < min(slots, limits.trials):
        found.append(f"the budget covers {affordable} trial(s) at a time, fewer than the {slots} slots")
    starts = STARTS.get(sampler_name(spec, 0), 0)
    if limits.trials < 2 * starts:
        found.append(f"the sampler learns little from {limits.trials} trials: its first {starts} are random")
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
