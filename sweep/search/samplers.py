"""Samplers by name, and the one that never proposes a recipe twice."""

from __future__ import annotations

import inspect
import itertools
import math
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, QMCSampler, RandomSampler, TPESampler

from sweep.errors import StudyFileError
from sweep.search.proposals import Params, distributions, has_epochs
from sweep.spec import StudySpec

CURVES = "curves"  # our own, see sweep.search.curve_sampler
STARTS = {CURVES: 6, "gp": 10, "tpe": 10}  # trials at random before a sampler learns
GP_TRIALS = 300  # past these a proposal of the Gaussian process costs seconds
TRIES = 200
GRID_POINTS = 100_000  # of a discrete space that is searched to its last point
OWN_TRIES = 3  # of the sampler itself, before random ones: it may insist on what it believes in


class DistinctSampler(BaseSampler):
    """Samples the whole static space at once and asks again while a proposal is refused.

    The first tries are the inner sampler's; one that insists on a known recipe is followed by random ones.
    `seed` is the study's and the trial's number, so that a resumed study does not repeat its first suggestions.
    """

    def __init__(
        self,
        make: Callable[[int], BaseSampler],
        seed: tuple[int, int],
        space: Mapping[str, BaseDistribution],
        is_new: Callable[[Params], bool],
    ) -> None:
        self._make, self._seed, self._space, self._is_new = make, seed, dict(space), is_new

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._space

    def sample_relative(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Params:
        for attempt in range(TRIES):
            seed = mixed_seed(*self._seed, attempt)
            sampler = self._make(seed) if attempt < OWN_TRIES else RandomSampler(seed=seed)
            params = dict(sampler.sample_relative(study, trial, sampler.infer_relative_search_space(study, trial)))
            for name, distribution in search_space.items():
                if name not in params:
                    params[name] = sampler.sample_independent(study, trial, name, distribution)
            if self._is_new(params):
                return params
        return next(
            (point for point in grid(search_space, mixed_seed(*self._seed)) if self._is_new(point)), params
        )

    def sample_independent(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return RandomSampler(seed=mixed_seed(*self._seed)).sample_independent(
            study, trial, param_name, param_distribution
        )


def mixed_seed(*parts: int) -> int:
    """A 32-bit seed from a study's seed, a trial's number and a try; neighbours have nothing in common."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def grid(space: Mapping[str, BaseDistribution], seed: int) -> Iterator[Params]:
    """Every point of a small discrete space in random order; nothing of a continuous or a large one."""
    axes: list[Sequence[Any]] = []
    for distribution in space.values():
        if isinstance(distribution, CategoricalDistribution):
            axes.append(distribution.choices)
        elif isinstance(distribution, IntDistribution):
            axes.append(range(distribution.low, distribution.high + 1, distribution.step))
        else:
            return
    if math.prod(len(axis) for axis in axes) <= GRID_POINTS:
        points = list(itertools.product(*axes))
        random.Random(seed).shuffle(points)
        yield from (dict(zip(space, point, strict=True)) for point in points)


SAMPLERS: dict[str, type[BaseSampler]] = {
    "gp": GPSampler,
    "tpe": TPESampler,
    "random": RandomSampler,
    "qmc": QMCSampler,
}
# How a sampler is made unless the study's options say otherwise.
OPTIONS: dict[type[BaseSampler], dict[str, Any]] = {
    GPSampler: {"warn_independent_sampling": False},
    TPESampler: {"constant_liar": True},
    QMCSampler: {"warn_independent_sampling": False, "warn_asynchronous_seeding": False},
}


def sampler_class(name: str) -> type[BaseSampler]:
    """The sampler of a name: one of ours for short, or the name of a class of optuna.samplers.

    Raises:
        StudyFileError: there is none.
    """
    found = SAMPLERS.get(name) or getattr(optuna.samplers, name, None)
    if isinstance(found, type) and issubclass(found, BaseSampler) and found is not BaseSampler:
        return found
    known = [other for other in optuna.samplers.__all__ if not other.startswith("Base")]
    raise StudyFileError(
        f"sampler must be auto, {', '.join([CURVES, *SAMPLERS])}, or one of {', '.join(known)}; got {name!r}"
    )


def check_sampler(spec: StudySpec) -> None:
    """Make the study's sampler once, and try one that we do not know, before anything depends on it.

    Raises:
        StudyFileError: there is no such sampler, it does not take the options, lacks a package, or the recipes
            have no epochs of which it could learn.
    """
    name = sampler_name(spec, 0)
    if name == CURVES:
        if spec.sampler_options:
            raise StudyFileError(f"sampler {CURVES} takes no options; got {spec.sampler_options}; leave them out")
        if not has_epochs(spec):
            raise StudyFileError(f'sampler {CURVES} needs `epochs` in [space] or [fixed]; take "gp" or "auto"')
        return
    try:
        sampler = sampler_maker(spec, 0)(0)
        if name not in SAMPLERS:
            study = optuna.create_study(sampler=sampler)
            for _ in range(3):  # many begin with random ones
                study.tell(study.ask(distributions(spec)), 0.0)
    except (TypeError, ValueError, ImportError) as error:
        known = ", ".join(inspect.signature(sampler_class(name)).parameters)
        raise StudyFileError(
            f"sampler {name} cannot be made with options {spec.sampler_options}: {error}; it takes {known}"
        ) from error


def sampler_name(spec: StudySpec, trials: int) -> str:
    """The sampler that proposes after so many trials."""
    if spec.sampler != "auto":
        return spec.sampler
    if has_epochs(spec):
        return CURVES
    return "gp" if trials < GP_TRIALS else "tpe"


def sampler_maker(spec: StudySpec, trials: int) -> Callable[[int], BaseSampler]:
    """Makes the sampler that proposes after so many trials, from a seed."""
    kind = sampler_class(sampler_name(spec, trials))
    has_seed = "seed" in inspect.signature(kind).parameters

    def make(seed: int) -> BaseSampler:
        if kind is QMCSampler:  # one sequence for the whole study: its points lie well only together
            seed = spec.seed
        options = ({"seed": seed} if has_seed else {}) | OPTIONS.get(kind, {}) | spec.sampler_options
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return kind(**options)

    return make
