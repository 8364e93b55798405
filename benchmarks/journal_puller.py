"""What people write by hand: a long-lived job that pulls trials from a journal which all such jobs share.

python journal_puller.py JOURNAL TRIALS
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend


def main() -> None:
    journal, wanted = Path(sys.argv[1]), int(sys.argv[2])
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))),
        study_name="pulled",
        load_if_exists=True,
        sampler=optuna.samplers.RandomSampler(),
    )
    durations = json.loads((journal.parent / "durations.json").read_text())
    while True:
        trial = study.ask()
        if trial.number >= wanted:
            return
        trial.suggest_float("x", 0.0, 1.0)
        time.sleep(durations[trial.number])
        study.tell(trial, 0.5)


if __name__ == "__main__":
    main()
