"""The Optuna study behind a run: asks for recipes, tells outcomes. Only this package imports optuna."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial

from sweep.records import TrialRecord
from sweep.search.curve_sampler import CurveSampler, Lessons
from sweep.search.proposals import (
    Params,
    decode,
    distributions,
    encode,
    goal_of,
    goals,
    identity,
    predict,
    was_cut_short,
)
from sweep.search.samplers import (
    CURVES,
    SAMPLERS,
    DistinctSampler,
    check_sampler,
    mixed_seed,
    sampler_maker,
    sampler_name,
)
from sweep.search.stored import StoredStudy
from sweep.search.views import View
from sweep.spec import StudySpec
from sweep.walltime import WalltimeModels

UNINFORMED = ("random", "qmc")  # samplers that take no notice of results


class SpaceExhaustedError(Exception):
    """Every recipe of the space that fits the limit has been proposed."""


@dataclass(frozen=True)
class Proposal:
    """A recipe to try, and what it runs for."""

    number: int
    params: Params  # as Optuna sees the recipe
    recipe: Params
    stop_at: float | None  # accuracy that ends the trial, if it runs for speed
    predicted_seconds: float | None


class Search:
    """Proposes recipes from what was told, and never the same one twice.

    The storage keeps what happened; proposals come from views of it in memory, one for each goal.
    """

    def __init__(
        self, spec: StudySpec, journal: Path, run_id: str = "", history: Iterable[TrialRecord] = ()
    ) -> None:
        """Open the study's storage, creating it if need be. The caller holds the driver's lock.

        `history` are trials of other studies, with numbers below zero, in the terms of this one.

        Raises:
            RunFolderError: a storage that runs share holds a study of this name from another run.
            StudyFileError: there is no such sampler or pruner, or it does not take its options.
        """
        check_sampler(spec)
        self.spec, self.history = spec, list(history)
        self.ended = {record.number: record for record in self.history}
        self.distributions = distributions(spec)
        self.views = {goal: View(spec, goal, self.distributions) for goal in goals(spec)}
        self.stored = StoredStudy(spec, journal, run_id, self.distributions)
        self.seen = {identity(spec, record.spec.recipe) for record in self.history}
        self.count = len(self.stored.trials())
        self.proposed = self.count  # less those that an earlier driver asked for and never wrote down
        for goal, view in self.views.items():
            view.note(self.stored.noted(goal))
            for record in self.history:
                view.add(record.number, record.spec.params, {})
                view.tell(record)

    @property
    def learns(self) -> bool:
        """Whether the next proposals depend on what was told."""
        return sampler_name(self.spec, self.count + len(self.history)) not in UNINFORMED

    def reconcile(self, records: Mapping[int, TrialRecord]) -> list[int]:
        """Bring storage and views in line with the trial folders, which are the truth.

        Returned are the numbers of proposals that never reached their folder.
        """
        abandoned = self.stored.reconcile(records)
        known = self.stored.trials()
        self.count = len(known)
        self.proposed = len(records)
        whole = [
            record
            for record in [*self.history, *records.values()]
            if not record.state.is_failure and not was_cut_short(self.spec, record)
        ]
        self.seen = {identity(self.spec, record.spec.recipe) for record in whole}
        self.ended |= {number: record for number, record in records.items() if record.state.is_final}
        for number in sorted(records):
            for view in self.views.values():
                view.add(number, records[number].spec.params, known[number].system_attrs)
                if records[number].state.is_final:
                    view.tell(records[number])
        return abandoned

    def ask(
        self,
        models: WalltimeModels,
        limit_seconds: float,
        room_seconds: float | None = None,
        running: Sequence[TrialRecord] = (),
    ) -> Proposal:
        """A new trial. With `room_seconds`, only one that is known to need no more will do.

        `running` are the trials that have not ended, with their epochs so far.

        Raises:
            SpaceExhaustedError: nothing new that fits was found.
        """

        def recipe_of(params: Params) -> Params | None:
            recipe = decode(self.spec, params, models, limit_seconds)
            if recipe is None or identity(self.spec, recipe) in self.seen:
                return None
            if room_seconds is None:
                return recipe
            prediction = predict(models, recipe)
            return recipe if prediction is not None and prediction[1] <= room_seconds else None

        number = self.count
        view = self.views[goal_of(self.spec, number)]
        start = self.spec.start[self.proposed] if self.proposed < len(self.spec.start) else None
        if start is not None:  # what it leaves out is random
            seed = mixed_seed(self.spec.seed, number)
            proposed = view.ask(RandomSampler(seed=seed), encode(self.spec, start))
            params = dict(proposed.params)  # if no epoch is said to fit, it is tried all the same
            whole = decode(self.spec, params, models, limit_seconds) or decode(
                self.spec, params, {}, limit_seconds
            )
            recipe = (whole or {}) | start
        else:
            make = self._sampler_maker(view, models, running, recipe_of)
            sampler = DistinctSampler(
                make, (self.spec.seed, number), self.distributions, lambda params: recipe_of(params) is not None
            )
            proposed = view.ask(sampler)
            recipe = recipe_of(proposed.params) or {}
        if not recipe:
            view.refuse(proposed)
            raise SpaceExhaustedError
        return self._propose(view, proposed, recipe, models)

    def _sampler_maker(
        self,
        view: View,
        models: WalltimeModels,
        running: Sequence[TrialRecord],
        recipe_of: Callable[[Params], Params | None],
    ) -> Callable[[int], BaseSampler]:
        """Makes the sampler of the next trial, from a seed."""
        trials = self.count + len(self.history)
        if sampler_name(self.spec, trials) != CURVES:
            return sampler_maker(self.spec, trials)

        known = sorted([*self.ended.values(), *running], key=lambda record: record.number)
        lessons = Lessons(self.spec, view.goal, known, recipe_of, models)
        return lambda seed: CurveSampler(lessons, seed)

    def _propose(self, view: View, proposed: FrozenTrial, recipe: Params, models: WalltimeModels) -> Proposal:
        """Write the proposal into the storage, in one step, and into the other view."""
        number, params = self.count, dict(proposed.params)
        self.seen.add(identity(self.spec, recipe))
        if self.spec.takes_seed:
            recipe["seed"] = self.spec.seed + number
        own = sampler_name(self.spec, number + len(self.history)) in (*SAMPLERS, CURVES)
        noted = {} if own else dict(proposed.system_attrs)
        self.stored.note(view.goal, view.attributes)
        self.stored.add(params, recipe, noted)
        self.count, self.proposed = self.count + 1, self.proposed + 1
        view.adopt(number, proposed)
        for other in self.views.values():
            other.add(number, params, noted)
        prediction = predict(models, recipe)
        return Proposal(
            number,
            params,
            recipe,
            stop_at=self.spec.target if view.goal == "speed" else None,
            predicted_seconds=prediction[0] if prediction else None,
        )

    def tell(self, record: TrialRecord) -> None:
        """Tell a final trial. Telling twice is harmless."""
        self.ended[record.number] = record
        for view in self.views.values():
            view.add(record.number, record.spec.params, {})
            view.tell(record)
        self.stored.tell(record)

    def should_prune(self, record: TrialRecord) -> bool:
        """What the study's pruner says to a running trial."""
        return bool(self.spec.pruner) and self.views["accuracy"].should_prune(record)
