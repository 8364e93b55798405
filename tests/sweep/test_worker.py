"""What runs inside a job: claim a trial, train it, publish its result."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from sweep_builders import epoch, outcome, trial_spec, waiting, write_trial

from sweep.curves import HOPELESS
from sweep.files import append_line, must_read_json, publish, read_lines, to_json
from sweep.files import replace as replace_text
from sweep.history import calibrations_of, has_overrun, read_outcome, read_progress, used_seconds
from sweep.lane import preload
from sweep.paths import RunPaths, TrialPaths
from sweep.records import TrialRecord, TrialState, as_json
from sweep.worker import Claimant, InterruptFlag, TrialContext, claim, run_trial
from trainer.context import Calibration, StopReason


@pytest.fixture
def interrupt() -> Iterator[InterruptFlag]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR2)}
    yield InterruptFlag()
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def trial(tmp_path: Path) -> TrialPaths:
    """The folder of trial 0, of three quick epochs."""
    return written(tmp_path, recipe={"x": 0.3, "seconds": 0.0, "epochs": 3}, stop_at=None)


def written(folder: Path, **changes: Any) -> TrialPaths:
    paths = RunPaths(folder / "run")
    write_trial(paths, TrialRecord(trial_spec(0, **changes)))
    return paths.trial(0)


def trained_by(folder: Path, body: str, name: str, kind: str = "dict") -> TrialPaths:
    """A trial of a function with this body, in a module of its own, that takes recipes of this kind."""
    text = dedent(
        f"""
        import dataclasses, os, signal
        from trainer import Ended, EpochReport, StopReason, TrainResult
        RESULT = TrainResult(Ended.COMPLETED, 1, 0.5, 1.0, 2.0)
        def train(config: {kind}, context):
        """
    )
    (folder / f"{name}.py").write_text(text + f"    {body}\n")
    return written(folder, trainer=f"{name}:train")


def test_a_trial_that_was_trained_has_its_epochs_and_its_result(
    trial: TrialPaths, interrupt: InterruptFlag
) -> None:
    run_trial(trial, 1, interrupt)
    result = read_outcome(trial)
    assert result is not None
    assert (result.state, result.attempt, result.epochs, result.accuracy) == (TrialState.COMPLETED, 1, 3, 1.0)
    assert [report.epoch for report in read_progress(trial.progress)] == [1, 2, 3]


def test_a_trial_is_claimed_by_the_process_that_runs_it(trial: TrialPaths, interrupt: InterruptFlag) -> None:
    run_trial(trial, 2, interrupt)
    claimed = json.loads(trial.claim(2).read_text())
    assert (claimed["attempt"], claimed["pid"]) == (2, os.getpid())
    assert 0 < claimed["monotonic"] <= time.monotonic()
    assert 0 < claimed["claimed_at"] <= time.time()


def test_an_attempt_that_somebody_claimed_is_left_to_them(trial: TrialPaths, interrupt: InterruptFlag) -> None:
    publish(trial.claim(1), "{}")
    run_trial(trial, 1, interrupt)
    assert read_outcome(trial) is None
    assert not trial.progress.exists()


def test_a_job_that_the_site_started_again_goes_on_with_its_attempt(
    trial: TrialPaths, interrupt: InterruptFlag
) -> None:
    claim(trial, 1, Claimant("job", restart=0))
    run_trial(trial, 1, interrupt, claimant=Claimant("job", restart=1))
    assert read_outcome(trial) is not None
    assert json.loads(trial.claim(1, 1).read_text())["restart"] == 1


@pytest.mark.parametrize(
    "claimant", [Claimant("job", restart=0), Claimant("other", restart=1)], ids=["same start", "another job"]
)
def test_nobody_else_goes_on_with_an_attempt(
    trial: TrialPaths, interrupt: InterruptFlag, claimant: Claimant
) -> None:
    claim(trial, 1, Claimant("job", restart=0))
    run_trial(trial, 1, interrupt, claimant=claimant)
    assert read_outcome(trial) is None


def test_an_attempt_that_the_driver_took_back_stays_dead_when_the_site_starts_its_job_again(
    trial: TrialPaths, interrupt: InterruptFlag
) -> None:
    publish(trial.claim(1), to_json({"revoked_at": 1.0}))
    run_trial(trial, 1, interrupt, claimant=Claimant("job", restart=1))
    assert read_outcome(trial) is None


def test_a_trial_that_is_decided_is_not_run_again(trial: TrialPaths, interrupt: InterruptFlag) -> None:
    publish(trial.result, to_json(as_json(outcome("pruned"))))
    run_trial(trial, 1, interrupt)
    assert not trial.claim(1).exists()
    assert read_outcome(trial) == outcome("pruned")


def test_a_trial_stops_at_the_target(tmp_path: Path, interrupt: InterruptFlag) -> None:
    trial = written(tmp_path, recipe={"x": 0.3, "seconds": 0.0, "epochs": 3}, stop_at=0.9)
    run_trial(trial, 1, interrupt)
    result = read_outcome(trial)
    assert result is not None
    assert (result.state, result.epochs) == (TrialState.TARGET, 1)


def test_a_trial_that_is_told_to_leave_has_no_result_yet(trial: TrialPaths, interrupt: InterruptFlag) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    run_trial(trial, 1, interrupt)
    assert read_outcome(trial) is None
    assert len(read_progress(trial.progress)) == 1
    *_, last = read_lines(trial.progress)
    assert last["left_after_seconds"] > 0
    assert not has_overrun(trial, 1)
    assert used_seconds(trial) == last["left_after_seconds"] > 0


def test_a_trial_whose_stop_file_is_there_is_pruned(trial: TrialPaths, interrupt: InterruptFlag) -> None:
    trial.stop.touch()
    run_trial(trial, 1, interrupt)
    result = read_outcome(trial)
    assert result is not None
    assert result.state == TrialState.PRUNED


@pytest.mark.parametrize(
    ("body", "state", "detail"),
    [
        ("raise ValueError('no such layer')", TrialState.FAILED, "ValueError: no such layer"),
        ("raise MemoryError", TrialState.OUT_OF_MEMORY, "MemoryError"),
        ("raise type('OutOfMemoryError', (RuntimeError,), {})('GPU')", TrialState.OUT_OF_MEMORY, "GPU"),
        (
            'raise RuntimeError("DefaultCPUAllocator: can\'t allocate memory")',
            TrialState.OUT_OF_MEMORY,
            "DefaultCPUAllocator",
        ),
        ("return config['missing']", TrialState.FAILED, "KeyError: 'missing'"),
    ],
)
def test_an_exception_is_the_outcome_of_a_trial(
    tmp_path: Path, interrupt: InterruptFlag, body: str, state: TrialState, detail: str
) -> None:
    trial = trained_by(tmp_path, body, f"raises_{abs(hash(body))}")
    run_trial(trial, 1, interrupt)
    result = read_outcome(trial)
    assert result is not None
    assert result.state == state
    assert detail in result.detail


@pytest.mark.parametrize(
    "body",
    [
        "return None",
        "return 0.97",
        "return dataclasses.replace(RESULT, metrics={'area': object()})",
        "return dataclasses.replace(RESULT, ended='done')",
        "raise SystemExit(2)",
        "raise SystemExit",
        "return dataclasses.replace(RESULT, accuracy='high')",
        "return dataclasses.replace(RESULT, epochs=None)",
        "return dataclasses.replace(RESULT, train_seconds=None)",
    ],
)
def test_a_function_that_leaves_no_usable_result_has_failed(
    tmp_path: Path, interrupt: InterruptFlag, body: str
) -> None:
    trial = trained_by(tmp_path, body, f"returns_{abs(hash(body))}")
    run_trial(trial, 1, interrupt)
    result = read_outcome(trial)
    assert result is not None
    assert result.state == TrialState.FAILED


@pytest.mark.parametrize("accuracy", ["93.0", "-0.1", "float('nan')"])
def test_an_accuracy_that_is_no_share_is_a_failure_that_says_so(
    tmp_path: Path, interrupt: InterruptFlag, accuracy: str
) -> None:
    body = f"return dataclasses.replace(RESULT, accuracy={accuracy})"
    trial = trained_by(tmp_path, body, f"percent_{abs(hash(body))}")
    run_trial(trial, 1, interrupt)
    result = read_outcome(trial)
    assert result is not None
    assert result.state == TrialState.FAILED
    assert "accuracy must be in [0, 1]" in result.detail


def test_metrics_that_are_not_finite_are_published_as_unknown(tmp_path: Path, interrupt: InterruptFlag) -> None:
    body = "return dataclasses.replace(RESULT, accuracy=0.5, metrics={'loss': float('inf')})"
    trial = trained_by(tmp_path, body, "not_finite")
    run_trial(trial, 1, interrupt)
    result = read_outcome(trial)
    assert result is not None
    assert (result.accuracy, result.metrics) == (0.5, {"loss": None})


def test_time_that_earlier_attempts_used_is_taken_from_the_limit(
    trial: TrialPaths, interrupt: InterruptFlag, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_line(trial.progress, as_json(epoch(1, 45.0)))  # of the 60 seconds
    seen: list[float] = []
    monkeypatch.setattr("sleepers.sleep", lambda config, context: seen.append(context.deadline) or interrupted())
    began = time.monotonic()
    run_trial(trial, 1, interrupt)
    (deadline,) = seen
    assert began + 15.0 <= deadline <= time.monotonic() + 15.0


def test_time_until_an_attempt_left_in_order_is_taken_from_the_limit_of_the_next(
    trial: TrialPaths, interrupt: InterruptFlag, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_line(trial.progress, as_json(epoch(1, 10.0)))
    append_line(trial.progress, {"left_after_seconds": 45.0})  # of the 60 seconds
    seen: list[float] = []
    monkeypatch.setattr("sleepers.sleep", lambda config, context: seen.append(context.deadline) or interrupted())
    began = time.monotonic()
    run_trial(trial, 2, interrupt)
    (deadline,) = seen
    assert began + 15.0 <= deadline <= time.monotonic() + 15.0
    assert 45.0 <= used_seconds(trial) <= 45.0 + time.monotonic() - began


def test_a_failure_keeps_the_epochs_that_were_finished(tmp_path: Path, interrupt: InterruptFlag) -> None:
    body = (
        "[context.report(EpochReport(n, 5, 1.0, 1.0, 0.5, 0.1, 2.0 * n, 1.0)) for n in (1, 2)];"
        " raise ValueError('the third epoch')"
    )
    trial = trained_by(tmp_path, body, "fails_after_two")
    run_trial(trial, 1, interrupt)
    result = read_outcome(trial)
    assert result is not None
    assert (result.state, result.epochs, result.train_seconds) == (TrialState.FAILED, 2, 4.0)
    assert result.wall_seconds >= read_progress(trial.progress)[-1].wall_seconds
    assert len(read_progress(trial.progress)) == 2


def test_a_trainer_that_cannot_be_imported_is_no_trouble_before_its_trial(
    tmp_path: Path, interrupt: InterruptFlag
) -> None:
    trial = written(tmp_path, trainer="a_module_that_nobody_has:train")
    preload(trial)
    run_trial(trial, 1, interrupt)
    result = read_outcome(trial)
    assert result is not None
    assert result.state == TrialState.FAILED
    assert "a_module_that_nobody_has" in result.detail


def interrupted() -> Any:
    from trainer import Ended, TrainResult

    return TrainResult(Ended.INTERRUPTED, 0, None, 0.0, 0.0)


def context_of(trial: TrialPaths, interrupt: InterruptFlag, stop_at: float | None = 0.9) -> TrialContext:
    return TrialContext(trial, waiting(0, stop_at=stop_at).spec, interrupt)


@pytest.mark.parametrize(
    ("accuracy", "stop_at", "answer"),
    [
        (0.9, 0.9, StopReason.TARGET),
        (0.89, 0.9, None),
        (None, 0.9, None),
        (0.99, None, None),
    ],
)
def test_a_report_is_answered_at_the_target(
    trial: TrialPaths,
    interrupt: InterruptFlag,
    accuracy: float | None,
    stop_at: float | None,
    answer: StopReason | None,
) -> None:
    context = context_of(trial, interrupt, stop_at)
    assert context.report(epoch(1, 5.0, accuracy)) == answer
    (written_down,) = read_progress(trial.progress)
    assert replace(written_down, wall_seconds=5.0) == epoch(1, 5.0, accuracy)


def test_the_wall_seconds_of_a_report_and_of_an_outcome_are_those_of_the_worker(
    tmp_path: Path, interrupt: InterruptFlag
) -> None:
    body = "context.report(EpochReport(1, 1, 1.0, 1.0, 0.5, 0.1, 1.0, 1e9)); return RESULT"
    trial = trained_by(tmp_path, body, "tells_its_own_time")
    append_line(trial.progress, {"left_after_seconds": 20.0})
    began = time.monotonic()
    run_trial(trial, 2, interrupt)
    (report,) = read_progress(trial.progress)
    result = read_outcome(trial)
    assert result is not None
    assert 20.0 <= report.wall_seconds <= result.wall_seconds <= 20.0 + time.monotonic() - began
    assert (report.train_seconds, result.train_seconds) == (1.0, 1.0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_a_signal_is_answered_at_once(trial: TrialPaths, interrupt: InterruptFlag, number: signal.Signals) -> None:
    context = context_of(trial, interrupt)
    assert context.stop_requested() is None
    os.kill(os.getpid(), number)
    assert context.stop_requested() == StopReason.INTERRUPTED


def test_a_job_whose_time_is_over_before_its_trials_leaves_without_a_result(
    tmp_path: Path, interrupt: InterruptFlag
) -> None:
    trial = written(tmp_path, recipe={"x": 0.3, "seconds": 30.0, "epochs": 30}, stop_at=None)
    run_trial(trial, 1, interrupt, job_end=time.monotonic() + 0.3)
    assert read_outcome(trial) is None
    assert has_overrun(trial, 1)
    assert not has_overrun(trial, 2), "a later attempt is not to be taken for it"
    assert used_seconds(trial) < 20


def test_a_job_that_ends_with_its_trials_limit_leaves_the_end_to_the_limit(
    tmp_path: Path, interrupt: InterruptFlag
) -> None:
    trial = written(tmp_path, recipe={"x": 0.3, "seconds": 30.0, "epochs": 30}, stop_at=None, limit_seconds=0.5)
    run_trial(trial, 1, interrupt, job_end=time.monotonic() + 0.1)
    result = read_outcome(trial)
    assert result is not None
    assert result.state == TrialState.DEADLINE
    assert not has_overrun(trial, 1)


def test_a_hopeless_trial_is_pruned_with_the_reason(tmp_path: Path, interrupt: InterruptFlag) -> None:
    recipe = {"x": 0.9, "seconds": 0.0, "epochs": 30}
    trial = written(tmp_path, recipe=recipe, stop_at=0.99, stop_hopeless=True)
    run_trial(trial, 1, interrupt)
    result = read_outcome(trial)
    assert result is not None
    assert (result.state, result.detail) == (TrialState.PRUNED, HOPELESS)
    assert result.epochs < 30


def test_a_calibration_is_written_down_where_one_is_wanted(tmp_path: Path, interrupt: InterruptFlag) -> None:
    seen = "__import__('trainer.context').context.Calibration('here', 1.5, ((8, 2.0),))"
    body = f"return RESULT if context.calibrated({seen}) or context.wants_calibration else None"
    trial = trained_by(tmp_path, body, "calibrating")
    spec = must_read_json(trial.spec) | {"wants_calibration": True}
    replace_text(trial.spec, to_json(spec))
    run_trial(trial, 1, interrupt)
    assert calibrations_of(read_lines(trial.progress)) == (Calibration("here", 1.5, ((8, 2.0),)),)
    assert read_progress(trial.progress) == ()


def test_alternatives_are_of_the_kind_that_the_run_gets_without_those_that_have_a_mistake(
    tmp_path: Path, interrupt: InterruptFlag
) -> None:
    body = (
        "return dataclasses.replace(RESULT, detail=str({n: x.optimizer for n, x in context.alternatives.items()}))"
    )
    trial = trained_by(tmp_path, body, "with_alternatives", kind="__import__('trainer.config').config.TrainConfig")
    recipes = [{"optimizer": "adam"}, {"batch_size": -1}, {"optimizer": "muon"}]
    spec = must_read_json(trial.spec) | {"recipe": {}, "alternatives": recipes}
    replace_text(trial.spec, to_json(spec))
    run_trial(trial, 1, interrupt)
    result = read_outcome(trial)
    assert result is not None
    assert (result.state, result.detail) == (TrialState.COMPLETED, "{0: 'adam', 2: 'muon'}")


@pytest.mark.parametrize(
    ("points", "alternative", "said"),
    [
        ("((8, 0.0),)", None, "must be above 0"),
        ("((8, float('nan')),)", None, "must be above 0"),
        ("((0, 1.0),)", None, "must be above 0"),
        ("((8, 1.0),)", 3, r"must be one of \[\]; got 3"),
    ],
)
def test_a_calibration_that_cannot_be_is_the_trainers_mistake(
    tmp_path: Path, interrupt: InterruptFlag, points: str, alternative: int | None, said: str
) -> None:
    told = f"__import__('trainer.context').context.Calibration('here', 1.5, {points}, {alternative})"
    trial = trained_by(tmp_path, f"context.calibrated({told})", f"wrong_{abs(hash((points, alternative)))}")
    run_trial(trial, 1, interrupt)
    result = read_outcome(trial)
    assert result is not None
    assert result.state == TrialState.FAILED
    assert re.search(said, result.detail)
    assert calibrations_of(read_lines(trial.progress)) == ()


def test_of_two_attempts_that_calibrated_the_later_counts() -> None:
    told = ((None, 2.0), (0, 3.0), (None, 4.0), (1, 5.0))
    lines = [
        {"calibration": as_json(Calibration("here", 1.5, ((8, seconds),), alternative=which))}
        for which, seconds in told
    ]
    assert [(seen.alternative, seen.epoch_seconds) for seen in calibrations_of(lines)] == [
        (None, ((8, 4.0),)),
        (1, ((8, 5.0),)),
    ]
