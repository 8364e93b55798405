"""The `[slurm]` table of a profile: what the site's Slurm is asked for, and how a job begins there."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sweep.durations import Seconds
from sweep.packing import Packing

SbatchOptions = dict[str, str | int | bool]
# Options of sbatch that follow from other keys, or from what a job needs; the later of two would win in silence.
OURS = {
    **dict.fromkeys(("partition", "account", "qos", "constraint"), "slurm.{}"),
    **dict.fromkeys(("time", "time-min"), "limits.trial and the profile's time_limit"),
    **dict.fromkeys(("ntasks", "ntasks-per-node", "nodes"), "slurm.lanes_per_job"),
    **dict.fromkeys(("gpus", "gpus-per-node", "gpus-per-task", "gres"), "slurm.gpu_option and slurm.gpu_type"),
    **dict.fromkeys(("mem", "mem-per-cpu", "mem-per-gpu"), "slurm.mem_gb"),
    **dict.fromkeys(("requeue", "no-requeue"), "slurm.requeue"),
    **dict.fromkeys(("job-name", "output", "error", "open-mode", "array", "wrap"), "nothing: it is the driver's"),
    "cpus-per-task": "threads",
}


class SlurmOptions(BaseModel):
    """How jobs are asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    partition: str = Field("", description="--partition; empty: the site's default, as below")
    account: str = Field("", description="--account")
    qos: str = Field("", description="--qos")
    constraint: str = Field("", description="--constraint")
    lanes_per_job: int = Field(
        1, ge=1, description="trials that a job runs side by side, each in a task of its own"
    )
    trials_per_lane: int = Field(
        1, ge=1, description="trials that a lane is to do one after the other: a job asks for that much time"
    )
    lanes_per_gpu: int = Field(1, ge=1, description="lanes that share a GPU")
    gpu_option: Literal["gpus-per-node", "gpus-per-task", "gres", "none"] = Field(
        "gpus-per-node", description="how GPUs are asked for; none: the job gets them anyway, or needs none"
    )
    gpu_type: str = Field("", description="the kind of GPU, as the site names it")
    gpus_charged: int | None = Field(
        None, ge=1, description="GPUs of a node, where jobs get whole nodes; unset: charged as asked for"
    )
    mem_gb: float | None = Field(None, gt=0, description="memory of each lane; unset: the site's default")
    max_jobs: int = Field(8, ge=1, description="jobs in the queue and running, at most")
    max_queued_jobs: int = Field(4, ge=1, description="of them in the queue, at most")
    submits_per_minute: int = Field(60, ge=1, description="sbatch is called no more often")
    setup: list[str] = Field(
        default_factory=list, description="lines of shell before the workers start; one that fails ends the job"
    )
    python: str = Field("", description="the command for Python in a job; empty: the one that launched the study")
    container: str = Field("", description="an image in which Python runs")
    container_command: str = Field("apptainer exec --nv", description="the command to which the image is added")
    sbatch_options: SbatchOptions = Field(
        default_factory=dict, description="further options of sbatch, without the dashes"
    )
    srun_options: list[str] = Field(default_factory=list, description="further options of srun, with the dashes")
    requeue: bool = Field(False, description="whether the site may put a job back into the queue itself")
    accounting: bool = Field(True, description="whether sacct can be asked; false: squeue only")
    query_seconds: float = Field(15.0, gt=0, description="Slurm is asked for the state of all jobs no more often")
    visibility_seconds: float = Field(
        10.0, ge=0, description="how long files from a node may take to be seen on the login node"
    )
    driver_time: Seconds = Field(
        12 * 3600,
        ge=300,
        description="the request of a driver's own job (launch --detach); it is succeeded in time",
    )
    driver_mem_gb: float = Field(
        2.0, ge=0, description="memory of the driver's own job, which can take half a GB; 0: the site's default"
    )
    driver_options: SbatchOptions = Field(
        default_factory=dict, description="options of sbatch for the driver's own job, such as its partition"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        mistakes = [
            f"sbatch_options.{key}: is not for this table; it follows from {OURS[key].format(key)}"
            for key in self.sbatch_options
            if key in OURS and not (key.startswith(("gpus", "gres")) and self.gpu_option == "none")
        ]
        if mistakes:
            raise ValueError("\n".join(mistakes))
        if self.gpu_option == "gpus-per-task" and self.lanes_per_gpu > 1:
            raise ValueError(
                f'lanes_per_gpu must be 1 with gpu_option "gpus-per-task"; got {self.lanes_per_gpu}; '
                'use "gpus-per-node"'
            )
        if self.gpus_charged is not None and self.gpus_charged * self.lanes_per_gpu < self.lanes_per_job:
            raise ValueError(
                f"lanes_per_job must not exceed the {self.gpus_charged * self.lanes_per_gpu} lanes of a node "
                f"(gpus_charged x lanes_per_gpu); got {self.lanes_per_job}"
            )
        return self

    def packing(self) -> Packing:
        """How trials share a job."""
        return Packing(
            self.lanes_per_job, self.trials_per_lane, self.lanes_per_gpu, self.gpus_charged, self.mem_gb
        )
