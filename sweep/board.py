"""What a driver has on its desk: the run's trials and jobs, and what it works on them with."""

from __future__ import annotations

from functools import cached_property

from sweep.events import EventLog, driven_seconds
from sweep.history import load_jobs, load_trials
from sweep.launchers import Launcher
from sweep.ledger import Ledger, balance
from sweep.paths import RunPaths
from sweep.records import Bundle, Job, TrialRecord
from sweep.search import Search
from sweep.spec import StudySpec
from sweep.timings import TimingsFile, timings_of
from sweep.walltime import WalltimeModels, fit_all


class Board:
    """The state of a drive. What is written down and what is held here change together."""

    def __init__(
        self,
        paths: RunPaths,
        spec: StudySpec,
        search: Search,
        launcher: Launcher,
        events: EventLog,
        *,
        memory: TimingsFile | None = None,
    ) -> None:
        """`memory` keeps timings from study to study."""
        self.paths, self.spec, self.search, self.launcher, self.events = paths, spec, search, launcher, events
        self.jobs: dict[str, Job] = load_jobs(paths)
        self.trials: dict[int, TrialRecord] = load_trials(paths, self.jobs)
        self.timings = {number: timings_of(record) for number, record in self.trials.items()}
        self.memory = memory
        self.earlier = memory.recall_once(paths.timings) if memory else []  # timings of other studies
        self.driven_before = driven_seconds(paths.events)
        self.clock = events.clock
        self.began = self.clock.monotonic()

    @cached_property
    def models(self) -> WalltimeModels:
        """What the timings so far tell; `note_timings` forgets it when there are new ones."""
        own = (timing for number in sorted(self.timings) for timing in self.timings[number])
        return fit_all([*self.earlier, *own])

    def note_timings(self, record: TrialRecord) -> None:
        """Learn from a trial's epochs."""
        self.timings[record.number] = timings_of(record)
        self.__dict__.pop("models", None)

    @property
    def ledger(self) -> Ledger:
        return balance(self.jobs.values(), self.spec.limits.gpu_hours)

    def bundles_in_flight(self) -> dict[str, Bundle]:
        """The bundles whose jobs are not known to have ended."""
        return {name: job.bundle for name, job in self.jobs.items() if job.end is None}

    def trials_of(self, bundle: Bundle) -> list[int]:
        """The bundle's trials, less those whose folder somebody has removed."""
        return [attempt.trial for attempt in bundle.attempts if attempt.trial in self.trials]

    def elapsed_seconds(self) -> float:
        """How long the study has been driven, over all sessions."""
        return self.driven_before + self.clock.monotonic() - self.began

    def walltime_left(self) -> float | None:
        """Seconds until the study's walltime is over; None without such a limit."""
        walltime = self.spec.limits.walltime
        return None if walltime is None else walltime - self.elapsed_seconds()
