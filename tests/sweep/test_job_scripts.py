"""The job scripts of the built-in profiles, letter by letter.

After a change that is meant, write the expected scripts anew and read the difference:
`SWEEP_WRITE_GOLDEN=1 pytest tests/sweep/test_job_scripts.py && git diff tests/sweep/golden`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sweep.launchers import job_script
from sweep.paths import RunPaths
from sweep.profile import Profile
from sweep.toml_files import builtin_names, load_profile

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
WRITE = bool(os.environ.get("SWEEP_WRITE_GOLDEN"))
PROFILES = builtin_names("slurm_profiles")
ON_SLURM = [name for name in PROFILES if load_profile(name).launcher == "slurm"]


@pytest.fixture(autouse=True)
def the_same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("SWEEP_") or name == "PYTHONPATH":
            monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "executable", "/env/bin/python")


def script_of(profile: Profile, seconds: float = 3615.0) -> str:
    return job_script(profile, RunPaths(Path("/runs/study")), "study", profile.granted_seconds(seconds))


def with_options(**options: object) -> Profile:
    return Profile.model_validate({"name": "x", "launcher": "slurm", "slurm": options})


def test_the_built_in_profiles_are_these() -> None:
    assert PROFILES == ["alliance", "frontier", "generic_gpu", "local", "oci", "testbed", "workstation"]


@pytest.mark.parametrize("name", PROFILES)
def test_a_built_in_profile_is_called_as_its_file_and_says_what_it_is_for(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert profile.description.endswith(".")


@pytest.mark.parametrize("name", PROFILES)
def test_every_key_of_a_built_in_profile_has_a_comment(name: str) -> None:
    lines = (ROOT / "slurm_profiles" / f"{name}.toml").read_text().splitlines()
    keys = [(before, line) for before, line in zip(["", *lines], lines, strict=False) if re.match(r"\w+ = ", line)]
    explained = ("name", "description", "launcher")
    assert [
        line
        for before, line in keys
        if line.split()[0] not in explained and "   # " not in line and "  # " not in line and before[:1] != "#"
    ] == []


@pytest.mark.parametrize("name", ON_SLURM)
def test_the_script_is_the_expected_one(name: str) -> None:
    script, golden = script_of(load_profile(name)), GOLDEN / f"{name}.sh"
    if WRITE:
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(script)
    assert script == golden.read_text()


@pytest.mark.parametrize("name", ON_SLURM)
def test_the_script_is_sound(name: str) -> None:
    profile = load_profile(name)
    script = script_of(profile)
    checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    [srun] = [line for line in script.splitlines() if line.startswith("srun ")]
    assert "--kill-on-bad-exit=0" in srun
    assert f"--cpus-per-task={profile.threads} " in srun
    assert not re.search(r"\bNone\b|=False|=True|(?<!\$)\{\w*\}|wckey|#SBATCH --signal", script)
    assert ("setup_failed' ERR" in script) == bool(profile.options.setup)
    assert all(line in script.splitlines() for line in profile.options.setup)


@pytest.mark.parametrize("name", ON_SLURM)
def test_what_a_user_must_change_is_marked(name: str) -> None:
    """`sbatch` refuses an account that does not exist; a comment says which keys are meant."""
    text = (ROOT / "slurm_profiles" / f"{name}.toml").read_text()
    marked = [line.split(" = ")[0] for line in text.splitlines() if "CHANGE_ME" in line and " = " in line]
    assert marked == {
        "alliance": ["account", "gpu_type"],
        "frontier": ["WORK", "account"],
        "generic_gpu": ["account", "partition"],
        "oci": ["partition"],
        "testbed": [],
    }.get(name)


def test_frontier_asks_for_whole_nodes_and_hands_out_gpus_with_srun() -> None:
    profile = load_profile("frontier")
    script = script_of(profile, 10 * 3600)
    directives = re.findall(r"^#SBATCH (\S+)$", script, re.MULTILINE)
    assert {"--core-spec=8", "--export=NONE", "--ntasks-per-node=8", "--cpus-per-task=7", "--time=120"} <= set(
        directives
    )
    assert not [option for option in directives if "gpu" in option]
    assert "--gpus-per-task=1 --gpu-bind=closest --export=ALL" in script
    assert profile.packing.gpus(3) == 8


def test_an_option_that_is_false_is_left_out() -> None:
    script = script_of(with_options(sbatch_options={"exclusive": True, "hold": False, "comment": "two words"}))
    options = [line for line in script.splitlines() if line.startswith("#SBATCH")]
    assert {"#SBATCH --exclusive", "#SBATCH --comment='two words'"} <= set(options)
    assert not [option for option in options if "hold" in option]


def test_variables_of_env_are_taken_literally_and_those_of_setup_are_not() -> None:
    profile = Profile.model_validate(
        {
            "name": "x",
            "launcher": "slurm",
            "env": {"A": "$USER it's"},
            "slurm": {"setup": ['export B="$USER"'], "python": "echo"},
        }
    )
    lines = script_of(profile).splitlines()
    exports = [line for line in lines if line.startswith(("export A=", "export B="))]
    told = subprocess.run(
        ["bash"],
        input="\n".join([*exports, 'echo "$A $B"']),
        env={"USER": "ada", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "$USER it's ada\n"


def test_a_container_is_named_before_its_python() -> None:
    script = script_of(with_options(container="/images/my image.sif"))
    assert "apptainer exec --nv '/images/my image.sif' python3 -P -u -m submitit.core._submit" in script
