"""Profile: the description of a cluster, or of this machine."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, model_validator

from sweep.durations import Seconds
from sweep.failures import CAUSES
from sweep.packing import Packing
from sweep.slurm_options import SlurmOptions


def _count_or_auto(least: int) -> PlainValidator:
    """One rule for the union, so that one mistake is told once."""

    def check(value: object) -> object:
        if value == "auto" or (type(value) is int and value >= least):
            return value
        raise ValueError(f'must be a whole number of at least {least}, or "auto"')

    return PlainValidator(check)


class Profile(BaseModel):
    """Where jobs run and how many at once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="names the profile")
    description: str = Field("", description="a sentence for people")
    launcher: Literal["local", "slurm"] = Field(
        description="local: processes on this machine; slurm: jobs of the cluster"
    )
    slots: Annotated[int | Literal["auto"], _count_or_auto(1)] = Field(
        "auto", description="jobs that run at once; auto: one per GPU, else one per `threads` CPU cores"
    )
    gpus: Annotated[int | Literal["auto"], _count_or_auto(0)] = Field(
        "auto", description="GPUs to hand out, one per slot in turn; auto: those of this machine"
    )
    standby: Annotated[int | Literal["auto"], _count_or_auto(0)] = Field(
        "auto", description="jobs started ahead that wait for a free slot; auto: one for every four slots"
    )
    threads: int = Field(1, ge=1, description="CPU threads of each job")
    time_step: Seconds | None = Field(
        None, description="requests for time are rounded up to a multiple of this; unset: not rounded"
    )
    time_limit: Seconds | None = Field(
        None, ge=60, description="the longest request granted; a trial that takes longer goes on in another job"
    )
    data_dir: str = Field("", description="where cifar10 and mnist lie here; empty: what the study says")
    env: dict[str, str] = Field(default_factory=dict, description="environment variables of every job")
    poll_seconds: float | None = Field(
        None,
        gt=0,
        le=3600,
        description="how often the driver looks at its jobs' files; unset: 0.1 s, with Slurm 2 s",
    )
    retries: dict[str, Annotated[int, Field(ge=0)]] = Field(
        default_factory=dict, description="how often a trial is tried again that died with its job, by cause"
    )
    slurm: SlurmOptions | None = Field(None, description="the table of options for Slurm")

    @model_validator(mode="after")
    def _fits_its_launcher(self) -> Self:
        mistakes = []
        if unknown := sorted(self.retries.keys() - CAUSES.keys()):
            mistakes.append(f"retries: no such cause: {', '.join(unknown)}; known are {', '.join(CAUSES)}")
        if self.launcher == "local" and self.slurm is not None:
            mistakes.append('slurm: the table is for launcher = "slurm"')
        if self.launcher == "slurm":
            of_one_machine = [key for key in ("slots", "gpus", "standby") if getattr(self, key) != "auto"]
            mistakes += [
                f"{key}: is for one machine; with Slurm, say slurm.max_jobs, slurm.max_queued_jobs and "
                "slurm.lanes_per_job"
                for key in of_one_machine
            ]
        if mistakes:
            raise ValueError("\n".join(mistakes))
        return self

    @property
    def step_seconds(self) -> float:
        """How often the driver looks at its jobs."""
        return self.poll_seconds or (2.0 if self.launcher == "slurm" else 0.1)

    @property
    def options(self) -> SlurmOptions:
        """What Slurm is asked for."""
        return self.slurm or SlurmOptions()

    @property
    def packing(self) -> Packing:
        """How trials share a job."""
        return self.options.packing()

    def granted_seconds(self, wanted_seconds: float) -> float:
        """The request for a job that wants so much time: a multiple of `time_step`, `time_limit` at most."""
        step = self._step_seconds()
        rounded = math.ceil(wanted_seconds / step - 1e-9) * step if step else wanted_seconds
        return rounded if self.time_limit is None else min(rounded, self.time_limit)

    def grantable_seconds(self, room_seconds: float) -> float:
        """The longest request that is granted and asks for no more than that."""
        step = self._step_seconds()
        rounded = math.floor(room_seconds / step) * step if step and math.isfinite(room_seconds) else room_seconds
        return rounded if self.time_limit is None else min(rounded, self.time_limit)

    def _step_seconds(self) -> float | None:
        """Slurm counts in minutes."""
        if self.launcher == "slurm":
            return math.ceil((self.time_step or 60) / 60) * 60.0
        return self.time_step

    def gpu_ids(self) -> list[str]:
        """The GPUs to hand out, as CUDA_VISIBLE_DEVICES names them."""
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        there = [str(index) for index in range(count_gpus())] if visible is None else visible.split(",")
        there = [gpu for gpu in there if gpu.strip() not in ("", "-1")]
        return there if self.gpus == "auto" else there[: self.gpus]

    def slot_count(self) -> int:
        """Trials that run at once."""
        if self.launcher == "slurm":
            return self.options.max_jobs * self.options.lanes_per_job
        if self.slots != "auto":
            return self.slots
        return len(self.gpu_ids()) or max(1, len(os.sched_getaffinity(0)) // self.threads)

    def standby_count(self) -> int:
        """Jobs started ahead of a free slot: their start-up costs the slots nothing."""
        return self.slot_count() // 4 if self.standby == "auto" else self.standby


def count_gpus() -> int:
    """NVIDIA or AMD GPUs of this machine, from the device files: asking torch would take seconds."""
    nvidia = list(Path("/dev").glob("nvidia[0-9]*"))
    nodes = Path("/sys/class/kfd/kfd/topology/nodes").glob("*/gpu_id")
    return len(nvidia) or sum(_read(node) not in ("", "0") for node in nodes)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
