"""Goals, pruners and history in the search: what views make of the same trials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from sweep_builders import ended, epoch, study, trial_spec

from sweep.errors import StudyFileError
from sweep.records import TrialRecord, TrialState
from sweep.search import Search
from sweep.search.pruners import make_pruner
from sweep.spec import StudySpec

SPACE = {"x": {"low": 0.0, "high": 1.0}, "optimizer": {"choices": ["sgd", "adam"]}}


def opened(spec: StudySpec, folder: Path, history: tuple[TrialRecord, ...] = ()) -> Search:
    return Search(spec, folder / "journal.log", history=history)


def asked(search: Search) -> TrialRecord:
    new = search.ask({}, 60.0)
    spec = trial_spec(new.number, recipe=new.recipe, params=new.params, stop_at=new.stop_at)
    return TrialRecord(spec, TrialState.RUNNING, attempts=1, in_flight=True)


def finished(record: TrialRecord, accuracy: float, seconds: float, state: str = "completed") -> TrialRecord:
    return ended(record.number, state, accuracy, seconds, spec=record.spec)


def test_goal_both_asks_for_speed_and_accuracy_in_turn(tmp_path: Path) -> None:
    search = opened(study(goal="both", target=0.9, space=SPACE), tmp_path)
    assert [asked(search).spec.stop_at for _ in range(4)] == [0.9, None, 0.9, None]


def test_goal_both_is_two_objectives_to_a_dashboard(tmp_path: Path) -> None:
    search = opened(study(goal="both", target=0.9, space=SPACE), tmp_path)
    search.tell(finished(asked(search), 0.95, 10.0, "target"))
    loaded = optuna.load_study(study_name="toy", storage=search.stored.storage)
    assert len(loaded.directions) == 2
    assert len(loaded.trials[0].values) == 2


@pytest.mark.parametrize("sampler", ["tpe", "gp", "qmc"])
@pytest.mark.parametrize("goal", ["both", "accuracy"])
def test_a_search_that_is_reopened_proposes_what_it_would_have(tmp_path: Path, sampler: str, goal: str) -> None:
    recipes = []
    for reopen in (False, True):
        folder = tmp_path / str(reopen)
        folder.mkdir()
        spec = study(goal=goal, sampler=sampler, space=SPACE)
        search, records = opened(spec, folder), dict[int, TrialRecord]()
        for number in range(14):
            if reopen and number in (5, 12):
                search = opened(spec, folder)
                search.reconcile(records)
            record = asked(search)
            records[record.number] = finished(record, 1 - abs(record.spec.recipe["x"] - 0.3), 10.0 + number)
            search.tell(records[record.number])
        recipes.append([record.spec.recipe for record in records.values()])
    assert recipes[0] == recipes[1]


def history(recipes: list[dict[str, float]], good: Callable[[dict[str, float]], bool]) -> tuple[TrialRecord, ...]:
    specs = [trial_spec(-1 - index, recipe=recipe, params=recipe) for index, recipe in enumerate(recipes)]
    return tuple(ended(spec.number, accuracy=0.9 if good(spec.recipe) else 0.1, spec=spec) for spec in specs)


def test_history_of_other_studies_is_learned_from(tmp_path: Path) -> None:
    spec = study(goal="accuracy", sampler="gp", space={"x": {"low": 0.0, "high": 1.0}})
    known = history([{"x": n / 20} for n in range(21)], lambda recipe: abs(recipe["x"] - 0.3) < 0.12)
    search = opened(spec, tmp_path, known)
    assert all(abs(asked(search).spec.recipe["x"] - 0.3) < 0.2 for _ in range(3)), "the first ones are not random"
    assert len(search.stored.study.trials) == 3, "the storage holds this study's trials only"


def test_history_of_other_studies_is_not_proposed_again(tmp_path: Path) -> None:
    spec = study(goal="accuracy", sampler="random", space={"n": {"low": 1, "high": 20}})
    search = opened(spec, tmp_path, history([{"n": n} for n in range(1, 16)], lambda recipe: False))
    assert {asked(search).spec.recipe["n"] for _ in range(5)} == {16, 17, 18, 19, 20}


@pytest.mark.parametrize("name", ["median", "MedianPruner", "hyperband", "successivehalving", "threshold"])
def test_a_pruner_goes_by_its_short_or_its_whole_name(name: str) -> None:
    options = {"lower": 0.1} if name == "threshold" else {}
    pruner = make_pruner(study(goal="accuracy", pruner=name, pruner_options=options))
    assert name.removesuffix("Pruner").lower() in type(pruner).__name__.lower()


def test_an_unknown_pruner_and_options_that_it_does_not_take_are_refused() -> None:
    with pytest.raises(StudyFileError, match=r"pruner must be one of .*median.*; got 'mean'"):
        make_pruner(study(goal="accuracy", pruner="mean"))
    with pytest.raises(StudyFileError, match="it takes n_startup_trials"):
        make_pruner(study(goal="accuracy", pruner="median", pruner_options={"startup": 3}))


@pytest.mark.parametrize("goal", ["both", "speed"])
def test_a_pruner_needs_goal_accuracy(goal: str) -> None:
    with pytest.raises(ValueError, match=f"pruner = median goes with goal accuracy, not {goal}:"):
        study(goal=goal, pruner="median")


def test_the_median_pruner_stops_the_trial_that_does_worse_than_most(tmp_path: Path) -> None:
    options = {"n_startup_trials": 3, "n_warmup_steps": 0}
    search = opened(study(goal="accuracy", pruner="median", pruner_options=options, space=SPACE), tmp_path)
    for top in (0.6, 0.7, 0.8):
        record = finished(asked(search), top, 10.0)
        search.tell(replace(record, epochs=(epoch(1, 2.0, top - 0.1), epoch(2, 4.0, top))))
    good, bad = (
        replace(asked(search), epochs=(epoch(1, 2.0, first), epoch(2, 4.0, first + 0.05))) for first in (0.7, 0.3)
    )
    assert not search.should_prune(good)
    assert search.should_prune(bad)
