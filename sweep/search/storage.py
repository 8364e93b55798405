"""Opens Optuna's storage: a journal file that survives a dead writer, or any storage URL."""

from __future__ import annotations

import os
import time
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from sweep.errors import StudyFileError

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
