"""What a driver has on its desk: the run's trials and jobs, and what it works on them with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property

from sweep import files
from sweep.events import EventLog, driven_seconds
from sweep.history import load_jobs, load_trials
from sweep.launchers import Launcher
from sweep.ledger import Ledger, balance
from sweep.paths import RunPaths
from sweep.records import JOB_OVERHEAD_SECONDS, Attempt, Bundle, Job, TrialRecord, TrialState, as_json
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
        self.overran = _overran(self.jobs.values())  # by trial, the longest time that proved too little
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
        ledger = balance(self.jobs.values(), self.spec.limits.gpu_hours)
        restarted = sum(map(self.launcher.earlier_seconds, self.bundles_in_flight().values()))
        return replace(ledger, committed_seconds=ledger.committed_seconds + restarted)

    def end_job(self, job: Job) -> None:
        """A job is known to have ended."""
        self.jobs[job.bundle.name] = job
        for number, seconds in _overran([job]).items():
            self.overran[number] = max(seconds, self.overran.get(number, 0.0))

    def bundles_in_flight(self) -> dict[str, Bundle]:
        """The bundles whose jobs are not known to have ended."""
        return {name: job.bundle for name, job in self.jobs.items() if job.end is None}

    def write_bundle(self, bundle: Bundle) -> None:
        """The intent of a launch, or a bundle with more in it: on disk first, where the job's lanes read it."""
        files.replace(self.paths.job(bundle.name).bundle, files.to_json(as_json(bundle)))
        self.jobs[bundle.name] = Job(bundle)

    def hand_out(self, record: TrialRecord, attempt: Attempt) -> None:
        """The trial's attempt is in a bundle that is written."""
        self.trials[record.number] = replace(record, attempts=attempt.number, in_flight=True)

    def undecided(self) -> int:
        """Trials of the study that have no result, those not proposed yet included."""
        return self.spec.limits.trials - sum(record.state.is_final for record in self.trials.values())

    def lanes_at_work(self) -> int:
        """Lanes of the jobs that have begun."""
        return sum(
            bundle.lanes
            for bundle in self.bundles_in_flight().values()
            if any(self.trials[number].state != TrialState.QUEUED for number in self.trials_of(bundle))
        )

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


def _overran(jobs: Iterable[Job]) -> dict[int, float]:
    """The longest time of a lane that each trial has had and that was too little, of those that had too little."""
    longest: dict[int, float] = {}
    for job in jobs:
        for attempt in job.bundle.attempts:
            if job.end is not None and attempt.trial in job.end.overran:
                alone = len(job.bundle.attempts) == 1
                had = job.bundle.request_seconds - JOB_OVERHEAD_SECONDS if alone else attempt.needs_seconds
                longest[attempt.trial] = max(had, longest.get(attempt.trial, 0.0))
    return longest
