"""The job script: what sbatch is given. submitit writes the frame, the profile fills it."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from submitit.slurm.slurm import _make_sbatch_string  # the one function of submitit that writes scripts

from sweep.paths import JobPaths, RunPaths
from sweep.profile import Profile
from sweep.records import Bundle

# A task that fails must not take the others with it, whatever the site's defaults.
SRUN_OPTIONS = ("--kill-on-bad-exit=0", "--wait=0")


def job_name(name: str, run_id: str) -> str:
    """The name by which Slurm knows a job; no other run of the same study's name has it."""
    return f"{name}-{run_id[:6]}"


def megabytes(mem_gb: float) -> str:
    """Memory as sbatch takes it."""
    return f"{math.ceil(mem_gb * 1024)}M"


def place(profile: Profile) -> dict[str, Any]:
    """Where jobs are to run and who pays for them, as far as the profile says."""
    options = profile.options
    named = {name: getattr(options, name) for name in ("partition", "account", "qos", "constraint")}
    return {name: value for name, value in named.items() if value}


def script(profile: Profile, paths: RunPaths, bundle: Bundle, run_id: str, environment: Mapping[str, str]) -> str:
    """The whole script of a bundle's job. `environment` is exported to the workers."""
    options, files = profile.options, paths.job(bundle.name)
    text = _make_sbatch_string(
        command=f"{python(profile)} -P -u -m submitit.core._submit {shlex.quote(str(files.folder))}",
        folder=files.folder,
        job_name=job_name(bundle.name, run_id),
        time=math.ceil(bundle.request_seconds / 60),
        nodes=1,
        ntasks_per_node=bundle.lanes,
        cpus_per_task=profile.threads,
        mem=None if bundle.mem_gb is None else megabytes(bundle.mem_gb * bundle.lanes),
        setup=setup(profile, files, environment),
        wckey=None,  # type: ignore[arg-type]  # which leaves it out
        srun_args=[f"--cpus-per-task={profile.threads}", *SRUN_OPTIONS, *options.srun_options],
        additional_parameters=_further_options(profile),
        **place(profile),
        **_gpus(profile, math.ceil(bundle.lanes / options.lanes_per_gpu)),
    )
    if "signal" in options.sbatch_options:
        return text
    # Workers watch the clock themselves, and Slurm's signal may come a minute early: too early for short jobs.
    return "\n".join(line for line in text.split("\n") if not line.startswith("#SBATCH --signal="))


def python(profile: Profile) -> str:
    """The shell command for Python in a job."""
    options = profile.options
    if not options.container:
        return options.python or shlex.quote(sys.executable)
    return f"{options.container_command} {shlex.quote(options.container)} {options.python or 'python3'}"


def setup(profile: Profile, files: JobPaths, environment: Mapping[str, str]) -> list[str]:
    """The lines before the workers start; if one of the profile's fails, it is written down and ends the job."""
    exports = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
    modules = {name: value for name, value in environment.items() if name == "PYTHONPATH"}
    return [
        # submitit looks for the pickle under the job's id, which nobody knows before sbatch answers.
        f"ln -sf {files.pickle.name} {shlex.quote(str(files.folder))}/${{SLURM_JOB_ID}}_submitted.pkl",
        *export_lines(exports),
        *guarded(profile.options.setup, files.setup_failed),
        # Last, so that no module puts other code before the study's own.
        *export_lines(modules),
    ]


def guarded(lines: Sequence[str], failed: Path) -> list[str]:
    """Lines of which the first that fails, or exits, is written to the file and ends the script."""
    if not lines:
        return []
    file = shlex.quote(str(failed))
    report = f"printf '%s' \"$BASH_COMMAND\" > {file}"
    traps = [f"trap {shlex.quote(report)} ERR", f"trap {shlex.quote(f'[ -s {file} ] || {report}')} EXIT"]
    return [f"rm -f {file}", "set -e", *traps, *lines, "trap - ERR EXIT", "set +e"]


def export_lines(environment: Mapping[str, str]) -> list[str]:
    """Lines that set variables; PYTHONPATH is put before what is there."""
    more = {"PYTHONPATH": "${PYTHONPATH:+:$PYTHONPATH}"}
    return [f"export {name}={shlex.quote(value)}{more.get(name, '')}" for name, value in environment.items()]


def _gpus(profile: Profile, count: int) -> dict[str, Any]:
    kind = f"{profile.options.gpu_type}:" if profile.options.gpu_type else ""
    match profile.options.gpu_option:
        case "gpus-per-node":
            return {"gpus_per_node": f"{kind}{count}"}
        case "gpus-per-task":
            return {"gpus_per_task": f"{kind}1"}
        case "gres":
            return {"gres": f"gpu:{kind}{count}"}
        case "none":
            return {}


def _further_options(profile: Profile) -> dict[str, Any]:
    options = {"requeue" if profile.options.requeue else "no-requeue": True, **profile.options.sbatch_options}
    return {name: value for name, value in options.items() if value is not False}  # submitit writes =False


def example(profile: Profile, study: str, request_seconds: float) -> Bundle:
    """The bundle of a study's first job, before anything is known of its trials."""
    packing = profile.packing
    lanes = packing.lanes
    return Bundle(
        name=f"{study}-00000-1",
        attempts=(),
        request_seconds=request_seconds,
        submitted_at=0.0,
        host="",
        lanes=lanes,
        gpus=packing.gpus(lanes),
        mem_gb=packing.mem_gb,
    )
