"""Putting failed trials back: they are tried again, as the same trials, when the study is resumed."""

from __future__ import annotations

from collections.abc import Collection

from sweep import files
from sweep.errors import RunFolderError
from sweep.events import EventLog
from sweep.history import load_jobs, load_trials
from sweep.paths import RunPaths, TrialPaths
from sweep.records import FAILURES, TrialRecord, TrialState
from sweep.search.storage import reopen_trials
from sweep.spec import StudySpec

CAUSES = (*FAILURES, TrialState.OUT_OF_MEMORY, TrialState.DIVERGED)


def put_back(
    paths: RunPaths, spec: StudySpec, causes: Collection[TrialState], numbers: Collection[int], anew: bool
) -> list[int]:
    """Put back the failed trials that are in one of these states, or have one of these numbers; which they are.

    They go on from their checkpoints, or begin again with `anew`. The caller holds the driver's lock.

    Raises:
        RunFolderError: a trial of these numbers has not failed.
    """
    trials = load_trials(paths, load_jobs(paths))
    wrong = [number for number in numbers if number not in trials or trials[number].state not in CAUSES]
    if wrong:
        states = (
            f"{number} ({trials[number].state.words})" if number in trials else f"{number} (no such trial)"
            for number in wrong
        )
        raise RunFolderError(f"only trials that failed can be put back; got {', '.join(states)}")
    chosen = [
        record
        for number, record in sorted(trials.items())
        if record.state in CAUSES and (record.state in causes or number in numbers)
    ]
    reopen_trials(spec, paths.journal, [record.number for record in chosen])
    events = EventLog(paths.events)
    for record in chosen:
        events.write("put_back", trial=record.number, state=record.state.value, anew=anew)
        _reopen(paths.trial(record.number), record, anew)
    return [record.number for record in chosen]


def _reopen(trial: TrialPaths, record: TrialRecord, anew: bool) -> None:
    """Set the result aside, last of all: it is what decides a trial."""
    files.replace(trial.put_back, files.to_json({"after_attempt": record.attempts}))
    trial.stop.unlink(missing_ok=True)
    if anew:
        (trial.folder / "checkpoint.pt").unlink(missing_ok=True)
        if trial.progress.exists():
            trial.progress.rename(trial.folder / f"progress.{record.attempts}.jsonl")
    trial.result.rename(trial.former_result(record.attempts))
