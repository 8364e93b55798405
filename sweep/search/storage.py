"""Opens Optuna's storage: a journal file that survives a dead writer, or any storage URL."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweep.errors import StudyFileError
from sweep.spec import StudySpec

optuna.logging.set_verbosity(optuna.logging.WARNING)


def open_storage(url: str, journal: Path) -> optuna.storages.BaseStorage:
    """The storage at `url`, or the journal file. The caller is its only writer."""
    if url:
        try:
            return optuna.storages.get_storage(url)
        except Exception as error:  # whatever the database's driver raises
            raise StudyFileError(
                f"storage must be an Optuna storage URL that can be opened; got {url!r} "
                f"({type(error).__name__}: {error}); leave it empty for a journal in the run folder"
            ) from error
    mend_journal(journal)
    try:
        return JournalStorage(JournalFileBackend(str(journal)))
    except (ValueError, KeyError, AssertionError, TypeError):
        # Damaged beyond its last line: set it aside, the trial folders know everything.
        journal.rename(journal.with_name(f"{journal.name}.damaged-{int(time.time())}"))
        return JournalStorage(JournalFileBackend(str(journal)))


def mend_journal(journal: Path) -> None:
    """Cut a torn last line and a dead writer's lock: the first breaks every later load, the second blocks 30 s."""
    for lock in journal.parent.glob(f"{journal.name}.lock*"):
        lock.unlink(missing_ok=True)
    if journal.exists():
        data = journal.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(journal, whole)


def reopen_trials(spec: StudySpec, journal: Path, numbers: Collection[int]) -> None:
    """Let trials of these numbers run again, which Optuna allows no finished trial.

    The study is written anew: a journal beside the old one, which it then replaces; in a database under the same
    name. Should that be cut short, the trial folders still know everything.
    """
    storage = open_storage(spec.storage, journal)
    if spec.name not in optuna.get_all_study_names(storage):  # lost: the next driver writes it from the folders
        return
    old = optuna.load_study(study_name=spec.name, storage=storage)
    trials = [_reopened(trial) if trial.number in numbers else trial for trial in old.get_trials(deepcopy=False)]
    scratch = journal.with_name(f"{journal.name}.new")
    scratch.unlink(missing_ok=True)
    if spec.storage:
        optuna.delete_study(study_name=spec.name, storage=storage)
    else:
        storage = JournalStorage(JournalFileBackend(str(scratch)))
    new = optuna.create_study(study_name=spec.name, storage=storage, directions=old.directions)
    for key, value in old.user_attrs.items():
        new.set_user_attr(key, value)
    new.add_trials(trials)
    if not spec.storage:
        scratch.replace(journal)


def _reopened(trial: FrozenTrial) -> FrozenTrial:
    return create_trial(
        state=TrialState.RUNNING,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs={"recipe": trial.user_attrs.get("recipe", {})},
        system_attrs=trial.system_attrs,
    )
