"""Jobs that only seem to run: on a virtual clock, with learning curves from a surrogate of the training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from sweep.clock import VirtualClock
from sweep.curves import stop_after_epoch
from sweep.files import append_line, must_read_json, publish, to_json
from sweep.history import read_progress, used_seconds
from sweep.packing import ALONE
from sweep.paths import RunPaths
from sweep.records import JOB_OVERHEAD_SECONDS, Bundle, JobState, Outcome, TrialSpec, TrialState, as_json
from trainer.context import Calibration, EpochReport

# The whole curve of a recipe, as if no limit ended it; wall seconds include start-up and evaluation.
Surrogate = Callable[[Mapping[str, Any]], Sequence[EpochReport]]
CALIBRATION_SECONDS = 0.3  # of a recipe at one batch size
CALIBRATION_SHARE = 0.05  # of a trial, for alternatives
# After how many seconds a job dies without a result; None for never.
Fault = Callable[[Bundle], float | None]


@dataclass(frozen=True)
class Course:
    """What will happen to a job: epochs at times, and an end with or without a result."""

    epochs: tuple[tuple[float, EpochReport], ...]
    ends: float
    outcome: Outcome | None
    left_after_seconds: float | None = None  # the job's time was over before the trial's


@dataclass
class SimulatedJob:
    """A submitted job; it waits until it has a course."""

    bundle: Bundle
    submitted: float
    slot: int = -1
    started: float = 0.0
    course: Course | None = None
    written: int = 0
    ended: JobState | None = None
    charged: float = field(default=0.0)

    @property
    def is_running(self) -> bool:
        return self.course is not None and self.ended is None


class SimulatedLauncher:
    """Runs one trial per job on `slots` GPUs; what a worker would write is written when its time has come."""

    is_bound_to_host = False
    packing = ALONE
    retries: Mapping[str, int] = MappingProxyType({})
    visibility_seconds = 0.0
    may_submit = True

    def __init__(
        self,
        paths: RunPaths,
        clock: VirtualClock,
        surrogate: Surrogate,
        slots: int,
        fault: Fault = lambda bundle: None,
        *,
        time_step: float = 0.0,
    ) -> None:
        self.paths, self.clock, self.surrogate, self.slots, self.fault = paths, clock, surrogate, slots, fault
        self.capacity, self.time_step = slots, time_step
        self.jobs: dict[str, SimulatedJob] = {}
        self.free_at = [clock.time()] * slots

    def granted_seconds(self, wanted_seconds: float) -> float:
        """Rounded up to the time step, if there is one."""
        step = self.time_step
        return math.ceil(wanted_seconds / step) * step if step else wanted_seconds

    def grantable_seconds(self, room_seconds: float) -> float:
        """Rounded down to it."""
        step = self.time_step
        return math.floor(room_seconds / step) * step if step else room_seconds

    def submit(self, bundle: Bundle) -> None:
        """Queue the job; the next poll starts it if a GPU is free."""
        self.jobs[bundle.name] = SimulatedJob(bundle, self.clock.time())

    def poll(self, bundles: Mapping[str, Bundle]) -> dict[str, JobState]:
        """Let everything happen that is due, then tell the states."""
        for job in self.jobs.values():
            if job.course is None:
                self._start(job)
            if job.is_running:
                self._go_on(job)
        return {name: self._state(name) for name in bundles}

    def charged_seconds(self, bundle: Bundle) -> float | None:
        """What the job took."""
        return self.jobs[bundle.name].charged if bundle.name in self.jobs else 0.0

    def cancel(self, bundles: Mapping[str, Bundle]) -> set[str]:
        """End the jobs now, without a result."""
        for name in bundles:
            self._end(self.jobs[name], self.clock.time(), JobState.EXITED)
        return set(bundles)

    def earlier_seconds(self, bundle: Bundle) -> float:
        """Nobody requeues these jobs."""
        return 0.0

    def next_event(self) -> float:
        """When something happens that a driver would see."""
        if any(job.course is None and job.ended is None for job in self.jobs.values()):
            return max(self.clock.time(), min(self.free_at))  # one that waits starts when a GPU is free
        times = [
            self._next_of(job.course, job.written) for job in self.jobs.values() if job.course and job.is_running
        ]
        return min(times, default=self.clock.time())

    @staticmethod
    def _next_of(course: Course, written: int) -> float:
        return course.epochs[written][0] if written < len(course.epochs) else course.ends

    def _state(self, name: str) -> JobState:
        job = self.jobs.get(name)
        if job is None:  # its driver died before it was submitted
            return JobState.EXITED
        return job.ended or (JobState.RUNNING if job.course else JobState.PENDING)

    def _start(self, job: SimulatedJob) -> None:
        slot = min(range(self.slots), key=self.free_at.__getitem__)
        start = max(job.submitted, self.free_at[slot])
        if job.ended is not None or start > self.clock.time():
            return
        number, attempt = _only(job.bundle)
        claim = {"attempt": attempt, "claimed_at": start, "monotonic": start}
        if not publish(self.paths.trial(number).claim(attempt), to_json(claim)):
            self._end(job, start, JobState.EXITED)
            return
        job.slot, job.started, job.course = slot, start, self._course(job.bundle, start)
        self.free_at[slot] = job.course.ends

    def _calibrate(self, spec: TrialSpec) -> list[Calibration]:
        """The pace of recipes that nobody has timed, as a trainer tells it: roughly, and at a price."""
        size = spec.recipe.get("batch_size")
        if not spec.wants_calibration or not isinstance(size, int) or size < 1:
            return []
        startup, _ = _start_and_pace(self.surrogate(spec.recipe))
        luck = np.random.default_rng([spec.number, size])
        told, spent = [], 0.0
        for number, recipe in enumerate((spec.recipe, *spec.alternatives), -1):
            sizes = [size // 4 or 1] if number >= 0 else sorted({size // 4 or 1, size})
            curves = [(tried, self.surrogate(recipe | {"batch_size": tried})) for tried in sizes]
            points = [
                (tried, _start_and_pace(curve)[1] * math.exp(luck.normal(0, 0.2))) for tried, curve in curves
            ]
            took = len(points) * CALIBRATION_SECONDS
            told.append(Calibration("simulated", startup, tuple(points), number if number >= 0 else None, took))
            spent += took if number >= 0 else 0.0
            if spent > CALIBRATION_SHARE * spec.limit_seconds:
                break
        return told

    def _course(self, bundle: Bundle, start: float) -> Course:
        """Work out the whole life of a job when it starts."""
        number, attempt = _only(bundle)
        files = self.paths.trial(number)
        spec = TrialSpec.from_json(must_read_json(files.spec))
        before, done = used_seconds(files), read_progress(files.progress)
        curve = self.surrogate(spec.recipe)
        startup, _ = _start_and_pace(curve)
        calibrations = [] if done or before else self._calibrate(spec)
        for calibration in calibrations:
            append_line(files.progress, {"calibration": as_json(calibration)})
        calibrating = sum(calibration.took_seconds for calibration in calibrations)
        finished = curve[len(done) - 1].wall_seconds if done else startup
        limit = start + spec.limit_seconds - before
        job_end = start + bundle.request_seconds - JOB_OVERHEAD_SECONDS
        epochs: list[tuple[float, EpochReport]] = []
        reports, state, ends = list(done), TrialState.COMPLETED, start + startup + calibrating
        for epoch in curve[len(done) :]:
            wall = before + startup + calibrating + epoch.wall_seconds - finished
            if start + wall - before > min(limit, job_end):
                state, ends = TrialState.DEADLINE, min(limit, job_end)
                break
            reports.append(EpochReport(**{**as_json(epoch), "wall_seconds": wall}))
            ends = start + wall - before
            epochs.append((ends, reports[-1]))
            if (stop := stop_after_epoch(spec, reports)) is not None:
                state = TrialState(stop.value)
                break
        dies = self.fault(bundle)
        if dies is not None and start + dies < ends:
            alive = tuple(event for event in epochs if event[0] <= start + dies)
            return Course(alive, start + dies, None)
        if state == TrialState.DEADLINE and ends < limit:
            return Course(tuple(epochs), ends, None, left_after_seconds=before + ends - start)
        last = reports[-1] if reports else None
        return Course(tuple(epochs), ends, self._outcome(state, attempt, last, before + ends - start))

    @staticmethod
    def _outcome(state: TrialState, attempt: int, last: EpochReport | None, wall_seconds: float) -> Outcome:
        return Outcome(
            state,
            attempt,
            epochs=last.epoch if last else 0,
            accuracy=last.validation_accuracy if last else None,
            train_seconds=last.train_seconds if last else 0.0,
            wall_seconds=wall_seconds,
            device="simulated",
        )

    def _go_on(self, job: SimulatedJob) -> None:
        """Write what is due: epochs, then the end; a stop file ends the trial at its next epoch."""
        assert job.course is not None
        number, attempt = _only(job.bundle)
        files, now = self.paths.trial(number), self.clock.time()
        for at, epoch in job.course.epochs[job.written :]:
            if at > now:
                return
            append_line(files.progress, as_json(epoch))
            job.written += 1
            if files.stop.exists() and at < job.course.ends:
                publish(
                    files.result,
                    to_json(as_json(self._outcome(TrialState.PRUNED, attempt, epoch, epoch.wall_seconds))),
                )
                self._end(job, at, JobState.EXITED)
                return
        if job.course.ends <= now:
            if job.course.outcome is not None:
                publish(files.result, to_json(as_json(job.course.outcome)))
            elif job.course.left_after_seconds is not None:
                left = {"left_after_seconds": job.course.left_after_seconds, "overran_attempt": attempt}
                append_line(files.progress, left)
            self._end(job, job.course.ends, JobState.EXITED)

    def _end(self, job: SimulatedJob, at: float, state: JobState) -> None:
        if job.is_running:
            job.charged, self.free_at[job.slot] = at - job.started, at
        job.ended = job.ended or state


def _start_and_pace(curve: Sequence[EpochReport]) -> tuple[float, float]:
    """Seconds before the first epoch, and of each."""
    pace = (
        (curve[-1].wall_seconds - curve[0].wall_seconds) / (len(curve) - 1)
        if curve[1:]
        else curve[0].train_seconds
    )
    return max(0.0, curve[0].wall_seconds - pace), pace


def _only(bundle: Bundle) -> tuple[int, int]:
    """The trial of a job that has one, and which attempt this is."""
    (attempt,) = bundle.attempts
    return attempt.trial, attempt.number
