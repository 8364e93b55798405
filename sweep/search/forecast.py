"""What a search would propose and how long it would take, before anything is launched."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import optuna
from optuna.samplers import RandomSampler

from sweep.errors import StudyFileError
from sweep.requests import job_seconds
from sweep.search.proposals import Params, decode, distributions, predict
from sweep.space import Budgeted, Ordinal
from sweep.spec import StudySpec
from sweep.timings import Traits, setting_of, traits_of
from sweep.walltime import WalltimeModel, WalltimeModels

DRAWS = 300  # of random recipes


@dataclass(frozen=True)
class Sample:
    """A random recipe of the space, its fixed keys left out."""

    recipe: Params
    predicted_seconds: float | None  # of its whole trial; None while nothing was timed
    request_seconds: float | None  # what its job would ask for


def draw_samples(spec: StudySpec, models: WalltimeModels, count: int = DRAWS) -> list[Sample]:
    """Random recipes of the space, those of which no epoch fits the limit left out."""
    study, space = optuna.create_study(), distributions(spec)
    study.sampler = RandomSampler(seed=spec.seed)
    found = []
    for _ in range(count):
        recipe = decode(spec, study.ask(space).params, models, spec.limits.trial, sys.maxsize)
        if recipe is not None:
            seconds, enough = predict(models, recipe) or (None, None)
            request = None if enough is None else job_seconds(enough, spec.limits.trial)
            shown = {key: recipe[key] for key in spec.space if key in recipe}
            found.append(Sample(shown, seconds, request))
    return found


def check_fits(spec: StudySpec, models: WalltimeModels) -> None:
    """Refuse a study of which the timings so far say that no proposal fits its trial limit.

    Raises:
        StudyFileError: not even one epoch of any recipe fits.
    """
    if not isinstance(spec.space.get("epochs"), Budgeted) or draw_samples(spec, models):
        return
    least = [model.likely_seconds(size, 1, traits) for model, traits, size in _known(spec, models)]
    quickest = f": the quickest needs about {min(least):.3g} s" if least else ""
    raise StudyFileError(
        f"limits.trial = {spec.limits.trial:g} s fits no epoch of any recipe of the space by what was timed here "
        f"before{quickest}; raise limits.trial, or add larger batch sizes"
    )


def batch_sizes_without_an_epoch(spec: StudySpec, models: WalltimeModels) -> list[float]:
    """The batch sizes of the space of which no epoch fits the limit, whatever the network."""
    if not isinstance(spec.space.get("epochs"), Budgeted):
        return []
    fits: dict[float, bool] = {}
    for model, traits, size in _known(spec, models):
        fits[size] = fits.get(size, False) or model.fitting_epochs(size, spec.limits.trial, traits) > 0
    return [size for size, found in fits.items() if not found]


def _known(spec: StudySpec, models: WalltimeModels) -> list[tuple[WalltimeModel, Traits, float]]:
    """The models of the study's networks, each with the words that recipes may have, and every batch size."""
    parameter, fixed = spec.space.get("batch_size"), spec.fixed.get("batch_size")
    sizes = parameter.ranks() if isinstance(parameter, Ordinal) else [fixed] if fixed else []
    recipes = [{**spec.fixed, **sample.recipe} for sample in draw_samples(spec, {})]
    kinds = sorted({(setting_of(recipe), traits_of(recipe)) for recipe in recipes})
    timed = [(models[setting], traits) for setting, traits in kinds if setting in models]
    return [(model, traits, float(size)) for model, traits in timed for size in sizes]
