"""What the job told, judged. Reads records only."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from sweep.doctor.findings import Finding, failed, ok, warning
from sweep.doctor.job import Visit
from sweep.doctor.slurm_texts import advise
from sweep.durations import show_seconds
from sweep.profile import Profile

SKEW_WARNING, SKEW_FAILURE = 5.0, 60.0
SLACK_SECONDS = 2.0  # of a round trip through files, beside the delay that the profile grants
LAST_WORDS = {  # of a job's log, and what to do
    "could not find submitted": "the runs folder is not seen there: bind it in profile.slurm.container_command",
    "No module named": "set profile.slurm.python, or load in setup, a Python that has what slurm-sweep needs",
    "Unknown option": "set profile.slurm.python, or load in setup, Python 3.11 or newer",  # which knows -P
}
LOG_SAYS = "the log says why; profile.slurm.python, setup and container decide which Python runs"


def judge_visit(profile: Profile, visit: Visit, wait_seconds: float) -> Iterator[Finding]:
    """The job's own findings, then those of what its lanes saw."""
    if visit.wait_seconds is None:
        yield judge_waiting(visit, wait_seconds)
        return
    where = f" on {visit.node}" if visit.node else ""
    yield ok("start", f"the job started{where} {show_seconds(visit.wait_seconds)} after its submission")
    if not visit.reports:
        yield judge_silence(visit)
        return
    first = visit.reports[0]
    yield judge_python(first, visit.python_seconds)
    if visit.round_trip is not None and profile.launcher == "slurm":
        yield judge_visibility(visit.round_trip, profile.options.visibility_seconds)
        yield judge_clock(visit.clock_ahead or 0.0, visit.round_trip)
    whole = [report for report in visit.reports if "takes_claimed" in report or "link_error" in report]
    if len(whole) < visit.lanes:
        yield judge_breaking_off(visit, len(whole))
    for report in whole[:1]:
        yield judge_files(report)
        yield judge_cores(profile, min(report["cores"] for report in whole))
        yield from judge_torch(profile, report)
        if report["data"]:
            yield judge_data(report["data"])


def judge_waiting(visit: Visit, wait_seconds: float) -> Finding:
    """A job that did not start."""
    reason = visit.reason or visit.word
    return failed("start", f"not within {show_seconds(wait_seconds)}: {reason}; it is cancelled", advise(reason))


def judge_silence(visit: Visit) -> Finding:
    """A job that ended before Python wrote a file."""
    log = f"; its log ends:\n{visit.log}" if visit.log else ""
    if visit.setup_line:
        advice = "mend profile.slurm.setup: this line must work on a node"
        return failed("setup", f"this line failed: {visit.setup_line}{log}", advice)
    how = f"{visit.word}, {visit.reason}" if visit.reason else visit.word
    nowhere = "do the nodes see the runs folder? Choose one of a shared file system with --runs"
    advice = next((advice for words, advice in LAST_WORDS.items() if words in visit.log), LOG_SAYS)
    return failed("python", f"the job ended ({how}) before it could report{log}", advice if visit.log else nowhere)


def judge_breaking_off(visit: Visit, lanes: int) -> Finding:
    """Lanes that spoke, and died before their report."""
    found = f"{lanes} of {visit.lanes} task(s) reported ({visit.word}); the log ends:\n{visit.log}"
    return failed("report", found, "the log says why; was it torch, or the job's time or memory?")


def judge_python(report: dict[str, Any], seconds: float | None) -> Finding:
    """Python there imports the code from here, and what that needs."""
    took = "" if seconds is None else f", {show_seconds(max(0.0, seconds))} after the start"
    found = f"Python {report['python']} on {report['host']}{took}"
    return ok("python", found)


def judge_visibility(round_trip: float, granted: float) -> Finding:
    """How long files take between the node and here."""
    found = f"a file to the node and one back took {show_seconds(round_trip)}"
    if round_trip > granted + SLACK_SECONDS:
        advice = f"set profile.slurm.visibility_seconds = {math.ceil(round_trip)}: else jobs are taken for lost"
        return warning("visibility", found, advice)
    return ok("visibility", f"{found}; the profile grants {show_seconds(granted)} one way")


def judge_clock(ahead: float, round_trip: float) -> Finding:
    """The node's clock against this one's, known up to half the round trip."""
    skew = max(0.0, abs(ahead) - round_trip / 2)
    if not skew:
        return ok("clock", f"the node's agrees with this one, within {show_seconds(max(0.1, round_trip / 2))}")
    found = f"the node's clock is {show_seconds(abs(ahead))} {'ahead' if ahead > 0 else 'behind'}"
    advice = "ask the site to synchronise its clocks (NTP): elapsed times and deadlines are read from them"
    if skew > SKEW_FAILURE:
        return failed("clock", found, advice)
    return warning("clock", found, advice) if skew > SKEW_WARNING else ok("clock", found)


def judge_files(report: dict[str, Any]) -> Finding:
    """Whether the folder keeps trials from running twice."""
    elsewhere = "choose a folder of another file system with --runs"
    if not report.get("sees_ping"):
        return failed("files", "the node does not see a file that was written here", elsewhere)
    if "link_error" in report:
        advice = f"hard links keep a trial from running twice: {elsewhere}"
        return failed("files", f"no hard links: {report['link_error']}", advice)
    wins = report["wins"]
    if report["takes_claimed"] or any(won != 1 for won in wins):
        advice = f"a trial could run twice: {elsewhere}"
        return failed("files", "two processes could create the same claim", advice)
    return ok("files", f"written, renamed, linked; each of {len(wins)} claims was won once")


def judge_cores(profile: Profile, cores: int) -> Finding:
    """CPU cores that a lane may use."""
    found = f"{cores} for each task; the profile's threads are {profile.threads}"
    if cores < profile.threads:
        return warning("cores", found, f"set profile.threads = {cores}, or ask for more CPUs")
    return ok("cores", found)


def judge_torch(profile: Profile, report: dict[str, Any]) -> Iterator[Finding]:
    """Whether torch is there and sees the GPUs that a job gets."""
    if "torch_error" in report:
        yield failed("torch", report["torch_error"], f"install torch for {report['executable']}")
        return
    yield ok("torch", f"{report['torch']}, imported in {show_seconds(report['torch_seconds'])}")
    yield judge_gpus(profile, report)


def expected_gpus(profile: Profile) -> int:
    """GPUs that each task should see."""
    options = profile.options
    if profile.launcher == "local":
        return len(profile.gpu_ids())
    if options.gpu_option == "none":
        return 0
    together = math.ceil(profile.packing.lanes / options.lanes_per_gpu)
    return 1 if options.gpu_option == "gpus-per-task" else together


def judge_gpus(profile: Profile, report: dict[str, Any]) -> Finding:
    """The GPUs that torch sees, against those asked for."""
    names, wanted = report["gpus"], expected_gpus(profile)
    seen = f"torch sees {len(names)}: {', '.join(sorted(set(names)))}" if names else "torch sees none"
    if report["gpu_error"]:
        advice = "install a build of torch for this GPU and its driver"
        return failed("GPU", f"{seen}, but it does not compute: {report['gpu_error']}", advice)
    if len(names) >= wanted:
        return ok("GPU", seen if names else "none asked for, none seen: trials run on the CPU")
    variables = ", ".join(f"{name}={value}" for name, value in report["gpu_variables"].items())
    handed = f"; handed out: {variables}" if variables else ""
    found = f"{seen} of {wanted}{handed}{''.join(f'; {text}' for text in report['warnings'][:1])}"
    return failed("GPU", found, advise_gpu(profile, report))


def advise_gpu(profile: Profile, report: dict[str, Any]) -> str:
    """Why torch may miss a GPU: nothing handed out, the wrong build, or no driver."""
    build = "ROCm" if report["hip"] else f"CUDA {report['cuda']}" if report["cuda"] else "CPU"
    if profile.launcher == "slurm" and not report["gpu_variables"]:
        return "mend profile.slurm.gpu_option and gpu_type: Slurm gave the job no GPU"
    if report["amd_driver"] and build != "ROCm":
        return f"the node has AMD's driver, and torch is built for {build}: install the ROCm build of torch"
    if report["nvidia_devices"] and not report["cuda"]:
        return f"the node has NVIDIA's driver, and torch is built for {build}: install a CUDA build of torch"
    if build == "CPU":
        return "this torch is built for the CPU: install its CUDA build (NVIDIA) or ROCm build (AMD)"
    if report["gpus"]:
        return "fewer GPUs than asked for: mend profile.slurm.gpu_option, gpu_type or lanes_per_gpu"
    there = "is too old for that build" if report["nvidia_devices"] or report["amd_driver"] else "is not loaded"
    return (
        f"torch is built for {build}, and the driver {there}: see `nvidia-smi` or `rocm-smi` on the node; "
        "a container needs --nv or --rocm in profile.slurm.container_command"
    )


def judge_data(told: str) -> Finding:
    """Whether trials find the decoded data set."""
    if told == "cached":
        return ok("data on the node", "the decoded data set is there")
    advice = "put $SWEEP_CACHE_DIR and the data on a shared file system, or name data_dir in the profile"
    return failed("data on the node", told, advice)
