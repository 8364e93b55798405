"""The history as one goal sees it: an Optuna study in memory, from which proposals are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as Verdict

from sweep.records import TrialRecord
from sweep.search.proposals import Goal, Params, verdict
from sweep.search.pruners import make_pruner
from sweep.spec import StudySpec

Attributes = dict[str, Any]

DIRECTIONS = {"speed": StudyDirection.MINIMIZE, "accuracy": StudyDirection.MAXIMIZE}


class View:
    """A study that is rebuilt from the records at each start: values are the goal's, whatever a trial ran for.

    Trials of other studies, where there are any, come first; hence the two kinds of numbers.
    """

    def __init__(self, spec: StudySpec, goal: Goal, space: Mapping[str, BaseDistribution]) -> None:
        self.spec, self.goal, self.space = spec, goal, dict(space)
        self.study = optuna.create_study(direction=DIRECTIONS[goal], pruner=make_pruner(spec))
        self._ids: dict[int, int] = {}  # by our trial numbers

    @property
    def attributes(self) -> Attributes:
        """What the sampler has noted about the study."""
        return self.study._storage.get_study_system_attrs(self.study._study_id)

    def note(self, attributes: Attributes) -> None:
        """Give the sampler back what it had noted."""
        for key, value in attributes.items():
            self.study._storage.set_study_system_attr(self.study._study_id, key, value)

    def ask(self, sampler: BaseSampler, enqueued: Params | None = None) -> FrozenTrial:
        """A proposal, which is refused or adopted next."""
        self.study.sampler = sampler
        if enqueued is not None:
            self.study.enqueue_trial(enqueued)
        trial = self.study.ask(self.space)
        return self.study._storage.get_trial(trial._trial_id)

    def refuse(self, proposal: FrozenTrial) -> None:
        """Forget a proposal."""
        self.study.tell(proposal.number, state=Verdict.FAIL)

    def adopt(self, number: int, proposal: FrozenTrial) -> None:
        """The proposal becomes our trial of that number."""
        self._ids[number] = proposal._trial_id

    def add(self, number: int, params: Params, attributes: Attributes) -> None:
        """A trial under way that another view, an earlier driver or another study has proposed."""
        if number not in self._ids:
            self.study.add_trial(
                create_trial(
                    state=Verdict.RUNNING, params=params, distributions=self.space, system_attrs=attributes
                )
            )
            self._ids[number] = self.study.get_trials(deepcopy=False)[-1]._trial_id

    def tell(self, record: TrialRecord) -> None:
        """A trial came to its end, under whichever goal it ran. Telling twice is harmless."""
        trial = self._trial(record.number)
        if not trial.state.is_finished():
            self._note_epochs(record)
            state, value = verdict(self.spec, record, self.goal)
            self.study.tell(trial.number, value, state=state)

    def should_prune(self, record: TrialRecord) -> bool:
        """What the study's pruner says to a trial's epochs so far."""
        self._note_epochs(record)
        return bool(record.epochs) and self.study.pruner.prune(self.study, self._trial(record.number))

    def _trial(self, number: int) -> FrozenTrial:
        return self.study._storage.get_trial(self._ids[number])

    def _note_epochs(self, record: TrialRecord) -> None:
        known = self._trial(record.number).intermediate_values
        for epoch in record.epochs:
            if epoch.epoch not in known and epoch.validation_accuracy is not None:
                self.study._storage.set_trial_intermediate_value(
                    self._ids[record.number], epoch.epoch, epoch.validation_accuracy
                )
