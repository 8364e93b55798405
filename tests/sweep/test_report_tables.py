"""Trials as tables, and the leaderboards."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from sweep_builders import ended, epoch, running, study, trial_spec, waiting

from sweep.records import TrialRecord
from sweep.reporting.tables import TRIAL_COLUMNS, Leaderboards, describe_recipe, leaderboards, reason, trials_table

SPEC = study()


def boards(*records: TrialRecord) -> Leaderboards:
    return leaderboards(trials_table(SPEC, records))


def ranked(board: pd.DataFrame) -> list[int]:
    assert list(board["Rank"]) == list(range(1, len(board) + 1))
    return list(board["Trial"])


def test_a_table_has_a_row_for_every_trial_whatever_its_state() -> None:
    table = trials_table(SPEC, [ended(0), ended(1, "failed", None), running(2, epoch(1, 3.0)), waiting(3)])
    assert list(table["trial"]) == [0, 1, 2, 3]
    assert list(table["state"]) == ["completed", "failed", "running", "queued"]
    assert list(table["epochs"]) == [3, 3, 1, 0]


def test_a_table_of_no_trials_has_the_columns_of_any_other() -> None:
    assert list(trials_table(SPEC, []).columns) == TRIAL_COLUMNS


def test_a_table_has_a_column_for_every_key_of_a_recipe_and_every_metric() -> None:
    records = [
        ended(0, spec=trial_spec(0, recipe={"x": 0.5, "kind": "a"}), metrics={"size": 7.0}),
        ended(1, spec=trial_spec(1, recipe={"x": 0.25})),
    ]
    table = trials_table(SPEC, records)
    assert list(table.columns) == [*TRIAL_COLUMNS, "recipe.x", "recipe.kind", "metrics.size"]
    assert list(table["recipe.x"]) == [0.5, 0.25]
    assert table["metrics.size"].isna().tolist() == [False, True]


def after(epochs: int, planned: int = 7, **recipe: float) -> TrialRecord:
    """A trial that ended after so many of its planned epochs."""
    params = {**recipe, "epochs_share": 0.1}
    return ended(
        0, epochs=epochs, spec=trial_spec(0, recipe={**recipe, "epochs": planned, "seed": 1}, params=params)
    )


def test_the_recipe_in_one_line_begins_with_the_epochs() -> None:
    assert describe_recipe(after(7, x=0.5)) == "7 epochs, x 0.5"


def test_a_trial_that_stopped_before_its_last_epoch_tells_how_many_it_trained() -> None:
    assert describe_recipe(after(3, x=0.5)) == "3 of 7 epochs, x 0.5"


def test_a_trial_that_runs_tells_how_many_epochs_it_has_trained() -> None:
    record = running(0, epoch(1, 3.0), recipe={"epochs": 7}, params={"epochs_share": 0.1})
    assert describe_recipe(record) == "1 of 7 epochs"


def test_the_recipe_of_a_study_of_epochs_alone_is_the_epochs() -> None:
    assert describe_recipe(after(7)) == "7 epochs"


def test_top_accuracy_ranks_the_most_accurate_first() -> None:
    records = [ended(0, accuracy=0.91), ended(1, accuracy=0.99), ended(2, accuracy=0.95)]
    assert ranked(boards(*records).top_accuracy) == [1, 2, 0]


def test_top_speed_ranks_the_fewest_seconds_first() -> None:
    records = [ended(0, train_seconds=9.0), ended(1, train_seconds=30.0), ended(2, train_seconds=3.0)]
    assert ranked(boards(*records).top_speed) == [2, 0, 1]


def test_trials_of_the_same_accuracy_are_ranked_by_speed_and_then_by_number() -> None:
    records = [ended(3, "completed", 0.95, 9.0), ended(1, "completed", 0.95, 9.0), ended(2, "target", 0.95, 4.0)]
    assert ranked(boards(*records).top_accuracy) == [2, 1, 3]


def test_trials_of_the_same_speed_are_ranked_by_accuracy_and_then_by_number() -> None:
    records = [ended(3, "completed", 0.95, 9.0), ended(1, "completed", 0.95, 9.0), ended(2, "target", 0.99, 9.0)]
    assert ranked(boards(*records).top_speed) == [2, 1, 3]


def test_a_row_of_a_leaderboard_tells_accuracy_seconds_and_recipe() -> None:
    assert boards(ended(4)).top_speed.to_dict("records") == [
        {"Rank": 1, "Trial": 4, "Accuracy": 0.95, "Speed (seconds)": 10.0, "Recipe": "x 0.5"}
    ]


def test_every_trial_is_either_on_both_leaderboards_or_told_with_a_reason() -> None:
    records = [ended(0), ended(1, accuracy=0.5), ended(2, "target", 0.92), ended(3, "lost", None), waiting(4)]
    found = boards(*records)
    assert sorted(ranked(found.top_accuracy)) == sorted(ranked(found.top_speed)) == [0, 2]
    assert sorted(found.others["Trial"]) == [1, 3, 4]
    assert all(found.others["Reason"])


def test_trials_that_are_not_ranked_are_told_from_the_most_accurate_to_those_without_accuracy() -> None:
    records = [ended(0, "failed", None), ended(1, accuracy=0.2), ended(2, accuracy=0.8)]
    assert list(boards(*records).others["Trial"]) == [2, 1, 0]


def test_the_others_are_told_with_reason_and_recipe() -> None:
    assert boards(ended(1, accuracy=0.5)).others.to_dict("records") == [
        {
            "Trial": 1,
            "Accuracy": 0.5,
            "Seconds": 10.0,
            "Reason": "below the target after its last epoch",
            "Recipe": "x 0.5",
        }
    ]


@pytest.mark.parametrize("records", [[], [ended(0, "failed", None)], [waiting(0)]])
def test_leaderboards_without_a_ranked_trial_are_empty_and_have_their_columns(records: list[TrialRecord]) -> None:
    found = boards(*records)
    for board in (found.top_accuracy, found.top_speed):
        assert list(board.columns) == ["Rank", "Trial", "Accuracy", "Speed (seconds)", "Recipe"]
        assert len(board) == 0
    assert list(found.others.columns) == ["Trial", "Accuracy", "Seconds", "Reason", "Recipe"]
    assert len(found.others) == len(records)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (ended(0), ""),
        (ended(0, "target"), ""),
        (waiting(0), "still queued"),
        (running(0, epoch(1, 5.0, accuracy=0.99)), "still running"),
        (ended(0, accuracy=0.5), "below the target after its last epoch"),
        (ended(0, "deadline", 0.5), "below the target when its 60 s were over"),
        (ended(0, "deadline", 0.5, detail="after epoch 3"), "below the target when its 60 s were over"),
        (ended(0, "pruned", 0.5), "stopped early, below the target"),
        (ended(0, "diverged", None, detail="at step 7"), "the loss diverged: at step 7"),
        (ended(0, "out_of_memory", None), "out of memory"),
        (ended(0, "failed", None, detail="KeyError: 'x'"), "the code failed: KeyError: 'x'"),
        (ended(0, "timeout", 0.99), "timeout"),
        (ended(0, "lost", None), "lost"),
    ],
)
def test_a_trial_that_is_not_ranked_has_a_reason(record: TrialRecord, told: str) -> None:
    assert reason(SPEC, record) == told


@pytest.mark.parametrize("state", ["completed", "target", "deadline", "pruned"])
def test_a_trial_that_took_longer_than_a_limit_that_was_lowered_is_told_so(state: str) -> None:
    told = reason(SPEC, ended(0, state, accuracy=0.95, train_seconds=90.0))
    assert told == "at the target, but after more than 60 s of training"


def test_a_ranked_trial_of_several_attempts_counts_once() -> None:
    assert ranked(boards(replace(ended(0), attempts=3)).top_speed) == [0]
