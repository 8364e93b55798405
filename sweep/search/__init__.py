"""The Optuna study behind a run: asks for recipes, tells outcomes. Only this package imports optuna."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import optuna
from optuna.samplers import RandomSampler

from sweep.errors import RunFolderError
from sweep.records import TrialRecord
from sweep.search.proposals import (
    Params,
    attributes,
    decode,
    distributions,
    encode,
    identity,
    verdict,
    was_cut_short,
)
from sweep.search.samplers import DistinctSampler, check_sampler, mixed_seed, sampler_maker
from sweep.search.storage import open_storage
from sweep.spec import StudySpec
from sweep.walltime import WalltimeModels


class SpaceExhaustedError(Exception):
    """Every recipe of the space that fits the limit has been proposed."""


class Search:
    """Proposes recipes from what was told, and never the same one twice."""

    def __init__(self, spec: StudySpec, journal: Path, run_id: str = "") -> None:
        """Open the study's storage, creating it if need be. The caller holds the driver's lock.

        Raises:
            RunFolderError: a storage that runs share holds a study of this name from another run.
            StudyFileError: there is no such sampler, or it does not take its options.
        """
        check_sampler(spec)
        self.spec = spec
        self.distributions = distributions(spec)
        self.storage = open_storage(spec.storage, journal)
        self.study = optuna.create_study(
            storage=self.storage,
            study_name=spec.name,
            direction="minimize" if spec.goal == "speed" else "maximize",
            load_if_exists=True,
        )
        self.seen: set[str] = set()
        owner = self.study.user_attrs.get("run_id")
        if owner is None:
            self.study.set_user_attr("run_id", run_id)
        elif owner != run_id:
            raise RunFolderError(
                f"the storage {spec.storage or journal} already holds a study {spec.name!r} of another run; "
                "give this study another name"
            )

    def reconcile(self, records: Mapping[int, TrialRecord]) -> list[int]:
        """Bring the storage in line with the trial folders, which are the truth.

        Trials that the storage has lost are added again. Proposals that never reached their folder are closed;
        their numbers are returned.
        """
        known = {trial.number: trial for trial in self.study.get_trials(deepcopy=False)}
        for number in range(len(known), max(records, default=-1) + 1):
            self.study.add_trial(self._frozen(records.get(number)))
        abandoned = [
            number for number, trial in known.items() if number not in records and not trial.state.is_finished()
        ]
        for number in abandoned:
            self.study.tell(number, state=optuna.trial.TrialState.FAIL)
        whole = [
            record
            for record in records.values()
            if not record.state.is_failure and not was_cut_short(self.spec, record)
        ]
        self.seen = {identity(self.spec, record.spec.recipe) for record in whole}
        return abandoned

    def ask(self, models: WalltimeModels, limit_seconds: float) -> tuple[int, Params, Params]:
        """A new trial: its number, Optuna's parameters and the recipe they stand for.

        Raises:
            SpaceExhaustedError: nothing new that fits the limit was found.
        """

        def decode_new(params: Params) -> Params | None:
            recipe = decode(self.spec, params, models, limit_seconds)
            return None if recipe is None or identity(self.spec, recipe) in self.seen else recipe

        number = len(self.study.get_trials(deepcopy=False))
        if number < len(self.spec.start):
            return self._ask_start(number, models, limit_seconds)
        make = sampler_maker(self.spec, number)
        self.study.sampler = DistinctSampler(
            make,
            (self.spec.seed, number),
            self.distributions,
            lambda params: decode_new(params) is not None,
        )
        trial = self.study.ask(self.distributions)
        recipe = decode_new(trial.params)
        if recipe is None:
            self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
            raise SpaceExhaustedError
        return self._proposed(trial, recipe)

    def _ask_start(self, number: int, models: WalltimeModels, limit_seconds: float) -> tuple[int, Params, Params]:
        """The study's own first recipes, in order; what they leave out is random. Their epochs are as they say."""
        start = self.spec.start[number]
        self.study.sampler = RandomSampler(seed=mixed_seed(self.spec.seed, number))
        if not self.study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,)):
            self.study.enqueue_trial(encode(self.spec, start))
        trial = self.study.ask(self.distributions)
        recipe = decode(self.spec, trial.params, models, limit_seconds) or {}
        return self._proposed(trial, recipe | start)

    def _proposed(self, trial: optuna.Trial, recipe: Params) -> tuple[int, Params, Params]:
        self.seen.add(identity(self.spec, recipe))
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
        for key, value in attributes(record).items():
            self.storage.set_trial_user_attr(trial_id, key, value)
        state, objective = verdict(self.spec, record)
        self.study.tell(record.number, objective, state=state)

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


def sample_recipes(spec: StudySpec, count: int) -> list[Params]:
    """A few random recipes of the space, without a storage: what proposals look like."""
    study, space = optuna.create_study(), distributions(spec)
    study.sampler = RandomSampler(seed=spec.seed)
    limit, all_epochs = spec.limits.trial, sys.maxsize
    found = (decode(spec, study.ask(space).params, {}, limit, all_epochs) for _ in range(count))
    return [{key: recipe[key] for key in spec.space if key in recipe} for recipe in found if recipe is not None]
