"""sweep retry: failed trials are put back, and end as the same trials."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest
from driving import events, results, sweep, told, write_study

RUN = Path("runs/sleepy")


def failing_study(tmp_path: Path, top: str = "") -> Path:
    """Two trials whose code raises, until the file `mended` is there."""
    Path("fickle.py").write_text(
        "from pathlib import Path\n"
        "from sleepers import sleep\n"
        "def train(config, context):\n"
        f"    return sleep({{**config, **({{}} if Path({str(tmp_path / 'mended')!r}).exists() "
        "else {'fault': 'raise'})}, context)\n"
    )
    study = write_study(tmp_path, trials=2, top=top)
    study.write_text(study.read_text().replace("sleepers:sleep", "fickle:train"))
    return study


@pytest.mark.parametrize("storage", ["", "sqlite:///optuna.db"])
def test_failed_trials_that_are_put_back_end_under_their_own_numbers(tmp_path: Path, storage: str) -> None:
    assert sweep("launch", failing_study(tmp_path, f'storage = "{storage}"')).returncode == 1
    assert {result["state"] for result in results(RUN).values()} == {"failed"}
    (tmp_path / "mended").touch()
    done = sweep("retry", "sleepy", "--cause", "failed")
    assert done.returncode == 0, done.stderr
    assert "Put back 2 trial(s): 0, 1" in done.stdout
    assert results(RUN) == {}

    done = sweep("resume", "sleepy")

    assert done.returncode == 0, done.stderr
    assert {number: (r["state"], r["attempt"]) for number, r in results(RUN).items()} == {
        0: ("completed", 2),
        1: ("completed", 2),
    }
    assert (RUN / "trials/00000/result.1.json").exists()
    assert set(told(RUN).values()) == {2}, "once when it failed, once when it ended"
    url = storage or optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(RUN / "journal.log"))
    )
    told_states = [trial.state.name for trial in optuna.load_study(study_name="sleepy", storage=url).trials]
    assert told_states == ["COMPLETE", "COMPLETE"]


def test_one_trial_can_be_put_back_by_its_number(tmp_path: Path) -> None:
    sweep("launch", failing_study(tmp_path))
    done = sweep("retry", "sleepy", "--trial", "1", "--anew")
    assert done.returncode == 0, done.stderr
    assert sorted(results(RUN)) == [0]
    assert [(event["trial"], event["anew"]) for event in events(RUN, "put_back")] == [(1, True)]


def test_retries_that_were_used_up_are_granted_again(tmp_path: Path) -> None:
    study = write_study(tmp_path, trials=1, top="retries = 1", fault="die")
    sweep("launch", study)
    assert results(RUN)[0]["state"] == "lost"
    assert sweep("retry", "--cause", "all").returncode == 0
    sweep("resume")
    assert json.loads((RUN / "trials/00000/result.json").read_text())["attempt"] == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "got neither --cause nor --trial"),
        (("--cause", "weather"), "got weather"),
        (("--cause", "completed"), "got completed"),
        (("--trial", "0"), "0 (completed)"),
        (("--trial", "7"), "7 (no such trial)"),
        (("--cause", "failed"), "no trial of sleepy has failed so"),
    ],
)
def test_what_cannot_be_put_back_is_told(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    sweep("launch", write_study(tmp_path, trials=1))
    done = sweep("retry", "sleepy", *arguments)
    assert done.returncode == 1
    assert said in done.stderr
