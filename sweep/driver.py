"""The driver: one loop that collects, retries and refills until a limit of the study is reached."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable
from dataclasses import replace

from sweep import files
from sweep.errors import BreakerError, RunFolderError
from sweep.events import EventLog, driven_seconds
from sweep.history import first_claim, last_sign, load_jobs, load_trials, refresh, used_seconds
from sweep.launchers import Launcher
from sweep.ledger import allowance, balance
from sweep.paths import RunPaths
from sweep.records import (
    Bundle,
    Ending,
    Job,
    JobEnd,
    JobState,
    Outcome,
    TrialRecord,
    TrialSpec,
    TrialState,
    as_json,
    check_transition,
)
from sweep.search import Search, SpaceExhaustedError
from sweep.spec import JOB_OVERHEAD_SECONDS, StudySpec
from sweep.walltime import batch_size_of, fit_all, network_of

BREAKER_FAILURES = 5  # in a row, before anything else is submitted


class Driver:
    """Drives one run. The caller holds the driver's lock; only this object writes the study and the events."""

    def __init__(
        self, paths: RunPaths, spec: StudySpec, search: Search, launcher: Launcher, events: EventLog
    ) -> None:
        self.paths, self.spec, self.search, self.launcher, self.events = paths, spec, search, launcher, events
        self.jobs: dict[str, Job] = load_jobs(paths)
        self.trials: dict[int, TrialRecord] = load_trials(paths, self.jobs)
        self.driven_before = driven_seconds(paths.events)
        self.clock = events.clock
        self.began = self.clock.monotonic()
        self.no_more: Ending | None = None  # why no new trial is proposed
        self.failures_in_a_row = self.false_starts_in_a_row = 0
        self.breaker: BreakerError | None = None
        self.exhausted_at: int | None = None  # jobs in flight when the search found nothing new

    def run(self, poll_seconds: float, on_step: Callable[[Driver], None]) -> Ending:
        """Drive until the study is over.

        Raises:
            BreakerError: the same kind of failure hit trial after trial.
        """
        self.adopt()
        while (ending := self.step()) is None:
            on_step(self)
            self.clock.sleep(poll_seconds)
        self.events.write("ended", why=ending.value)
        on_step(self)
        return ending

    def adopt(self) -> None:
        """Bring the storage in line with the folders and note the jobs of an earlier driver that still live.

        Raises:
            RunFolderError: jobs are in flight on another host, of which nothing can be known here.
        """
        for number in self.search.reconcile(self.trials):
            self.events.write("abandoned", trial=number, why="the driver died before it was written down")
        told = {line.get("trial") for line in files.read_lines(self.paths.events) if line.get("event") == "told"}
        for record in self.trials.values():
            if record.outcome is None:
                continue
            if record.number in told:
                self.search.tell(record)  # in case the storage was lost; else it has heard
            else:  # ended while no driver was there
                self.settle(record, record.outcome)
        bundles = self.bundles_in_flight()
        elsewhere = sorted({bundle.host for bundle in bundles.values()} - {socket.gethostname()})
        if elsewhere and self.launcher.is_bound_to_host:
            raise RunFolderError(
                f"jobs of this run were started on {', '.join(elsewhere)} and may still run there; resume there"
            )
        states = self.launcher.poll(bundles)
        for name, state in states.items():
            if state.is_live:
                trials = [number for number, _ in self.jobs[name].bundle.trials]
                self.events.write("adopted", job=name, trials=trials, state=state.value)

    def step(self) -> Ending | None:
        """One round: collect what happened, then either wind down or fill the free slots.

        Raises:
            BreakerError: the same kind of failure hit trial after trial.
        """
        self.collect()
        if self.paths.stop.exists():
            return self.wind_down()
        if self.breaker is not None:
            self.events.write("breaker", why=str(self.breaker))
            raise self.breaker
        self.refill()
        return None if self.bundles_in_flight() else self.no_more

    # --- collecting ---------------------------------------------------------------------------------------

    def collect(self) -> None:
        """Settle the trials that have a result and close the jobs that are gone."""
        bundles = self.bundles_in_flight()
        states = self.launcher.poll(bundles)
        for name, state in states.items():  # results are read after the states: a result counts whatever the state
            for number in self.trials_of(bundles[name]):
                self.look_at(number)
            if not state.is_live:
                self.close_job(name, state)

    def look_at(self, number: int) -> None:
        """Read a trial's folder again, and settle the trial if it has a result now."""
        old = self.trials[number]
        if old.state.is_final:
            return
        new = refresh(self.paths, old)
        check_transition(old.state, new.state)
        self.trials[number] = new
        if new.state != old.state:
            facts = {"attempt": new.attempts, "accuracy": new.accuracy, "train_seconds": new.train_seconds}
            self.events.write(new.state.value, trial=number, **facts)
        if new.outcome is not None:
            self.settle(new, new.outcome)

    def settle(self, record: TrialRecord, outcome: Outcome) -> None:
        """Tell Optuna, last of all, and mind the breaker."""
        self.search.tell(record)
        self.events.write("told", trial=record.number, state=record.state.value)
        self.failures_in_a_row = self.failures_in_a_row + 1 if record.state.is_failure else 0
        if self.failures_in_a_row >= BREAKER_FAILURES:
            self.trip(
                f"{self.failures_in_a_row} trials in a row failed, the last with: {outcome.detail}", record.number
            )

    def trip(self, what: str, number: int) -> None:
        """Have the next step stop the drive, once what it collects is settled."""
        self.breaker = BreakerError(
            f"{what}\nNothing more is submitted; see `sweep logs {number} --study {self.spec.name}`, "
            f"mend the cause and go on with `sweep resume {self.spec.name}`; failed trials are counted, so add "
            "`--set limits.trials=...` to have as many again"
        )

    def close_job(self, name: str, state: JobState, cancelled: bool = False) -> None:
        """Book the job, then retry or give up its trials that have no result.

        A job that never claimed a trial costs none of them an attempt: its driver died, or its process could
        not start, which is nobody's recipe. Many of those in a row trip the breaker.
        """
        bundle = self.jobs[name].bundle
        claim = first_claim(self.paths, bundle)
        seconds = self.launcher.charged_seconds(bundle)
        if seconds is None:
            seconds = 0.0 if claim is None else max(0.0, last_sign(self.paths, bundle) - claim["claimed_at"])
        self.false_starts_in_a_row = self.false_starts_in_a_row + 1 if claim is None and not cancelled else 0
        end = JobEnd(state, gpu_seconds=math.ceil(seconds * 1000) / 1000, excused=cancelled or claim is None)
        for number in self.trials_of(bundle):
            self.revoke(number, self.trials[number].attempts)
        files.publish(self.paths.job(name).ended, files.to_json(as_json(end)))
        self.jobs[name] = Job(bundle, end)
        self.events.write("job_ended", job=name, state=state.value, gpu_seconds=end.gpu_seconds)
        for number in self.trials_of(bundle):
            record = replace(self.trials[number], in_flight=False)
            if not record.state.is_final:
                record = replace(record, state=TrialState.QUEUED, failures=record.failures + (not end.excused))
            self.trials[number] = record
            if not record.state.is_final and not cancelled:
                self.retry_or_lose(record, state)
        if self.false_starts_in_a_row >= BREAKER_FAILURES:
            what = f"{self.false_starts_in_a_row} jobs in a row ended before they started a trial"
            self.trip(what, bundle.trials[0][0])

    def retry_or_lose(self, record: TrialRecord, state: JobState) -> None:
        """A trial whose process died goes on from its checkpoint, a few times."""
        if state != JobState.TIMEOUT and record.failures <= self.spec.retries:
            self.events.write("retry", trial=record.number, after_attempt=record.attempts)
            return
        last = record.epochs[-1] if record.epochs else None
        timed_out = state == JobState.TIMEOUT
        outcome = Outcome(
            state=TrialState.TIMEOUT if timed_out else TrialState.LOST,
            attempt=record.attempts,
            epochs=last.epoch if last else 0,
            accuracy=last.validation_accuracy if last else None,
            train_seconds=last.train_seconds if last else 0.0,
            wall_seconds=last.wall_seconds if last else 0.0,
            detail="had to be killed at its limit" if timed_out else "its process died without a result",
        )
        files.publish(self.paths.trial(record.number).result, files.to_json(as_json(outcome)))
        self.look_at(record.number)

    def revoke(self, number: int, attempt: int) -> None:
        """Take the claim of a dead attempt, so that it can never start late."""
        files.publish(self.paths.trial(number).claim(attempt), files.to_json({"revoked_at": self.clock.time()}))

    def wind_down(self) -> Ending:
        """Cancel what runs and keep what is done: the next resume goes on from the checkpoints."""
        bundles = self.bundles_in_flight()
        self.launcher.cancel(bundles)
        for name, bundle in bundles.items():
            for number in self.trials_of(bundle):
                self.look_at(number)
            self.close_job(name, JobState.EXITED, cancelled=True)
        self.paths.stop.unlink()
        return Ending.STOPPED

    # --- refilling ----------------------------------------------------------------------------------------

    def refill(self) -> None:
        """Fill the launcher: trials that wait for another attempt first, then new ones."""
        while len(self.bundles_in_flight()) < self.places():
            choice = self.next_trial()
            if isinstance(choice, Ending):
                self.no_more = choice
                return
            self.launch(choice)

    def places(self) -> int:
        """How many jobs to have in flight: none waits for a slot if the walltime may be over before its turn."""
        turn_seconds = self.spec.limits.trial + JOB_OVERHEAD_SECONDS
        left = self.walltime_left()
        return self.launcher.capacity if left is None or left > 2 * turn_seconds else self.launcher.slots

    def walltime_left(self) -> float | None:
        """Seconds until the study's walltime is over; None without such a limit."""
        walltime = self.spec.limits.walltime
        return None if walltime is None else walltime - self.elapsed_seconds()

    def next_trial(self) -> TrialRecord | Ending:
        """The trial to launch now, or why there is none; with jobs in flight that may still change."""
        waiting = [
            record for record in self.trials.values() if record.state == TrialState.QUEUED and not record.in_flight
        ]
        ledger = balance(self.jobs.values(), self.spec.limits.gpu_hours)
        for record in waiting:  # its limit is written down and stays
            left = max(0.0, record.spec.limit_seconds - used_seconds(self.paths.trial(record.number)))
            room = allowance(left, ledger, self.walltime_left())
            if room.seconds == left:
                return record
        if waiting:
            return room.cut_by or Ending.GPU_HOURS
        if len(self.trials) >= self.spec.limits.trials:
            return Ending.TRIALS
        room = allowance(self.spec.limits.trial, ledger, self.walltime_left())
        if room.seconds is None:
            return room.cut_by or Ending.GPU_HOURS
        return self.propose(room.seconds, room.cut_by)

    def propose(self, limit_seconds: float, cut_by: Ending | None) -> TrialRecord | Ending:
        """Ask for a trial and write it down before anything runs; `cut_by` says what shortened its limit."""
        in_flight = len(self.bundles_in_flight())
        if self.exhausted_at == in_flight:  # nothing has ended since, so asking again would find nothing new
            return cut_by or Ending.SPACE
        models = fit_all(self.trials.values())
        try:
            number, params, recipe = self.search.ask(models, limit_seconds)
        except SpaceExhaustedError:
            self.exhausted_at = in_flight
            return cut_by or Ending.SPACE
        model = models.get(network_of(recipe))
        predicted = None
        if model is not None and isinstance(recipe.get("epochs"), int):
            predicted = model.trial_seconds(batch_size_of(recipe), recipe["epochs"])
        spec = TrialSpec(
            number=number,
            trainer=self.spec.trainer,
            recipe=recipe,
            params=params,
            limit_seconds=limit_seconds,
            stop_at=self.spec.target if self.spec.goal == "speed" else None,
            predicted_seconds=predicted,
        )
        trial = self.paths.trial(number)
        trial.folder.mkdir(parents=True, exist_ok=True)
        files.replace(trial.spec, files.to_json(as_json(spec)))
        self.events.write("proposed", trial=number, recipe=recipe)
        return TrialRecord(spec)

    def launch(self, record: TrialRecord) -> None:
        """Write the intent down, then submit: a driver that dies in between leaves a name to look up."""
        attempt = record.attempts + 1
        used = min(record.spec.limit_seconds, used_seconds(self.paths.trial(record.number)))
        bundle = Bundle(
            name=f"{self.spec.name}-{record.number:05d}-{attempt}",
            trials=((record.number, attempt),),
            request_seconds=record.spec.limit_seconds - used + JOB_OVERHEAD_SECONDS,
            submitted_at=self.clock.time(),
            host=socket.gethostname(),
        )
        folder = self.paths.job(bundle.name)
        folder.folder.mkdir(parents=True, exist_ok=True)
        files.replace(folder.bundle, files.to_json(as_json(bundle)))
        self.jobs[bundle.name] = Job(bundle)
        self.trials[record.number] = replace(record, attempts=attempt, in_flight=True)
        self.launcher.submit(bundle)
        self.events.write("submitted", job=bundle.name, trials=[record.number], attempt=attempt)

    # --- what the parts ask of the whole ------------------------------------------------------------------

    def bundles_in_flight(self) -> dict[str, Bundle]:
        return {name: job.bundle for name, job in self.jobs.items() if job.end is None}

    def trials_of(self, bundle: Bundle) -> list[int]:
        """The bundle's trials, less those whose folder somebody has removed."""
        return [number for number, _ in bundle.trials if number in self.trials]

    def elapsed_seconds(self) -> float:
        """How long the study has been driven, over all sessions."""
        return self.driven_before + self.clock.monotonic() - self.began
