"""The study as Optuna's storage keeps it, for dashboards and people; the trial folders are the truth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as Verdict

from sweep.errors import RunFolderError
from sweep.records import TrialRecord
from sweep.search.proposals import Params, attributes, goals, verdict
from sweep.search.storage import open_storage
from sweep.search.views import DIRECTIONS, Attributes
from sweep.spec import StudySpec


class StoredStudy:
    """Trials are added when they are proposed and told when they end. The caller holds the driver's lock."""

    def __init__(self, spec: StudySpec, journal: Path, run_id: str, space: Mapping[str, BaseDistribution]) -> None:
        """Open the storage, creating it if need be.

        Raises:
            RunFolderError: a storage that runs share holds a study of this name from another run.
        """
        self.spec, self.space = spec, dict(space)
        self.storage = open_storage(spec.storage, journal)
        directions = [DIRECTIONS[goal] for goal in goals(spec)]
        self.study = optuna.create_study(
            storage=self.storage, study_name=spec.name, directions=directions, load_if_exists=True
        )
        owner = self.study.user_attrs.get("run_id")
        if owner is None:
            self.study.set_user_attr("run_id", run_id)
        elif owner != run_id:
            raise RunFolderError(
                f"the storage {spec.storage or journal} already holds a study {spec.name!r} of another run; "
                "give this study another name"
            )

    def trials(self) -> dict[int, FrozenTrial]:
        """All of them, by number."""
        return {trial.number: trial for trial in self.study.get_trials(deepcopy=False)}

    def noted(self, goal: str) -> Attributes:
        """What the sampler for that goal had noted."""
        return dict(self.study.user_attrs.get(f"sampler:{goal}", {}))

    def note(self, goal: str, noted: Attributes) -> None:
        """Keep what the sampler for that goal has noted."""
        if noted != self.noted(goal):
            self.study.set_user_attr(f"sampler:{goal}", noted)

    def add(self, params: Params, recipe: Params, noted: Attributes) -> None:
        """A proposal, in one step."""
        self.study.add_trial(
            create_trial(
                state=Verdict.RUNNING,
                params=params,
                distributions=self.space,
                user_attrs={"recipe": recipe},
                system_attrs=noted,
            )
        )

    def tell(self, record: TrialRecord) -> None:
        """Tell a final trial: attributes first, the value last, as the one commit. Telling twice is harmless."""
        study_id = self.storage.get_study_id_from_name(self.spec.name)
        trial_id = self.storage.get_trial_id_from_study_id_trial_number(study_id, record.number)
        if self.storage.get_trial(trial_id).state.is_finished():
            return
        for key, value in attributes(record).items():
            self.storage.set_trial_user_attr(trial_id, key, value)
        verdicts = [verdict(self.spec, record, goal) for goal in goals(self.spec)]
        state = verdicts[0][0]
        values = [value for _, value in verdicts if value is not None]
        self.study.tell(record.number, values if state == Verdict.COMPLETE else None, state=state)

    def reconcile(self, records: Mapping[int, TrialRecord]) -> list[int]:
        """Add again the trials that were lost, and close those that never reached their folder.

        The numbers of the latter are returned. A number without a folder becomes a failed placeholder.
        """
        known = self.trials()
        for number in range(len(known), max(records, default=-1) + 1):
            if number in records:
                self.add(records[number].spec.params, records[number].spec.recipe, {})
            else:
                self.study.add_trial(create_trial(state=Verdict.FAIL))
        abandoned = [
            number for number, trial in known.items() if number not in records and not trial.state.is_finished()
        ]
        for number in abandoned:
            self.study.tell(number, state=Verdict.FAIL)
        return abandoned
