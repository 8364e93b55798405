"""Checks of a Slurm site that need no job."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from sweep.doctor.findings import Finding, Verdict, failed, ok, warning
from sweep.doctor.slurm_texts import Partition, advise, count_nodes, limit_key, parse_partitions
from sweep.durations import show_seconds
from sweep.launchers import job_script
from sweep.launchers import slurm_commands as slurm
from sweep.paths import RunPaths
from sweep.profile import Profile

COMMANDS = ("sbatch", "squeue", "scancel", "srun", "scontrol", "sinfo")
LONGEST_SECONDS = 3600.0  # of the job that is tried, where the profile has no limit


def check_site(profile: Profile, scratch: Path) -> Iterator[Finding]:
    """One finding after the other; without its commands and its controller, Slurm cannot tell more."""
    for check in (check_commands, check_controller):
        finding = check(profile)
        yield finding
        if finding.verdict == Verdict.FAILED:
            return
    yield from check_environment(os.environ)
    partitions = list(check_partitions(profile))
    yield from partitions
    if not any(finding.check == "partition" and finding.verdict == Verdict.FAILED for finding in partitions):
        yield check_request(profile, scratch)  # else it is refused for what has just been told
    if profile.options.accounting:
        yield check_accounting()


def check_commands(profile: Profile) -> Finding:
    """Whether Slurm's commands are here."""
    wanted = (*COMMANDS, "sacct") if profile.options.accounting else COMMANDS
    missing = [command for command in wanted if shutil.which(command) is None]
    if missing == ["sacct"]:
        return failed("commands", "sacct is missing", "set profile.slurm.accounting = false")
    if missing:
        advice = "run this on a login node, with Slurm's commands in $PATH (perhaps `module load slurm`)"
        return failed("commands", f"missing: {', '.join(missing)}", advice)
    return _asked("commands", ["sbatch", "--version"], "mend the configuration that $SLURM_CONF names")


def check_controller(profile: Profile) -> Finding:
    """Whether slurmctld answers."""
    return _asked("controller", ["scontrol", "ping"], "Slurm is down or cannot be reached from here: try later")


def check_environment(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Variables that sbatch heeds more than a script's options."""
    found = [f"{name}={value}" for name, value in environ.items() if name.startswith("SBATCH_")]
    if found:
        advice = "unset what is not meant for these jobs"
        yield warning("environment", f"wins over the profile: {', '.join(found)}", advice)


def check_accounting() -> Finding:
    """Whether sacct answers; squeue can do instead."""
    try:
        slurm.run(["sacct", "-X", "-n"])
    except slurm.SlurmError as error:
        advice = (
            "nothing, if this is for now: squeue is asked meanwhile, which forgets jobs minutes after their end. "
            "If it is for good, set profile.slurm.accounting = false"
        )
        return warning("accounting", str(error), advice)
    return ok("accounting", "sacct answers")


def check_partitions(profile: Profile) -> Iterator[Finding]:
    """The partitions that jobs will be in: whether they are up, their nodes, and their limit of time."""
    try:
        there = parse_partitions(slurm.run(["scontrol", "show", "partition", "-o"]))
        asked = str(profile.options.sbatch_options.get("partition", profile.options.partition))
        wanted = asked.split(",") if asked else [part.name for part in there if part.is_default]
        if not wanted:
            yield failed("partition", "the site has no default", _choose(there))
        for name in wanted:
            found = next((part for part in there if part.name == name), None)
            if found is None:
                yield failed("partition", f"there is no {name!r}", _choose(there))
            else:
                nodes = count_nodes(slurm.run(["sinfo", "--noheader", f"--partition={name}", "--format=%D|%T"]))
                yield judge_partition(found, *nodes)
                yield judge_limit(found, profile.time_limit)
    except slurm.SlurmError as error:
        yield failed("partition", str(error), advise(str(error)))


def judge_partition(partition: Partition, usable: int, total: int) -> Finding:
    """Whether it starts jobs."""
    found = f"{partition.name} is {partition.state}, {usable} of {total} nodes can run jobs"
    if partition.state != "UP":
        return failed("partition", found, "wait until the site has it up, or change profile.slurm.partition")
    if not usable:
        return failed("partition", found, "`sinfo -R` says why; wait, or change profile.slurm.partition")
    return ok("partition", found)


def judge_limit(partition: Partition, time_limit: float | None) -> Finding:
    """Whether requests stay below what the partition grants: a job above it waits for ever."""
    granted = partition.max_seconds
    if math.isinf(granted):
        return ok("time limit", f"{partition.name} has none")
    told = f"{partition.name} grants {show_seconds(granted)}"
    advice = f"set profile.time_limit = {limit_key(granted)}"
    if time_limit is None:
        return warning("time limit", f"{told}, the profile has no limit: a longer job would wait for ever", advice)
    if time_limit > granted:
        asked = f"the profile asks for up to {show_seconds(time_limit)}: such a job waits for ever"
        return failed("time limit", f"{told}, {asked}", advice)
    return ok("time limit", f"{told}, the profile asks for {show_seconds(time_limit)} at most")


def check_request(profile: Profile, scratch: Path) -> Finding:
    """Whether sbatch would take a study's job, of the longest request; the script is the real one."""
    longest = profile.granted_seconds(profile.time_limit or LONGEST_SECONDS)
    script = scratch / "job.sh"
    script.write_text(job_script(profile, RunPaths(scratch), "doctor", longest))
    try:
        return ok("request", told_of_start(slurm.dry_run(script)))
    except slurm.SlurmError as error:
        return failed("request", str(error), advise(str(error), asked_for(profile)))


def told_of_start(said: str) -> str:
    """The line of --test-only that matters, among greetings of the site's."""
    lines = [line.removeprefix("sbatch: ") for line in said.splitlines()]
    return next((line for line in lines if " to start at " in line), " ".join(lines))


def asked_for(profile: Profile) -> str:
    """A job of this profile in words."""
    lanes, options = profile.packing.lanes, profile.options
    words = [f"{lanes} task(s) with {profile.threads} CPU(s) each"]
    if options.mem_gb:
        words.append(f"{options.mem_gb * lanes:g} GB")
    if options.gpu_option != "none":
        count = math.ceil(lanes / options.lanes_per_gpu)
        words.append(f"{count} GPU(s){f' of type {options.gpu_type}' if options.gpu_type else ''}")
    return ", ".join(words)


def _asked(check: str, command: list[str], advice: str) -> Finding:
    try:
        return ok(check, "; ".join(slurm.run(command).strip().splitlines()))
    except slurm.SlurmError as error:
        return failed(check, str(error), advice)


def _choose(there: list[Partition]) -> str:
    return f"set profile.slurm.partition to one of {', '.join(part.name for part in there)}"
