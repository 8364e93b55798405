"""What a job asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_builders import epoch, exact_model, here, running, trial_spec, waiting

from sweep.records import TrialRecord
from sweep.requests import RAISE, SLACK_SECONDS, needed_seconds
from sweep.timings import setting_of
from sweep.walltime import WalltimeModel

MODEL = exact_model(constant=2.0, startup_seconds=3.0, margin=1.2)
KNOWN: Mapping[str, WalltimeModel] = {setting_of({}): MODEL}


def trial(epochs: int = 5, limit: float = 60.0) -> TrialRecord:
    spec = trial_spec(recipe={"epochs": epochs, "batch_size": 8}, limit_seconds=limit)
    return replace(waiting(), spec=spec)


def test_a_trial_asks_for_what_it_will_need_with_margin() -> None:
    assert needed_seconds(trial(), KNOWN, 0.0, None) == 3.0 + 5 * 2.0 * 1.2 + SLACK_SECONDS


def test_a_trial_asks_for_its_limit_while_nothing_is_known() -> None:
    assert needed_seconds(trial(), {}, 0.0, None) == 60.0
    no_epochs = replace(trial(), spec=trial_spec(recipe={"batch_size": 8}))
    assert needed_seconds(no_epochs, KNOWN, 0.0, None) == 60.0


def test_epochs_that_are_done_are_not_asked_for_again() -> None:
    done = replace(trial(), epochs=running(0, epoch(1, 5.0), epoch(2, 7.0)).epochs)
    saved = needed_seconds(trial(), KNOWN, 0.0, None) - needed_seconds(done, KNOWN, 7.0, None)
    assert saved == pytest.approx(2 * 2.0 * 1.2)


def test_a_request_that_was_too_little_is_raised() -> None:
    assert needed_seconds(trial(), KNOWN, 5.0, 20.0) == RAISE * 20.0 + SLACK_SECONDS


@given(
    st.integers(1, 500),
    st.floats(1, 1e4),
    st.floats(0, 1e4),
    st.none() | st.floats(0, 1e4),
)
def test_a_trial_is_never_asked_for_more_than_its_limit_leaves(
    epochs: int, limit: float, used: float, before: float | None
) -> None:
    asked = needed_seconds(trial(epochs, limit), KNOWN, used, before)
    assert 0.0 <= asked <= max(0.0, limit - used)


def test_a_profile_rounds_requests_up_and_grants_no_more_than_it_may() -> None:
    site = here(time_step="1 min", time_limit="10 min")
    assert [site.granted_seconds(wanted) for wanted in (1.0, 60.0, 60.1, 599.0, 5000.0)] == [60, 60, 120, 600, 600]
    assert here().granted_seconds(61.5) == 61.5
