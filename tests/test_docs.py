"""The documents say what the code has: every command, option, key and state; and their examples run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from driving import results, sweep

from sweep import space
from sweep.cli import app
from sweep.failures import POLICIES
from sweep.profile import Profile
from sweep.records import TrialState
from sweep.slurm_options import SlurmOptions
from sweep.spec import Limits, StudySpec
from sweep.toml_files import builtin_names, load_profile
from trainer.config import TrainConfig

ROOT = Path(__file__).parent.parent
COMMANDS = typer.main.get_command(app).commands


def document(name: str) -> str:
    return (ROOT / name).read_text()


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_and_option_is_documented(command):
    text = document("docs/commands.md")
    assert f"`sweep {command}" in text
    options = [option for parameter in COMMANDS[command].params for option in parameter.opts if option[:2] == "--"]
    assert [option for option in options if f"`{option}" not in text and option != "--help"] == []


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_of_every_command_explains_itself(command):
    done = sweep(command, "--help")
    assert done.returncode == 0
    assert all(parameter.help for parameter in COMMANDS[command].params)


@pytest.mark.parametrize(
    ("model", "page"),
    [
        (StudySpec, "docs/study-file.md"),
        (Limits, "docs/study-file.md"),
        (TrainConfig, "docs/study-file.md"),
        (Profile, "docs/profiles.md"),
        (SlurmOptions, "docs/profiles.md"),
    ],
)
def test_every_key_is_a_row_of_its_page(model, page):
    text = document(page)
    assert [key for key in model.model_fields if f"\n| `{key}` |" not in text] == []


@pytest.mark.parametrize("kind", [space.Choices, space.Range, space.Ordinal, space.Budgeted])
def test_every_form_of_a_searched_key_is_documented(kind):
    text = document("docs/study-file.md")
    assert [key for key in kind.model_fields if f"{key} =" not in text and f"`{key}`" not in text] == []


def test_every_built_in_profile_is_documented():
    text = document("docs/profiles.md")
    assert [name for name in builtin_names("slurm_profiles") if f"\n| `{name}` |" not in text] == []


def test_every_cause_of_a_dead_job_is_documented():
    text = document("docs/profiles.md")
    assert [policy.state for policy in POLICIES.values() if f"| `{policy.state}` | failed |" not in text] == []


def test_the_example_of_a_profile_loads():
    Path("mine.toml").write_text(re.search(r"```toml\n(name.*?)```", document("docs/profiles.md"), re.S).group(1))
    assert load_profile("mine.toml").options.account == "my-project"


@pytest.mark.parametrize("state", list(TrialState))
def test_every_state_is_documented(state):
    assert f"\n| `{state}` |" in document("docs/how-it-works.md")


def test_every_built_in_study_is_named_in_the_readme():
    readme = document("README.md")
    assert [path.stem for path in (ROOT / "studies").glob("*.toml") if f"`{path.stem}`" not in readme] == []


def test_links_between_documents_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_example_of_an_own_trainer_runs():
    text = document("docs/your-own-trainer.md")
    code, study = (
        re.search(rf"```{kind}\n# [^\n]*\n(.*?)```", text, re.DOTALL).group(1) for kind in ("python", "toml")
    )
    Path("my_project").mkdir()
    Path("my_project/__init__.py").touch()
    Path("my_project/training.py").write_text(code)
    Path("my_study.toml").write_text(study)
    done = sweep("launch", "my_study.toml")
    assert done.returncode == 0, done.stderr
    assert {result["state"] for result in results(Path("runs/my_study")).values()} == {"completed"}


def test_the_python_example_runs():
    code = re.search(r"## From Python\n+```python\n(.*?)```", document("docs/commands.md"), re.DOTALL).group(1)
    code = code.replace('"limits.trials": 8', '"limits.trials": 2').replace(
        '"limits.trials": 12', '"limits.trials": 3'
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(Path("runs/quickstart/trials/00002/result.json").read_text())) > 5
    assert "Speed (seconds)" in done.stdout
