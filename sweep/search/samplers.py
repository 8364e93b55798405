"""Samplers by name, and the one that never proposes a recipe twice."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler

from sweep.search.proposals import Params
from sweep.spec import StudySpec

GP_TRIALS = 300  # past these a proposal of the Gaussian process costs seconds
TRIES = 200
RETRY_STRIDE = 7_368_787
OWN_TRIES = 3  # of the sampler itself, before random ones: it may insist on what it believes in


class DistinctSampler(BaseSampler):
    """Samples the whole static space at once and asks again while a proposal is refused.

    The first tries are the inner sampler's; one that insists on a known recipe is followed by random ones.
    Seeds depend on the number of trials, so that a resumed study does not repeat its first suggestions.
    """

    def __init__(
        self,
        make: Callable[[int], BaseSampler],
        seed: int,
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
            seed = self._seed + RETRY_STRIDE * attempt
            sampler = self._make(seed) if attempt < OWN_TRIES else RandomSampler(seed=seed)
            wanted = sampler.infer_relative_search_space(study, trial)
            params = sampler.sample_relative(study, trial, wanted)
            for name in search_space.keys() - params.keys():
                params[name] = sampler.sample_independent(study, trial, name, search_space[name])
            if self._is_new(params):
                break
        return params

    def sample_independent(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return RandomSampler(seed=self._seed).sample_independent(study, trial, param_name, param_distribution)


def sampler_name(spec: StudySpec, trials: int) -> str:
    """The sampler that proposes after so many trials."""
    if spec.sampler != "auto":
        return spec.sampler
    return "gp" if trials < GP_TRIALS else "tpe"


def sampler_maker(spec: StudySpec, trials: int) -> Callable[[int], BaseSampler]:
    """Makes the sampler that proposes after so many trials, from a seed."""
    name = sampler_name(spec, trials)
    if name == "random":
        return lambda seed: RandomSampler(seed=seed)
    if name == "tpe":
        return lambda seed: TPESampler(seed=seed, constant_liar=True)
    return _gp


def _gp(seed: int) -> BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return GPSampler(seed=seed, warn_independent_sampling=False)
