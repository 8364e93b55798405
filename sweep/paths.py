"""RunPaths: every file of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrialPaths:
    """The files of one trial; the worker writes here and nowhere else."""

    folder: Path

    @property
    def spec(self) -> Path:
        return self.folder / "trial.json"

    def claim(self, attempt: int, restart: int = 0) -> Path:
        """Created by whoever may run this attempt; anew where the site has started its job again."""
        return self.folder / f"claim.{attempt}{f'.{restart}' if restart else ''}"

    @property
    def put_back(self) -> Path:
        """Written when a trial that had failed is to be tried again: after which attempt."""
        return self.folder / "put_back.json"

    def former_result(self, attempt: int) -> Path:
        """The result that the trial had before it was put back."""
        return self.folder / f"result.{attempt}.json"

    @property
    def progress(self) -> Path:
        return self.folder / "progress.jsonl"

    @property
    def stop(self) -> Path:
        """Whoever creates it ends the trial early, as pruned."""
        return self.folder / "stop"

    @property
    def result(self) -> Path:
        return self.folder / "result.json"


@dataclass(frozen=True)
class JobPaths:
    """The files of one job; submitit keeps its pickles and logs beside ours."""

    folder: Path

    @property
    def bundle(self) -> Path:
        """Written before the job is launched: the intent."""
        return self.folder / "bundle.json"

    @property
    def lock(self) -> Path:
        """Held by the job's process from its first moment to its last (local launcher)."""
        return self.folder / "lock"

    @property
    def pickle(self) -> Path:
        """What submitit is to call; the job's script gives it the name that submitit looks for (Slurm)."""
        return self.folder / "bundle.pkl"

    @property
    def script(self) -> Path:
        """What sbatch was given (Slurm)."""
        return self.folder / "job.sh"

    @property
    def slurm(self) -> Path:
        """The id that Slurm gave the job."""
        return self.folder / "slurm.json"

    @property
    def cancelled(self) -> Path:
        """Written by the driver before it cancels the job itself."""
        return self.folder / "cancelled"

    @property
    def setup_failed(self) -> Path:
        """The setup line that failed, if one has (Slurm)."""
        return self.folder / "setup_failed"

    @property
    def ended(self) -> Path:
        """Written by the driver once the job is gone: its state and what it cost."""
        return self.folder / "ended.json"

    def logs(self) -> list[Path]:
        """stdout and stderr of every task, as submitit names them."""
        return sorted([*self.folder.glob("*_log.out"), *self.folder.glob("*_log.err")])


@dataclass(frozen=True)
class RunPaths:
    """The files of one study's run."""

    root: Path

    @property
    def study(self) -> Path:
        return self.root / "study.toml"

    @property
    def profile(self) -> Path:
        return self.root / "profile.toml"

    @property
    def run_id(self) -> Path:
        """Tells this run from another of the same name in a shared storage."""
        return self.root / "run_id"

    @property
    def code(self) -> Path:
        """Which code the jobs import: its version, hash and files."""
        return self.root / "code.json"

    def snapshot(self, code_hash: str) -> Path:
        """The code of that hash, as it was copied."""
        return self.root / "code" / code_hash

    @property
    def journal(self) -> Path:
        return self.root / "journal.log"

    @property
    def driver_lock(self) -> Path:
        return self.root / "driver.lock"

    @property
    def driver_jobs(self) -> Path:
        """The Slurm jobs in which drivers of this run wait or work (launch --detach)."""
        return self.root / "driver_jobs.json"

    @property
    def driver_script(self) -> Path:
        return self.root / "driver.sh"

    @property
    def driver_setup_failed(self) -> Path:
        """The setup line of the profile that failed in the driver's own job, if one has."""
        return self.root / "driver_setup_failed"

    @property
    def driver_log(self) -> Path:
        """What drivers without a terminal print."""
        return self.root / "driver.log"

    @property
    def stop(self) -> Path:
        """Asks the driver to cancel what runs and leave."""
        return self.root / "stop"

    @property
    def events(self) -> Path:
        return self.root / "events.jsonl"

    @property
    def history(self) -> Path:
        """Trials of other studies to learn from, one a line, in the terms of this one."""
        return self.root / "history.jsonl"

    @property
    def timings(self) -> Path:
        """The timings of other studies, as they were when this one began."""
        return self.root / "timings.jsonl"

    @property
    def trials(self) -> Path:
        return self.root / "trials"

    @property
    def jobs(self) -> Path:
        return self.root / "jobs"

    @property
    def slots(self) -> Path:
        """One lock file per slot of this run (local launcher)."""
        return self.root / "slots"

    @property
    def report(self) -> Path:
        return self.root / "report"

    def trial(self, number: int) -> TrialPaths:
        return TrialPaths(self.trials / f"{number:05d}")

    def job(self, name: str) -> JobPaths:
        return JobPaths(self.jobs / name)
