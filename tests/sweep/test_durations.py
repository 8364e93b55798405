"""Durations as people write and read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from sweep.durations import Seconds, parse_seconds, show_percent, show_seconds


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (90, 90.0),
        (0.5, 0.5),
        ("90s", 90.0),
        ("15 min", 900.0),
        ("15m", 900.0),
        ("1h 30m", 5400.0),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        ("2D", 172800.0),
        ("  3 s ", 3.0),
    ],
)
def test_a_duration_is_a_number_or_numbers_with_units(written: object, seconds: float) -> None:
    assert parse_seconds(written) == seconds


@pytest.mark.parametrize("written", ["", "90", "soon", "1h 30", "-5s", "1 year", "1e3s", "h", True, None])
def test_anything_else_is_refused_with_examples(written: object) -> None:
    with pytest.raises(ValueError, match="1h 30m"):
        parse_seconds(written)


@pytest.mark.parametrize("written", [0, -1, "0s", math.inf, math.nan])
def test_a_limit_must_be_above_zero_and_finite(written: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Seconds).validate_python(written)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (8.31, "8.3 s"),
        (30, "30 s"),
        (59.9, "59.9 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (60, "1 min"),
        (725, "12 min 05 s"),
        (3599.6, "1 h"),
        (12000, "3 h 20 min"),
    ],
)
def test_people_read_seconds_minutes_and_hours(seconds: float, shown: str) -> None:
    assert show_seconds(seconds) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.6, "60%"),
        (0.975, "97.5%"),
        (0.9999, "99.99%"),
        (0.07, "7%"),
        (0.29, "29%"),
        (1.0, "100%"),
        (1e-3, "0.1%"),
    ],
)
def test_a_share_is_shown_without_digits_that_it_does_not_have(share: float, shown: str) -> None:
    assert show_percent(share) == shown


@given(st.floats(0, 1e7))
def test_what_is_shown_can_be_written_again(seconds: float) -> None:
    coarseness = 0.051 if seconds < 60 else 0.51 if seconds < 3599 else 60.5
    assert abs(parse_seconds(show_seconds(seconds)) - seconds) <= coarseness
