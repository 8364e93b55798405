"""Random studies on a virtual clock: budgets hold, every trial ends once, restarts change nothing."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sweep_builders import here, study

from sweep.board import Board
from sweep.clock import VirtualClock
from sweep.driver import Driver
from sweep.errors import BreakerError
from sweep.events import EventLog
from sweep.files import read_json, read_lines
from sweep.launchers.simulated import SimulatedLauncher
from sweep.paths import RunPaths
from sweep.records import JOB_OVERHEAD_SECONDS, Bundle, Ending, TrialState
from sweep.reporting.tables import pareto_front
from sweep.run import create_run, open_run
from sweep.search import Search
from sweep.simulation import simulate
from sweep.spec import StudySpec
from trainer.context import EpochReport

STARTUP, SLOTS = 2.0, 3


def surrogate(recipe: Mapping[str, Any]) -> Sequence[EpochReport]:
    """The smaller the batch the slower; the nearer x to 0.6 the better."""
    return curve(recipe, 1.0 + 20.0 / recipe["batch_size"])


def moody(recipe: Mapping[str, Any]) -> Sequence[EpochReport]:
    """The same, but some take three times as long as alike ones do, and nothing tells which."""
    return curve(recipe, (1.0 + 20.0 / recipe["batch_size"]) * (3.0 if int(recipe["x"] * 100) % 7 == 0 else 1.0))


def curve(recipe: Mapping[str, Any], pace: float) -> Sequence[EpochReport]:
    top = 0.95 - abs(recipe["x"] - 0.6)
    return [
        EpochReport(
            epoch, recipe["epochs"], 1.0, 1.0, top * (1 - 0.5**epoch), 0.1, epoch * pace, STARTUP + epoch * pace
        )
        for epoch in range(1, recipe["epochs"] + 1)
    ]


@st.composite
def studies(draw: st.DrawFn) -> StudySpec:
    trial = draw(st.integers(5, 90))
    return study(
        goal=draw(st.sampled_from(["speed", "accuracy", "both"])),
        target=draw(st.sampled_from([0.5, 0.9])),
        seed=draw(st.integers(0, 99)),
        sampler="random",
        retries=draw(st.integers(0, 2)),
        limits={
            "trials": draw(st.integers(1, 25)),
            "trial": trial,
            "gpu_hours": draw(st.none() | st.floats((trial + 15) / 3600, 0.3)),
            "walltime": draw(st.none() | st.integers(trial + 15, 900)),
        },
        space={
            "x": {"low": 0.0, "high": 1.0},
            "epochs": {"up_to": draw(st.integers(1, 40))},
            "batch_size": {"values": [4, 32, 256]},
        },
    )


class World:
    """A run, its clock and its jobs, which live on when a driver dies."""

    def __init__(
        self, spec: StudySpec, folder: Path, deaths: random.Random | None = None, time_step: float = 0.0
    ) -> None:
        self.spec, self.clock = spec, VirtualClock()
        self.paths = create_run(spec, here(), folder)

        def fault(bundle: Bundle) -> float | None:
            dies = deaths is not None and deaths.random() < 0.25
            return deaths.uniform(0, spec.limits.trial) if dies and deaths else None

        self.launcher = SimulatedLauncher(self.paths, self.clock, moody, SLOTS, fault, time_step=time_step)

    def driver(self) -> Driver:
        events = EventLog(self.paths.events, self.clock)
        events.write("resumed")
        search = Search(self.spec, self.paths.journal, self.paths.run_id.read_text())
        driver = Driver(Board(self.paths, self.spec, search, self.launcher, events))
        driver.adopt()
        return driver

    def advance(self) -> None:
        self.clock.now = max(self.clock.now, self.launcher.next_event())


@contextmanager
def new_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def told(paths: RunPaths) -> list[tuple[int, str]]:
    lines = read_lines(paths.events)
    return [(line["trial"], line["state"]) for line in lines if line["event"] == "told"]


quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(spec=studies(), seed=st.integers(0, 2**16), time_step=st.sampled_from([0.0, 7.0, 60.0]))
def test_the_budget_is_never_exceeded_and_limits_hold(spec: StudySpec, seed: int, time_step: float) -> None:
    with new_folder() as folder:
        world = World(spec, folder, random.Random(seed), time_step)
        driver, ending = world.driver(), None
        while ending is None:
            try:
                ending = driver.step()
            except BreakerError:
                break
            spent = sum(job.charged for job in world.launcher.jobs.values())
            running = list(driver.board.bundles_in_flight().values())
            committed = sum(bundle.request_seconds for bundle in running)
            if spec.limits.gpu_hours is not None:
                assert spent + committed <= spec.limits.gpu_hours * 3600 + 1e-6
            assert len(running) <= SLOTS
            world.advance()
        assert len(driver.board.trials) <= spec.limits.trials
        assert all(
            job.charged <= job.bundle.request_seconds - JOB_OVERHEAD_SECONDS + STARTUP + 1e-6
            for job in world.launcher.jobs.values()
        )
        if spec.limits.walltime is not None:
            assert driver.board.elapsed_seconds() <= spec.limits.walltime


@quick
@given(spec=studies(), seed=st.integers(0, 2**16), stops=st.lists(st.integers(1, 12), max_size=4))
def test_every_trial_ends_in_one_state_told_once_whenever_drivers_die(
    spec: StudySpec, seed: int, stops: list[int]
) -> None:
    with new_folder() as folder:
        world = World(spec, folder, random.Random(seed))
        said: dict[int, str] = {}
        ending = None
        for steps in [*stops, 10_000]:
            driver = world.driver()
            for _ in range(steps):
                try:
                    ending = driver.step()
                except BreakerError:
                    ending = Ending.STOPPED
                if ending is not None:
                    break
                world.advance()
            now = dict(told(world.paths))
            assert said.items() <= now.items()
            said = now
            if ending is not None:
                break
        numbers = [number for number, _ in told(world.paths)]
        assert sorted(numbers) == sorted(set(numbers))
        records = open_run(world.paths).trials
        if ending in (Ending.TRIALS, Ending.GPU_HOURS, Ending.WALLTIME):
            settled = {number for number, record in records.items() if record.state.is_final}
            assert set(numbers) == settled
        if ending is Ending.TRIALS:
            assert settled == set(range(spec.limits.trials))
        for number, state in told(world.paths):
            result = read_json(world.paths.trial(number).result)
            assert result is not None
            assert TrialState(result["state"]) == state


@quick
@given(spec=studies())
def test_the_same_study_gives_the_same_trials_again(spec: StudySpec) -> None:
    recipes = []
    for _ in range(2):
        with new_folder() as folder:
            board, _ = simulate(spec, surrogate, SLOTS, folder)
            recipes.append({number: record.spec.recipe for number, record in board.trials.items()})
    assert recipes[0] == recipes[1]


def test_the_walltime_model_fills_the_limit_and_never_overruns(tmp_path: Path) -> None:
    spec = study(
        goal="accuracy",
        sampler="random",
        limits={"trials": 60, "trial": 60},
        space={"x": {"low": 0.0, "high": 1.0}, "epochs": {"up_to": 100}, "batch_size": {"values": [4, 32, 256]}},
    )
    board, ending = simulate(spec, surrogate, SLOTS, tmp_path)
    assert ending is Ending.TRIALS
    walls = [record.outcome.wall_seconds for record in board.trials.values() if record.outcome]
    assert {record.state for record in board.trials.values()} == {TrialState.COMPLETED}
    assert max(walls) > 45
    assert max(walls) <= 60


def long_trials(retries: int) -> StudySpec:
    """Sixty trials of up to ninety seconds, of which the moody ones overrun their requests."""
    return study(
        goal="accuracy",
        sampler="random",
        retries=retries,
        limits={"trials": 60, "trial": 90},
        space={"x": {"low": 0.0, "high": 1.0}, "epochs": {"up_to": 100}, "batch_size": {"values": [4, 32, 256]}},
    )


def test_a_trial_that_needs_more_than_was_asked_for_goes_on_with_a_greater_request(tmp_path: Path) -> None:
    spec = long_trials(retries=0)
    board, _ = simulate(spec, moody, SLOTS, tmp_path)
    overran = [job for job in board.jobs.values() if job.end is not None and job.end.overran]
    assert overran, "some trials are three times slower than the model can know"
    for job in overran:
        (made,) = job.bundle.attempts
        number, attempt = made.trial, made.number
        after = board.jobs[f"toy-{number:05d}-{attempt + 1}"].bundle
        left = board.trials[number].spec.limit_seconds + JOB_OVERHEAD_SECONDS
        assert after.request_seconds + job.bundle.request_seconds > left or (
            after.request_seconds > job.bundle.request_seconds
        )
    assert {record.state for record in board.trials.values()} <= {TrialState.COMPLETED, TrialState.DEADLINE}
    requests = [job.bundle.request_seconds for job in board.jobs.values()]
    assert min(requests) < 60 < 90 + JOB_OVERHEAD_SECONDS == max(requests)


def test_a_trial_that_overran_once_and_then_dies_is_lost_after_its_retries(tmp_path: Path) -> None:
    spec = long_trials(retries=1)
    world = World(spec, tmp_path)
    overran: set[int] = set()

    def dies_after_an_overrun(bundle: Bundle) -> float | None:
        (attempt,) = bundle.attempts
        if attempt.number > 1:
            overran.add(attempt.trial)
        return 0.5 if attempt.number > 1 else None

    world.launcher.fault = dies_after_an_overrun
    driver = world.driver()
    while driver.step() is None:
        world.advance()
    assert overran
    for number in overran:
        record = driver.board.trials[number]
        assert (record.state, record.attempts) == (TrialState.LOST, 3), "the overrun, and then two that died"


def test_no_gpu_is_idle_while_there_are_trials_left(tmp_path: Path) -> None:
    spec = study(
        sampler="random",
        goal="accuracy",
        limits={"trials": 40, "trial": 90},
        space={"x": {"low": 0.0, "high": 1.0}, "epochs": {"values": [1, 40]}},
    ).model_copy(update={"fixed": {"batch_size": 32}})
    board, _ = simulate(spec, surrogate, 2, tmp_path)
    busy = sum(job.end.gpu_seconds for job in board.jobs.values() if job.end is not None)
    longest = STARTUP + 40 * 1.625
    assert board.elapsed_seconds() <= busy / 2 + longest


def test_goal_both_finds_a_front(tmp_path: Path) -> None:
    spec = study(
        goal="both",
        target=0.5,
        sampler="random",
        limits={"trials": 40, "trial": 60},
        space={"x": {"low": 0.0, "high": 1.0}, "epochs": {"up_to": 30}, "batch_size": {"values": [32, 256]}},
    )
    board, _ = simulate(spec, surrogate, SLOTS, tmp_path)
    states = {state: [r.number % 2 for r in board.trials.values() if r.state == state] for state in TrialState}
    assert set(states[TrialState.TARGET]) == {0}, "trials for accuracy do not stop at the target"
    assert set(states[TrialState.COMPLETED]) >= {1}
    assert len(pareto_front(board.trials.values())) >= 2


def test_a_higher_limit_goes_on_where_the_study_ended(tmp_path: Path) -> None:
    spec = study(
        sampler="random",
        limits={"trials": 5, "trial": 30},
        space={"x": {"low": 0.0, "high": 1.0}, "epochs": {"up_to": 4}},
    ).model_copy(update={"fixed": {"batch_size": 32}})
    world = World(spec, tmp_path)
    for trials in (5, 9):
        world.spec = spec.model_copy(update={"limits": spec.limits.model_copy(update={"trials": trials})})
        driver = world.driver()
        while driver.step() is None:
            world.advance()
        assert [number for number, _ in sorted(told(world.paths))] == list(range(trials))


def test_the_first_trial_times_every_choice_and_all_others_are_predicted_by_it(tmp_path: Path) -> None:
    space = {
        "epochs": {"up_to": 6},
        "batch_size": {"values": [8, 64]},
        "optimizer": {"choices": ["sgd", "adam", "muon"]},
        "x": {"low": 0.0, "high": 1.0},
    }
    spec = study(space=space, sampler="random", goal="accuracy", limits={"trials": 6, "trial": 60})
    board, _ = simulate(spec, surrogate, 2, tmp_path)
    first, beside, *others = (board.trials[number] for number in sorted(board.trials))
    assert [seen.alternative for seen in first.calibrations] == [None, 0, 1]
    recipes = (first.spec.recipe, *first.spec.alternatives)
    assert {recipe["optimizer"] for recipe in recipes} == {"sgd", "adam", "muon"}
    assert first.calibrating_seconds > 0
    assert beside.calibrations == (), "what is being timed is not timed twice"
    for record in others:
        assert record.calibrations == ()
        assert record.outcome is not None
        assert record.spec.predicted_seconds == pytest.approx(record.outcome.wall_seconds, rel=0.3)
