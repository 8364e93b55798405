"""Watching jobs: one question to Slurm per interval, however many jobs there are.

The accounting is asked, and the controller where there is none, where it fails, or where the accounting's word is
not the last: a job that the site may requeue, one that it does not know yet, one whose id never arrived.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from sweep import files
from sweep.launchers import slurm_commands as slurm
from sweep.launchers.slurm_script import job_name
from sweep.paths import RunPaths
from sweep.records import Bundle, JobState
from sweep.slurm_options import SlurmOptions

MISSING_SECONDS = 90.0  # from its submission until a job that nobody knows is taken for gone
OUT_OF_MEMORY = re.compile(r"slurmstepd.*(exceeded (job )?memory limit|oom[-_ ]kill)|Exceeded job memory", re.I)
REASON_QUERIES = 10  # one question in so many is why jobs wait
RETRUST_SECONDS = 600.0  # until the accounting is asked again that had failed


class Watch:
    """What is known of the jobs of one run."""

    def __init__(self, options: SlurmOptions, paths: RunPaths, run_id: str, notice: Callable[[str], None]) -> None:
        self.options, self.paths, self.run_id, self.notice = options, paths, run_id, notice
        self.ids: dict[str, str] = {}
        self.submitted_at: dict[str, float] = {}  # time.time(), of the last sbatch
        self.known: dict[str, slurm.SlurmJob] = {}
        self.doubtful: dict[str, slurm.SlurmJob | None] = {}  # what the accounting told, and is not the last word
        self.gone: set[str] = set()
        self.shown: dict[str, tuple[JobState, str]] = {}
        self.next_query = self.next_look_up = self.next_reasons = 0.0
        self.trusts_accounting_at = 0.0 if options.accounting else math.inf

    @property
    def running(self) -> int:
        """Jobs that run, as far as is known."""
        return sum(job.state == JobState.RUNNING for job in self.known.values())

    def id_of(self, name: str) -> str | None:
        """Slurm's id of the job, once it is known."""
        if name not in self.ids:
            facts = files.read_json(self.paths.job(name).slurm) or {}
            if "refused" in facts:
                self.gone.add(name)
            elif "job_id" in facts:
                self.ids[name] = facts["job_id"]
        return self.ids.get(name)

    def seconds(self, name: str) -> float | None:
        """How long the job ran; None if Slurm does not tell."""
        return self.known[name].seconds if name in self.known else None

    def earlier_seconds(self, name: str) -> float:
        """How long it ran before the site requeued it."""
        return self.known[name].earlier_seconds if name in self.known else 0.0

    def find_live(self, bundles: Mapping[str, Bundle]) -> list[str]:
        """The ids of those jobs that the controller knows to live, by their names.

        Raises:
            SlurmError: it does not answer.
        """
        names = {job_name(bundle.name, self.run_id): name for name, bundle in bundles.items()}
        found = [job for job in slurm.ask_controller(names=names) if job.name in names]
        for job in found:
            self.ids[names[job.name]] = job.id
            earlier = self.earlier_seconds(names[job.name])
            self.known[names[job.name]] = replace(job, seconds=job.seconds + earlier, earlier_seconds=earlier)
        return [job.id for job in found if job.state.is_live]

    def states(self, bundles: Mapping[str, Bundle]) -> dict[str, JobState]:
        """The states of these jobs, as Slurm told last."""
        self.known = {name: job for name, job in self.known.items() if name in bundles}
        if bundles and time.monotonic() >= self.next_query:
            self.next_query = time.monotonic() + self.options.query_seconds
            try:
                self._ask(bundles)
            except slurm.SlurmError as error:
                self.notice(f"Slurm does not answer, its last word counts: {error}")
            self._write_down(bundles)
        return {name: self._state(name) for name in bundles}

    def _write_down(self, bundles: Mapping[str, Bundle]) -> None:
        """Write down what `sweep status` shows of each job, and tell of reasons that waiting does not mend."""
        for name in bundles:
            if (job := self.known.get(name)) is not None and self.shown.get(name) != (job.state, job.reason):
                self.shown[name] = job.state, job.reason
                facts = {"job_id": job.id, "state": job.state.value, "reason": job.reason}
                files.replace(self.paths.job(name).slurm, files.to_json(facts))
                if job.reason in slurm.LASTING_REASONS:
                    self.notice(f"job {job.id} ({name}) waits, and will wait for ever: {job.reason}")

    def _state(self, name: str) -> JobState:
        job = self.known.get(name)
        if name in self.gone:
            return JobState.EXITED
        state = JobState.PENDING if job is None else job.state
        if state == JobState.EXITED and files.read_text(self.paths.job(name).setup_failed):
            return JobState.SETUP_FAILED
        if state == JobState.EXITED and self._ran_out_of_memory(name):
            return JobState.OUT_OF_MEMORY
        return state

    def _ran_out_of_memory(self, name: str) -> bool:
        """Not every site's Slurm says so in the job's state; its step manager always writes it into the log."""
        logs = (path for path in self.paths.job(name).logs() if path.suffix == ".err")
        return any(OUT_OF_MEMORY.search(files.tail(path)) for path in logs)

    def _ask(self, bundles: Mapping[str, Bundle]) -> None:
        """One question: who the nameless are, what has become of the doubtful, or how all are."""
        names = self._names_by_id(bundles)
        nameless = {name: bundles[name] for name in bundles if name not in self.ids and name not in self.gone}
        if nameless and (not names or time.monotonic() >= self.next_look_up):
            self.next_look_up = time.monotonic() + 2 * self.options.query_seconds
            self._look_up(nameless)
        elif names and (self.doubtful or time.monotonic() < self.trusts_accounting_at or self._wants_reasons()):
            self._ask_controller(names, bundles)
        elif names:
            self._ask_accounting(names)

    def _wants_reasons(self) -> bool:
        """Whether it is time to ask why jobs wait, which the accounting does not know."""
        if time.monotonic() < self.next_reasons or not any(
            j.state == JobState.PENDING for j in self.known.values()
        ):
            return False
        self.next_reasons = time.monotonic() + REASON_QUERIES * self.options.query_seconds
        return True

    def _names_by_id(self, bundles: Mapping[str, Bundle]) -> dict[str, str]:
        """Of two jobs with one id, a controller that crashed has lost the older: it is looked up by its name."""
        names: dict[str, str] = {}
        for name in sorted(bundles, key=lambda name: bundles[name].submitted_at):
            job_id = self.id_of(name)
            if job_id is None:
                continue
            if job_id in names:
                del self.ids[names[job_id]]
                self.paths.job(names[job_id]).slurm.unlink()
            names[job_id] = name
        return names

    def _ask_accounting(self, names: Mapping[str, str]) -> None:
        try:
            told = self._ours(names, slurm.ask_accounting(names))
        except slurm.SlurmError as error:
            self.next_query = 0.0
            self._distrust_accounting(error)
            return
        for name in names.values():
            job = told.get(name)
            if job is None or (job.state in slurm.MAY_RETURN and self.options.requeue):
                self.doubtful[name] = job
            else:
                self.known[name] = job

    def _ask_controller(self, names: Mapping[str, str], bundles: Mapping[str, Bundle]) -> None:
        told = self._ours(names, slurm.ask_controller(names))
        doubtful, self.doubtful = self.doubtful, {}
        for name in names.values():
            job = told.get(name) or doubtful.get(name)
            if job is not None:
                self.known[name] = job
            elif self._is_missing(bundles[name]):
                self.gone.add(name)

    def _ours(self, names: Mapping[str, str], jobs: Iterable[slurm.SlurmJob]) -> dict[str, slurm.SlurmJob]:
        """Of the jobs told, those of our names: a controller that crashed may give an id to another job.

        The accounting does not know the names of very young or very short jobs; the controller does.
        """
        own = {job_id: job_name(name, self.run_id) for job_id, name in names.items()}
        return {names[job.id]: job for job in jobs if own.get(job.id) == job.name}

    def _look_up(self, nameless: Mapping[str, Bundle]) -> None:
        """Find jobs by their names, whose ids never arrived: the driver died, or sbatch gave no answer."""
        names = {job_name(bundle.name, self.run_id): name for name, bundle in nameless.items()}
        found = {names[job.name]: job for job in slurm.ask_controller(names=names) if job.name in names}
        missing = {
            name: bundle for name, bundle in nameless.items() if name not in found and self._is_missing(bundle)
        }
        if missing and time.monotonic() >= self.trusts_accounting_at:
            found |= self._find_in_accounting(names, missing)
        for name, job in found.items():
            self.ids[name], self.known[name] = job.id, job
            files.replace(self.paths.job(name).slurm, files.to_json({"job_id": job.id}))
        self.gone |= missing.keys() - found.keys()

    def _find_in_accounting(
        self, names: Mapping[str, str], missing: Mapping[str, Bundle]
    ) -> dict[str, slurm.SlurmJob]:
        since = datetime.fromtimestamp(min(bundle.submitted_at for bundle in missing.values()) - 86_400)
        try:
            jobs = slurm.find_in_accounting(names, since.isoformat(timespec="seconds"))
        except slurm.SlurmError as error:
            self._distrust_accounting(error)
            return {}
        return {names[job.name]: job for job in jobs if job.name in names}

    def _distrust_accounting(self, error: slurm.SlurmError) -> None:
        self.trusts_accounting_at = time.monotonic() + RETRUST_SECONDS
        self.notice(f"sacct does not answer, squeue is asked instead: {error}")

    def _is_missing(self, bundle: Bundle) -> bool:
        submitted_at = max(bundle.submitted_at, self.submitted_at.get(bundle.name, 0.0))
        return time.time() - submitted_at > MISSING_SECONDS
