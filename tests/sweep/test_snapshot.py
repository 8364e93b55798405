"""What a job runs is what was launched, whatever becomes of the sources meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from driving import Driver, events, results, sweep, wait_until, write_study
from sweep_builders import (
    board_of,
    claim,
    ended,
    here,
    job,
    run_of,
    study,
    trial_spec,
    waiting,
    write_job,
    written_run,
)

import sweep as sweep_package
from sweep.feeding import Feeder
from sweep.history import load_jobs
from sweep.paths import RunPaths
from sweep.proposing import Proposer
from sweep.reporting import write_report
from sweep.run import create_run
from sweep.snapshot import MOST_COPIED, SMALL_BYTES, changed_files, job_pythonpath, take_snapshot
from sweep.sources import find_sources

RUN = Path("runs/sleepy")
CHECKOUT = Path(sweep_package.__file__).parent.parent
TRAINER = """
import time
from collections.abc import Mapping
from typing import Any

from trainer import Ended, RunContext, TrainResult


def train(config: Mapping[str, Any], context: RunContext) -> TrainResult:
    from notes import VERSION

    time.sleep(float(config["seconds"]))
    return TrainResult(Ended.COMPLETED, 1, 0.5, 0.1, 0.1, device="cpu", metrics={"version": VERSION})
"""


def write_trainer(version: float) -> None:
    Path("own_trainer.py").write_text(TRAINER)
    Path("notes.py").write_text(f"VERSION = {version}  # imported by the trainer\n")


def own_study(folder: Path, trials: int, seconds: float = 0.05) -> Path:
    path = write_study(folder, trials=trials, seconds=seconds)
    path.write_text(path.read_text().replace("sleepers:sleep", "own_trainer:train"))
    return path


def versions() -> dict[int, float]:
    """Which version of the code each trial has run."""
    return {number: result["metrics"]["version"] for number, result in results(RUN).items()}


def hashes() -> list[str]:
    """Which code each trial says it has run."""
    return [json.loads(path.read_text())["code"] for path in sorted(RUN.glob("trials/*/trial.json"))]


def test_trials_run_what_was_launched_though_it_is_edited_meanwhile(tmp_path):
    write_trainer(1.0)
    driver = Driver("launch", own_study(tmp_path, trials=4, seconds=0.5), "--set", "profile.slots=1")
    wait_until(lambda: results(RUN), "the first trial is done")
    write_trainer(2.0)
    driver.finish()
    assert versions() == dict.fromkeys(range(4), 1.0)
    assert len(set(hashes())) == 1


def test_a_resume_names_what_was_edited_and_goes_on_with_what_was_launched(tmp_path):
    write_trainer(1.0)
    assert sweep("launch", own_study(tmp_path, trials=1)).returncode == 0
    write_trainer(2.0)
    resumed = sweep("resume", "--set", "limits.trials=2")
    assert resumed.returncode == 0, resumed.stderr
    assert "notes.py changed since the launch" in resumed.stdout
    assert "sweep resume sleepy --new-code" in resumed.stdout
    assert versions() == {0: 1.0, 1: 1.0}
    assert len(events(RUN, "code")) == 1


def test_new_code_is_taken_when_asked_for_and_told_apart(tmp_path):
    write_trainer(1.0)
    assert sweep("launch", own_study(tmp_path, trials=1)).returncode == 0
    write_trainer(2.0)
    resumed = sweep("resume", "--new-code", "--set", "limits.trials=2")
    assert resumed.returncode == 0, resumed.stderr
    assert "changed since the launch" not in resumed.stdout
    assert versions() == {0: 1.0, 1: 2.0}
    first, second = hashes()
    assert [(event["hash"], event["files"]) for event in events(RUN, "code")] == [
        (first, []),
        (second, ["notes.py"]),
    ]
    assert (RUN / "code" / first / "notes.py").read_text() != (RUN / "code" / second / "notes.py").read_text()
    assert json.loads(sweep("status", "--json").stdout)["code"]["hash"] == second
    page = (RUN / "report" / "index.html").read_text()
    assert f"1 with {first}, 1 with {second}" in page


def test_new_code_that_is_the_same_is_no_new_code(tmp_path):
    write_trainer(1.0)
    assert sweep("launch", own_study(tmp_path, trials=1)).returncode == 0
    assert sweep("resume", "--new-code").returncode == 0
    assert len(events(RUN, "code")) == len(list((RUN / "code").iterdir())) == 1


def test_a_job_that_runs_keeps_its_code_when_there_is_new_code(tmp_path):
    write_trainer(1.0)
    driver = Driver("launch", own_study(tmp_path, trials=2, seconds=2.0), "--set", "profile.slots=1")
    wait_until(lambda: list(RUN.glob("trials/*/claim.1")), "a trial runs")
    driver.process.kill()
    driver.process.wait()
    write_trainer(2.0)
    assert sweep("resume", "--new-code").returncode == 0
    assert versions() == {0: 1.0, 1: 2.0}
    assert len(set(hashes())) == 2


@pytest.mark.parametrize(("code", "gets_more"), [("", True), ("older", False)])
def test_a_job_of_older_code_gets_no_further_trials(tmp_path, code, gets_more):
    spec = study(sampler="random")
    paths = written_run(tmp_path, spec, [waiting(0)])
    made = job(0)
    write_job(paths, replace(made, bundle=replace(made.bundle, request_seconds=600, is_closed=False, code=code)))
    claim(paths, 0, 1, claimed_at=time.time())
    board = board_of(paths, spec)
    Feeder(board, Proposer(board)).feed()
    (after,) = load_jobs(paths).values()
    assert after.bundle.is_closed is not gets_more
    assert (len(after.bundle.attempts) > 1) is gets_more


def test_broken_edits_do_not_keep_a_study_from_going_on(tmp_path):
    write_trainer(1.0)
    assert sweep("launch", own_study(tmp_path, trials=1)).returncode == 0
    Path("own_trainer.py").write_text("def train(config, context):\n    half a")
    assert sweep("resume", "--set", "limits.trials=2").returncode == 0
    assert versions() == {0: 1.0, 1: 1.0}
    refused = sweep("resume", "--new-code", "--set", "limits.trials=3")
    assert (refused.returncode, len(results(RUN))) == (1, 2)
    assert "own_trainer" in refused.stderr
    assert sweep("resume").returncode == 0, "the code that was refused is not in use"
    assert versions() == {0: 1.0, 1: 1.0, 2: 1.0}


def test_a_resume_from_another_folder_runs_what_was_launched(tmp_path, monkeypatch):
    write_trainer(1.0)
    assert sweep("launch", own_study(tmp_path, trials=1)).returncode == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    resumed = sweep("resume", tmp_path / RUN, "--set", "limits.trials=2")
    assert resumed.returncode == 0, resumed.stderr
    assert "changed since" not in resumed.stdout, "nothing is known of it here"
    monkeypatch.chdir(tmp_path)
    assert versions() == {0: 1.0, 1: 1.0}


def test_a_run_folder_without_a_snapshot_gets_one(tmp_path):
    write_trainer(1.0)
    assert sweep("launch", own_study(tmp_path, trials=1)).returncode == 0
    (RUN / "code.json").unlink()
    shutil.rmtree(RUN / "code")
    spec = RUN / "trials/00000/trial.json"
    old = {key: value for key, value in json.loads(spec.read_text()).items() if key != "code"}
    spec.write_text(json.dumps(old))
    resumed = sweep("resume", "--set", "limits.trials=2")
    assert resumed.returncode == 0, resumed.stderr
    assert "changed since" not in resumed.stdout
    assert versions() == {0: 1.0, 1: 1.0}
    assert "1 with unknown" in (RUN / "report" / "report.md").read_text()


def own_spec(**changes: Any) -> Any:
    return study(**({"trainer": "project.training:train"} | changes))


@pytest.fixture
def project(in_a_folder_of_its_own: Path) -> Path:
    """A package of the user's, in the current folder."""
    folder = Path("project").absolute()
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "training.py").write_text("def train(config, context): ...\n")
    return folder


def new_run(spec: Any) -> RunPaths:
    return create_run(spec, here(), Path("runs").absolute())


def places(spec: Any) -> set[str]:
    """The user's files that belong to a study's code."""
    sources = find_sources(spec, new_run(spec).root.parent)
    return {place for place in sources if place.split("/")[0] not in ("sweep", "trainer")}


def test_a_package_is_copied_without_caches_hidden_folders_environments_and_runs(project: Path) -> None:
    for folder in (".git", "__pycache__", "venv", "parts/deep"):
        (project / folder).mkdir(parents=True)
        (project / folder / "module.py").touch()
    (project / "venv" / "pyvenv.cfg").touch()
    (project / "classes.txt").write_text("cat dog")
    run = create_run(own_spec(), here(), project / "runs")
    found = find_sources(own_spec(), run.root.parent)
    assert {place for place in found if place.startswith("project/")} == {
        "project/__init__.py",
        "project/training.py",
        "project/classes.txt",
        "project/parts/deep/module.py",
    }


def test_a_big_file_is_linked_and_no_part_of_the_hash(project: Path) -> None:
    big = project / "weights.bin"
    big.write_bytes(bytes(SMALL_BYTES + 1))
    paths = new_run(own_spec())
    code = take_snapshot(paths, own_spec())
    linked = paths.snapshot(code.hash) / "project" / "weights.bin"
    assert linked.is_symlink()
    assert linked.samefile(big)
    big.write_bytes(bytes(SMALL_BYTES + 2))
    assert changed_files(paths, own_spec()) == []


def test_of_very_many_files_all_are_there_and_code_is_copied_first(project: Path) -> None:
    for number in range(MOST_COPIED):
        (project / f"{number}.txt").touch()
    (project / "z.py").touch()
    paths = new_run(own_spec())
    snapshot = paths.snapshot(take_snapshot(paths, own_spec()).hash) / "project"
    assert [path.name for path in snapshot.glob("*.py") if path.is_symlink()] == []
    assert len(list(snapshot.iterdir())) == MOST_COPIED + 3
    linked = [path for path in snapshot.iterdir() if path.is_symlink()]
    assert len(linked) == len(find_sources(own_spec(), paths.root.parent)) - MOST_COPIED


def test_what_the_users_code_imports_belongs_to_it_and_what_is_installed_does_not(project: Path) -> None:
    Path("tools").mkdir()  # a package without an __init__.py
    Path("tools/shapes.py").write_text("import far_helper")
    Path("far_helper.py").write_text("import project.training")
    Path("bystander.py").touch()
    Path("pictures").mkdir()
    Path("pictures/cat.png").touch()
    (project / "training.py").write_text(
        "import json, numpy, pictures, not_to_be_had\nfrom . import sister\nfrom trainer import Ended\n"
        "def train(config, context):\n    from tools.shapes import square\n"
    )
    assert places(own_spec()) == {
        *("project/__init__.py", "project/training.py"),
        *("tools/shapes.py", "far_helper.py"),
    }


@pytest.mark.parametrize(
    "keys",
    [
        {"fixed": {"model": "nets:Small"}},
        {"space": {"model": {"choices": ["nets:Small", "lenet"]}, "epochs": {"up_to": 3}}},
    ],
)
def test_a_network_of_the_users_own_belongs_to_the_code(keys: dict[str, Any]) -> None:
    Path("nets.py").write_text("class Small: ...")
    keys = {"space": {"epochs": {"up_to": 3}}} | keys
    assert places(study(trainer="trainer.training:train", **keys)) == {"nets.py"}


def test_the_hash_is_of_places_and_contents_alone(project: Path) -> None:
    codes = [take_snapshot(new_run(own_spec(name=name)), own_spec()).hash for name in ("one", "two")]
    os.utime(project / "training.py", (1, 1))
    codes.append(take_snapshot(new_run(own_spec(name="three")), own_spec()).hash)
    assert len(set(codes)) == 1
    (project / "training.py").rename(project / "other.py")
    assert take_snapshot(new_run(own_spec(name="four")), own_spec()).hash != codes[0]


def test_files_that_came_and_went_are_changes_the_users_first(project: Path) -> None:
    paths = new_run(own_spec())
    take_snapshot(paths, own_spec())
    (project / "training.py").rename(project / "other.py")
    facts = json.loads(paths.code.read_text())
    facts["files"]["sweep/worker.py"] = "another"
    paths.code.write_text(json.dumps(facts))
    assert changed_files(paths, own_spec()) == ["project/other.py", "project/training.py", "sweep/worker.py"]


def test_the_snapshot_comes_before_what_a_job_would_import_otherwise(project: Path) -> None:
    paths = new_run(own_spec())
    assert job_pythonpath(paths, "/one::/two") == "/one:/two", "no snapshot yet; nor does an empty entry count"
    code = take_snapshot(paths, own_spec())
    assert job_pythonpath(paths, "/one").split(":") == [str(paths.snapshot(code.hash)), "/one"]


def test_a_report_of_one_code_has_no_warning(tmp_path: Path) -> None:
    trials = [ended(number, spec=trial_spec(number, code="0123456789ab")) for number in range(2)]
    report = write_report(run_of(tmp_path, study(), trials))
    assert "different code" not in report.markdown.read_text()
    assert "0123456789ab" in report.csv.read_text()


TAKE = """
import json, sys
from dataclasses import asdict
from pathlib import Path
import sweep.snapshot
from sweep.run import create_run
from sweep.toml_files import load_profile, load_study
spec = load_study("quickstart")
paths = create_run(spec, load_profile("local"), Path("elsewhere").absolute())
code = sweep.snapshot.take_snapshot(paths, spec)
print(json.dumps([asdict(code), sweep.snapshot.__file__, sorted(sweep.snapshot.find_sources(spec, Path()))]))
"""


def taken_from(root: Path, **environment: str) -> tuple[dict[str, Any], set[str]]:
    """The code, and its files, as a process tells that imports our packages from `root`."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", TAKE],
        env={**os.environ, "PYTHONPATH": str(root), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    code, module, found = json.loads(done.stdout)
    assert Path(module).is_relative_to(root)
    return code, set(found)


def installed_copy(site_packages: Path) -> Path:
    """Our packages as a wheel lays them out."""
    for package in ("sweep", "trainer"):
        shutil.copytree(CHECKOUT / package, site_packages / package)
    for kind in ("studies", "slurm_profiles"):
        shutil.copytree(CHECKOUT / kind, site_packages / "sweep" / kind)
    return site_packages


def test_an_installed_copy_has_the_hash_of_its_checkout_and_no_commit(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", "."], check=True)  # somebody's project around the installed copy
    installed, found = taken_from(installed_copy(tmp_path / "lib" / "site-packages"))
    assert (installed["commit"], installed["edited"]) == ("", False)
    assert not [place for place in found if place.endswith(".toml")]
    assert "sweep/reporting/page.html.j2" in found
    shutil.rmtree("elsewhere")
    assert installed["hash"] == taken_from(CHECKOUT)[0]["hash"]


def test_a_machine_without_git_knows_no_commit() -> None:
    assert taken_from(CHECKOUT, PATH="/nowhere")[0]["commit"] == ""


def test_a_checkout_tells_its_commit_and_whether_it_is_edited(tmp_path: Path) -> None:
    root = installed_copy(tmp_path / "checkout")
    git = ["git", "-C", str(root), "-c", "user.name=n", "-c", "user.email=e"]
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "all"]):
        subprocess.run([*git, *arguments], check=True)
    environment = {"PYTHONDONTWRITEBYTECODE": "1"}  # there is no .gitignore
    code, _ = taken_from(root, **environment)
    assert (len(code["commit"]), code["edited"]) == (40, False)
    (root / "sweep" / "more.py").touch()
    shutil.rmtree("elsewhere")
    edited, _ = taken_from(root, **environment)
    assert (edited["commit"], edited["edited"]) == (code["commit"], True)
