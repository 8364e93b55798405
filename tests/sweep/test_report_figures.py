"""The figure of a report."""

from __future__ import annotations

from typing import Any

from sweep_builders import ended, epoch, running, study, waiting

from sweep.records import TrialRecord
from sweep.reporting.figures import accuracy_against_seconds
from sweep.reporting.tables import trials_table

SPEC = study()


def figure(*records: TrialRecord) -> Any:
    return accuracy_against_seconds(trials_table(SPEC, records), SPEC.target, SPEC.limits.trial)


def annotations(drawn: Any) -> list[str]:
    return [annotation.text for annotation in drawn.layout.annotations]


def test_every_measured_trial_is_a_dot_of_its_state() -> None:
    drawn = figure(
        ended(0, "target", 0.91, 4.0),
        ended(1, "out_of_memory", 0.3, 2.0),
        ended(2, "target", 0.92, 5.0),
        running(3, epoch(1, 10.0, accuracy=0.4)),
    )
    dots = {
        trace.name: list(zip(trace.x, trace.y, strict=True)) for trace in drawn.data if trace.mode == "markers"
    }
    assert dots == {
        "reached target": [(4.0, 0.91), (5.0, 0.92)],
        "out of memory": [(2.0, 0.3)],
        "running": [(9.0, 0.4)],
    }


def test_trials_without_a_measurement_are_no_dots() -> None:
    assert len(figure(ended(0, "failed", None), ended(1, accuracy=0.2, train_seconds=0.0), waiting(2)).data) == 0


def test_a_dot_tells_its_trial_and_recipe() -> None:
    (trace,) = figure(ended(7)).data
    assert [list(row) for row in trace.customdata] == [[7, "x 0.5"]]


def test_the_target_is_drawn_though_there_is_no_trial() -> None:
    assert annotations(figure()) == ["target 90%"]


def test_the_limit_is_drawn_where_it_is_near() -> None:
    assert annotations(figure(ended(0, train_seconds=5.0))) == ["target 90%"]
    assert annotations(figure(ended(0, train_seconds=50.0))) == ["target 90%", "limit 60 s"]


def test_states_are_told_apart_by_colour() -> None:
    drawn = figure(ended(0, "target"), ended(1, "deadline"), ended(2, "failed", 0.1))
    assert len({trace.marker.color for trace in drawn.data}) == 3
