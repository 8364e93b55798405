"""What Slurm's answers mean, and which key of the profile to change. Reads texts only."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

# The first that fits counts. The words are those of sbatch, of its --test-only, and of pending reasons.
REFUSALS = (
    (r"WallDuration", "lower profile.time_limit to what the account or qos grants; `sacctmgr show qos` lists it"),
    (
        r"policy|submit.*limit|MaxSubmit|MaxJobs|AssocGrp|AssocMax|QOSMax|QOSGrp",
        "the job, or it and others, exceeds the limits of the account or qos: lower profile.slurm.max_jobs, "
        "max_queued_jobs, lanes_per_job or profile.time_limit; "
        "`sacctmgr show associations user=$USER` and `sacctmgr show qos` list the limits",
    ),
    (
        r"partition name|invalid partition|partition specified",
        "mend profile.slurm.partition; `sinfo -s` lists them",
    ),
    (
        r"account|InvalidAccount",
        "mend profile.slurm.account (or the partition, which may be for others); "
        "`sacctmgr show associations user=$USER format=account,partition,qos` lists your accounts",
    ),
    (
        r"\bqos|InvalidQOS",
        "mend profile.slurm.qos; `sacctmgr show associations user=$USER format=account,qos` lists yours",
    ),
    (r"time limit is invalid|TimeLimit", "lower profile.time_limit to what the partition grants"),
    (r"feature|constraint|BadConstraints", "mend profile.slurm.constraint; `sinfo -o '%P %N %f'` lists features"),
    (r"gres|generic resource", "mend profile.slurm.gpu_option or gpu_type; `sinfo -o '%P %N %G'` lists the GPUs"),
    (
        r"node configuration is not available",
        "no node of the partition has what a job asks for: {asked}. Lower profile.slurm.lanes_per_job, mem_gb or "
        "profile.threads, or mend profile.slurm.gpu_type or constraint; "
        "`sinfo -o '%P %N %c %m %G %f'` lists the nodes' CPUs, MB, GPUs and features",
    ),
    (r"memory", "lower profile.slurm.mem_gb or lanes_per_job; `sinfo -o '%P %N %m'` lists the nodes' MB"),
    (
        r"reservation",
        "mend the reservation in profile.slurm.sbatch_options: `scontrol show reservation`",
    ),
    (r"node name", "mend the nodes in profile.slurm.sbatch_options; `sinfo -N` lists them"),
    (r"unrecognized option|invalid --|invalid option|ambiguous", "mend profile.slurm.sbatch_options"),
    (
        r"permission|not permitted|access",
        "this user may not use the partition: mend profile.slurm.partition or account",
    ),
    (
        r"contact|timed out|connect|not installed",
        "run this where sbatch works, on a login node; or try later",
    ),
    (
        r"partition not available|PartitionDown|PartitionInactive|ReqNodeNotAvail|Nodes_required",
        "wait, or change profile.slurm.partition",
    ),
    (
        r"Resources|Priority|Dependency|BeginTime|PENDING|CONFIGURING",
        "the queue is long: give it more time with --wait 1h, or try another partition or qos",
    ),
    (r"Held", "release it with `scontrol release`, or ask the site why your jobs are held"),
)
DOWN = ("down", "drain", "fail", "maint", "inval", "unk", "future", "error", "blocked", "reboot")


@dataclass(frozen=True)
class Partition:
    """A line of `scontrol show partition -o`."""

    name: str
    state: str
    max_seconds: float  # inf: unlimited
    is_default: bool


def parse_partitions(text: str) -> list[Partition]:
    """Every partition that is listed."""
    return [_partition(line) for line in text.splitlines() if line.startswith("PartitionName=")]


def _partition(line: str) -> Partition:
    fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
    return Partition(
        name=fields["PartitionName"],
        state=fields.get("State", "UNKNOWN"),
        max_seconds=parse_limit(fields.get("MaxTime", "UNLIMITED")),
        is_default=fields.get("Default") == "YES",
    )


def parse_limit(text: str) -> float:
    """Seconds of [days-]hours:minutes:seconds; infinite where Slurm has words instead."""
    days, _, clock = text.rpartition("-")
    parts = clock.split(":")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        return math.inf
    hours, minutes, seconds = map(int, parts)
    return (int(days) if days.isdigit() else 0) * 86_400.0 + hours * 3600 + minutes * 60 + seconds


def limit_key(seconds: float) -> str:
    """A limit as a profile says it."""
    return f'"{seconds / 3600:g}h"' if seconds % 3600 == 0 else f'"{seconds // 60:.0f}min"'


def count_nodes(text: str) -> tuple[int, int]:
    """Nodes that can run jobs and nodes in all, from sinfo's lines of count|state."""
    usable = total = 0
    for line in text.splitlines():
        count, _, state = line.partition("|")
        if not count.isdigit():
            continue
        total += int(count)
        # A * follows nodes that do not answer; ~ and others those that save power and can be woken.
        if not state.endswith("*") and not state.lower().startswith(DOWN):
            usable += int(count)
    return usable, total


def advise(said: str, asked: str = "") -> str:
    """What to do about a refusal, or about a reason for which a job waits."""
    for pattern, advice in REFUSALS:
        if re.search(pattern, said, re.IGNORECASE):
            return advice.format(asked=asked or "memory, CPUs and GPUs")
    return "`sbatch --test-only` with the script of `sweep plan STUDY --profile ...` says more; or ask the site"
