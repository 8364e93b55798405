"""The Optuna study behind a run: asks for recipes, tells outcomes. The only importer of optuna."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from sweep.errors import RunFolderError
from sweep.records import TrialRecord, TrialState
from sweep.space import Budgeted, Choices, Ordinal, Range
from sweep.spec import StudySpec
from sweep.walltime import UNTIMED_EPOCHS, WalltimeModel

GP_TRIALS = 300  # past these a proposal of the Gaussian process costs seconds
MISS_WEIGHT = 5.0  # how much log-seconds a whole unit of missing accuracy is worth
TRIES = 200

Params = dict[str, Any]
Decode = Callable[[Params], Params | None]

optuna.logging.set_verbosity(optuna.logging.WARNING)


class SpaceExhaustedError(Exception):
    """Every recipe of the space that fits the limit has been proposed."""


class Search:
    """Proposes recipes from what was told, and never the same one twice."""

    def __init__(self, spec: StudySpec, journal: Path) -> None:
        """Open the study's storage, creating it if need be. The caller holds the driver's lock."""
        self.spec = spec
        self.distributions = distributions(spec)
        self.storage = _open_storage(spec.storage, journal)
        self.study = optuna.create_study(
            storage=self.storage,
            study_name=spec.name,
            direction="minimize" if spec.goal == "speed" else "maximize",
            load_if_exists=True,
        )
        self.seen: set[str] = set()

    def reconcile(self, records: Mapping[int, TrialRecord]) -> list[int]:
        """Bring the storage in line with the trial folders, which are the truth; returns abandoned numbers.

        Trials that the storage has lost are added again. A proposal that never reached its folder is closed.
        """
        known = {trial.number: trial for trial in self.study.get_trials(deepcopy=False)}
        if known and not records and not all(trial.state.name == "RUNNING" for trial in known.values()):
            raise RunFolderError(
                f"the storage {self.spec.storage or 'journal.log'} already holds a study {self.spec.name!r} of "
                f"{len(known)} trials that this run folder does not know; give the study another name"
            )
        for number in range(len(known), max(records, default=-1) + 1):
            self.study.add_trial(self._frozen(records.get(number)))
        abandoned = [
            number for number, trial in known.items() if number not in records and not trial.state.is_finished()
        ]
        for number in abandoned:
            self.study.tell(number, state=optuna.trial.TrialState.FAIL)
        self.seen = {_identity(record.spec.recipe) for record in records.values()}
        for record in records.values():
            if record.state.is_final:
                self.tell(record)
        return abandoned

    def ask(self, model: WalltimeModel | None, limit_seconds: float) -> tuple[int, Params, Params]:
        """A new trial: its number, Optuna's parameters and the recipe they stand for.

        Raises:
            SpaceExhaustedError: nothing new that fits the limit was found.
        """

        def decode_new(params: Params) -> Params | None:
            recipe = decode(self.spec, params, model, limit_seconds)
            return None if recipe is None or _identity(recipe) in self.seen else recipe

        number = len(self.study.get_trials(deepcopy=False))
        make = _sampler_maker(self.spec, number)
        self.study.sampler = DistinctSampler(make, self.spec.seed + number, self.distributions, decode_new)
        trial = self.study.ask(self.distributions)
        recipe = decode_new(trial.params)
        if recipe is None:
            self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
            raise SpaceExhaustedError
        self.seen.add(_identity(recipe))
        if self.spec.takes_seed:
            recipe["seed"] = self.spec.seed + trial.number
        trial.set_user_attr("recipe", recipe)
        return trial.number, trial.params, recipe

    def tell(self, record: TrialRecord) -> None:
        """Tell a final trial: attributes first, the value last, as the one commit. Telling twice is harmless."""
        study_id = self.storage.get_study_id_from_name(self.spec.name)
        trial_id = self.storage.get_trial_id_from_study_id_trial_number(study_id, record.number)
        if self.storage.get_trial(trial_id).state.is_finished():
            return
        for key, attribute in _attributes(record).items():
            self.storage.set_trial_user_attr(trial_id, key, attribute)
        state, value = _verdict(self.spec, record)
        self.study.tell(record.number, value, state=state)

    def _frozen(self, record: TrialRecord | None) -> optuna.trial.FrozenTrial:
        """A trial for `add_trial`; a number without a folder becomes a failed placeholder."""
        if record is None:
            return optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL)
        return optuna.trial.create_trial(
            state=optuna.trial.TrialState.RUNNING,
            params=record.spec.params,
            distributions=dict(self.distributions),
            user_attrs={"recipe": record.spec.recipe},
        )


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
        decode_new: Decode,
    ) -> None:
        self._make, self._seed, self._space, self._decode_new = make, seed, dict(space), decode_new

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._space

    def sample_relative(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Params:
        for attempt in range(TRIES):
            seed = self._seed + 1_000_003 * attempt
            sampler = self._make(seed) if attempt < 3 else RandomSampler(seed=seed)
            wanted = sampler.infer_relative_search_space(study, trial)
            params = sampler.sample_relative(study, trial, wanted)
            for name in search_space.keys() - params.keys():
                params[name] = sampler.sample_independent(study, trial, name, search_space[name])
            if self._decode_new(params) is not None:
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


def distributions(spec: StudySpec) -> dict[str, BaseDistribution]:
    """The static space that Optuna searches: epochs as a share, ordinals by rank."""
    found: dict[str, BaseDistribution] = {}
    for key, parameter in spec.space.items():
        if isinstance(parameter, Choices):
            found[key] = CategoricalDistribution(parameter.choices)
        elif isinstance(parameter, Budgeted):
            found[f"{key}_share"] = FloatDistribution(0.0, 1.0)
        elif isinstance(parameter, Ordinal):
            found[f"{key}_rank"] = IntDistribution(0, len(parameter.ranks()) - 1)
        elif parameter.is_whole:
            found[key] = IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
        else:
            found[key] = FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    return found


def decode(
    spec: StudySpec, params: Params, model: WalltimeModel | None, limit_seconds: float
) -> Params | None:
    """The recipe that Optuna's parameters stand for; None if not even one epoch fits the limit.

    Epochs are `emax ** share`: a share means the same on a slow and on a quick batch size, and the space
    keeps its shape while the walltime model learns.
    """
    recipe = dict(spec.fixed)
    for key, parameter in spec.space.items():
        if isinstance(parameter, Ordinal):
            recipe[key] = parameter.ranks()[params[f"{key}_rank"]]
        elif isinstance(parameter, Choices | Range):
            recipe[key] = params[key]
    epochs = spec.space.get("epochs")
    if isinstance(epochs, Budgeted):
        emax = epochs.up_to if model else min(epochs.up_to, UNTIMED_EPOCHS)
        if model is not None:
            emax = min(emax, model.fitting_epochs(float(recipe.get("batch_size", 1)), limit_seconds))
        if emax < 1:
            return None
        recipe["epochs"] = round(emax ** params["epochs_share"])
    return recipe


def objective(spec: StudySpec, accuracy: float, train_seconds: float) -> float:
    """The value that Optuna hears.

    speed (minimised): log seconds when the target was reached, else worse than any that did by the accuracy
    that is missing. accuracy (maximised): the validation accuracy.
    """
    if spec.goal == "accuracy":
        return accuracy
    if accuracy >= spec.target:
        return math.log(max(train_seconds, 1e-3))
    return math.log(spec.limits.trial) + MISS_WEIGHT * (spec.target - accuracy)


def _verdict(spec: StudySpec, record: TrialRecord) -> tuple[optuna.trial.TrialState, float | None]:
    """What a final trial is to Optuna. A bad recipe is a bad value, so that the sampler learns from it."""
    states = optuna.trial.TrialState
    if record.state.is_failure:
        return states.FAIL, None
    accuracy = 0.0 if record.state in (TrialState.DIVERGED, TrialState.OUT_OF_MEMORY) else record.accuracy
    if accuracy is None:
        return states.FAIL, None
    return states.COMPLETE, objective(spec, accuracy, record.train_seconds)


def _attributes(record: TrialRecord) -> Params:
    return {"outcome": record.state.value, "accuracy": record.accuracy, "train_seconds": record.train_seconds}


def _identity(recipe: Params) -> str:
    return repr(sorted((key, value) for key, value in recipe.items() if key != "seed"))


def sampler_name(spec: StudySpec, trials: int) -> str:
    """The sampler that proposes after so many trials."""
    if spec.sampler != "auto":
        return spec.sampler
    return "gp" if trials < GP_TRIALS else "tpe"


def sample_recipes(spec: StudySpec, count: int) -> list[Params]:
    """A few random recipes of the space, without a storage: what proposals look like."""
    study, space = optuna.create_study(), distributions(spec)
    study.sampler = RandomSampler(seed=spec.seed)
    found = (decode(spec, study.ask(space).params, None, spec.limits.trial) for _ in range(count))
    return [{key: recipe[key] for key in spec.space} for recipe in found if recipe is not None]


def _sampler_maker(spec: StudySpec, trials: int) -> Callable[[int], BaseSampler]:
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


def _open_storage(url: str, journal: Path) -> optuna.storages.BaseStorage:
    if url:
        return optuna.storages.get_storage(url)
    mend_journal(journal)
    try:
        return JournalStorage(JournalFileBackend(str(journal)))
    except (ValueError, KeyError, AssertionError, TypeError):
        # Damaged beyond its last line: the trial folders know everything, so start over and keep it for the curious.
        journal.rename(journal.with_name(f"{journal.name}.damaged-{int(time.time())}"))
        return JournalStorage(JournalFileBackend(str(journal)))


def mend_journal(journal: Path) -> None:
    """Cut a torn last line and a dead writer's lock: the first breaks every later load, the second blocks 30 s."""
    for suffix in (".lock", ".lock.rename"):
        lock = journal.with_name(journal.name + suffix)
        lock.unlink(missing_ok=True)
    if journal.exists():
        data = journal.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(journal, whole)
