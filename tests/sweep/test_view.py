"""The live view: a panel on a terminal, a line per trial on a pipe."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console
from sweep_builders import died, ended, epoch, gone, job, running, study, waiting

from sweep.ledger import balance
from sweep.records import TrialRecord, TrialState
from sweep.summary import Summary, summarize
from sweep.view import LiveView, recipe_text, render, trial_line

SPEC = study(limits={"trials": 4, "trial": 60, "gpu_hours": 2})
RECIPE = {"x": 0.123456, "epochs": 7, "kind": "big", "momentum": 0.9, "seed": 3}
PARAMS = {"x": 0.123456, "epochs_share": 0.4, "kind": "big"}


def summary(*records: TrialRecord) -> Summary:
    ledger = balance([job(0, end=gone(gpu_seconds=360.0)), job(1, request_seconds=720.0)], SPEC.limits.gpu_hours)
    return summarize(SPEC, {record.number: record for record in records}, ledger, 2)


def panel(*records: TrialRecord, driver: str = "node7, process 42") -> str:
    console = Console(record=True, width=120, file=io.StringIO())
    active = [record for record in records if record.state == TrialState.RUNNING]
    console.print(render(summary(*records), active, driver))
    return console.export_text()


def lines(*rounds: list[TrialRecord], width: int = 200) -> list[str]:
    """What a pipe gets from these states of a study, one after the other."""
    out = io.StringIO()
    with LiveView(Console(file=out, width=width)) as view:
        for records in rounds:
            view.update(summary(*records), {record.number: record for record in records}, "here")
    return out.getvalue().splitlines()


@pytest.mark.parametrize(
    "text",
    [
        "toy  goal speed, target 90%",
        "0.100 GPU-h spent, up to 0.200 in flight, of 2",
        "95.00% (trial 0)",
        "fastest to 90%",
        "10 s of training (trial 0)",
        "node7, process 42",
        "3/10",
        "45.0%",
    ],
)
def test_the_panel_shows_where_a_study_stands(text: str) -> None:
    shown = panel(ended(0), ended(1, "out_of_memory", None), running(2, epoch(3, 9.0, accuracy=0.45)))
    assert text in shown


def test_the_panel_of_a_study_that_just_began_says_so() -> None:
    shown = panel()
    assert "0/4 done" in shown
    assert "nothing measured yet" in shown
    assert "not reached yet" in shown
    assert "time left" not in shown


def test_the_panel_shows_the_recipe_of_a_trial_before_its_first_epoch() -> None:
    shown = panel(running(2, recipe=RECIPE, params=PARAMS))
    assert "-/7" in shown
    assert "x 0.1235, kind big" in shown


def test_the_panel_counts_the_trials_in_each_state_and_those_tried_again() -> None:
    shown = panel(replace(ended(0), attempts=3, failures=died(2)), ended(1, "out_of_memory", None), running(2))
    assert "2/4 done  1 running  1 completed  1 out of memory  2 retried" in shown


def test_the_recipe_is_what_was_searched_epochs_aside() -> None:
    assert recipe_text(waiting(0, recipe=RECIPE, params=PARAMS)) == "x 0.1235, kind big"


def test_a_key_that_was_searched_by_rank_is_shown_by_its_value() -> None:
    assert recipe_text(waiting(0, recipe={"batch_size": 32}, params={"batch_size_rank": 5})) == "batch_size 32"


@pytest.mark.parametrize("value", ["[relu]", "[/INST]", "[bold]x[/bold]"])
def test_brackets_in_a_recipe_are_shown_in_the_panel(value: str) -> None:
    assert value in panel(running(0, recipe={"x": value}, params={"x": value}))


def test_a_line_tells_how_a_trial_ended() -> None:
    assert trial_line(ended(3, "target", accuracy=0.91234, train_seconds=7.25)) == (
        "trial 3: reached target, 91.23% in 7.2 s  x 0.5"
    )


def test_a_line_tells_what_went_wrong() -> None:
    line = trial_line(ended(3, "out_of_memory", None, 0.0, detail="the batch is too large"))
    assert line == "trial 3: out of memory, no accuracy in 0.0 s  x 0.5  the batch is too large"


def test_a_trial_is_one_line_though_its_exception_has_several() -> None:
    assert len(trial_line(ended(3, "failed", None, detail="ValidationError:\nx\n  is wrong")).splitlines()) == 1


def test_a_pipe_gets_a_line_for_each_trial_that_ended_since_the_last_look() -> None:
    told = lines([ended(0), waiting(1)], [ended(0), running(1)], [ended(0), ended(1), ended(2)])
    assert [line.partition(":")[0] for line in told] == ["[2/4] trial 1", "[3/4] trial 2"]


def test_a_pipe_is_not_told_again_of_the_trials_of_an_earlier_session() -> None:
    assert lines([ended(0), ended(1)], [ended(0), ended(1)]) == []


def test_brackets_in_a_line_are_printed_as_they_are() -> None:
    (line,) = lines([], [ended(0, "failed", None, detail="got [red]x[/] and [/INST]")])
    assert line.endswith("got [red]x[/] and [/INST]")


def test_a_long_line_is_not_wrapped_on_a_pipe() -> None:
    assert len(lines([], [ended(0, "failed", None, detail="word " * 60)])) == 1


def test_colons_in_a_line_are_printed_as_they_are() -> None:
    (line,) = lines([], [ended(0, "failed", None, detail="loss :100: at step")])
    assert line.endswith("loss :100: at step")


def test_a_terminal_gets_the_panel() -> None:
    out = io.StringIO()
    with LiveView(Console(file=out, force_terminal=True, width=120, height=40, color_system=None)) as view:
        view.update(summary(running(0)), {0: running(0)}, "here")
        assert "0/4 done" in out.getvalue()


def test_a_view_is_due_until_it_is_drawn() -> None:
    with LiveView(Console(file=io.StringIO())) as view:
        assert view.is_due()
        view.update(summary(), {}, "here")
        assert not view.is_due()
