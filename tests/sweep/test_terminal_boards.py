"""Leaderboards in the terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from sweep_builders import ended, study, trial_spec

from sweep.commands.boards import ROWS, print_boards
from sweep.records import TrialRecord
from sweep.reporting.tables import leaderboards, trials_table

SPEC = study()


def printed(*records: TrialRecord) -> str:
    out = io.StringIO()
    boards = leaderboards(trials_table(SPEC, records))
    print_boards(Console(file=out, width=160, highlight=False), boards, SPEC.goal, SPEC.target)
    return out.getvalue()


def test_the_leaderboards_are_printed_with_their_ranks() -> None:
    text = printed(ended(0, accuracy=0.91), ended(1, accuracy=0.97, train_seconds=33.3))
    assert "Top accuracy (trials at 90% or more" in text
    assert "Top speed" in text
    assert ["1", "1", "97.00%", "33.3", "x", "0.5"] in [line.split() for line in text.splitlines()]


def test_boards_without_a_ranked_trial_say_none() -> None:
    assert printed().split().count("none") == 2


def test_trials_that_are_not_ranked_are_printed_with_the_reason() -> None:
    text = printed(ended(0, "diverged", None))
    assert "Not ranked" in text
    assert "the loss diverged" in text


def test_the_others_are_not_mentioned_if_there_are_none() -> None:
    assert "Not ranked" not in printed(ended(0))


def test_only_the_best_are_printed_and_the_rest_counted() -> None:
    text = printed(*(ended(number, train_seconds=1.0 + number) for number in range(ROWS + 3)))
    assert text.count("and 3 more in the report") == 2


@pytest.mark.parametrize("bracketed", ["[relu]", "[/data/images]"])
def test_brackets_in_a_recipe_or_a_reason_are_printed_as_they_are(bracketed: str) -> None:
    spec = trial_spec(0, recipe={"x": bracketed}, params={"x": bracketed})
    assert printed(ended(0, "failed", None, detail=f"no {bracketed}", spec=spec)).count(bracketed) == 2
