"""What each key of a recipe may be."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from sweep.space import Budgeted, Choices, Ordinal, Parameter, Range

PARAMETER: TypeAdapter[Any] = TypeAdapter(Parameter)


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ({"choices": ["sgd", "adam"]}, Choices),
        ({"choices": [True]}, Choices),
        ({"low": 1, "high": 9}, Range),
        ({"low": 1e-4, "high": 0.1, "log": True}, Range),
        ({"values": [1, 2, 5]}, Ordinal),
        ({"divisors_of": 12}, Ordinal),
        ({"powers_of": 2, "high": 64}, Ordinal),
        ({"up_to": 50}, Budgeted),
    ],
)
def test_the_keys_tell_the_kind(written: dict[str, Any], kind: type) -> None:
    assert type(PARAMETER.validate_python(written)) is kind


@pytest.mark.parametrize(
    "written",
    [
        {"choices": ["a", 1, 2.5, True]},
        {"low": 1, "high": 9},
        {"low": 1.0, "high": 9.0, "log": True},
        {"values": [4, 0.5]},
        {"powers_of": 3, "low": 3, "high": 81},
        {"up_to": 7},
    ],
)
def test_a_parameter_that_is_dumped_is_read_again_as_it_was(written: dict[str, Any]) -> None:
    parameter = PARAMETER.validate_python(written)
    assert PARAMETER.validate_python(parameter.model_dump(exclude_none=True)) == parameter


def test_choices_keep_their_order_and_their_types() -> None:
    chosen = Choices(choices=("b", 1, 1.5, True, "a")).choices
    assert [(type(choice), choice) for choice in chosen] == [
        (str, "b"),
        (int, 1),
        (float, 1.5),
        (bool, True),
        (str, "a"),
    ]


@pytest.mark.parametrize(("low", "high", "whole"), [(1, 9, True), (1.0, 9.0, False), (1, 9.0, False)])
def test_a_range_is_whole_if_both_bounds_are(low: float, high: float, whole: bool) -> None:
    assert Range(low=low, high=high).is_whole is whole


def test_divisors_of_the_cifar10_training_images_between_bounds() -> None:
    expected = sorted(2**twos * 5**fives for twos in range(5) for fives in range(6))
    assert Ordinal(divisors_of=50_000).ranks() == tuple(expected)
    between = tuple(number for number in expected if 8 <= number <= 1000)
    assert Ordinal(divisors_of=50_000, low=8, high=1000).ranks() == between


@given(st.integers(1, 3000), st.integers(1, 50), st.integers(1, 4000))
def test_divisors_are_all_those_between_the_bounds(number: int, low: int, high: int) -> None:
    expected = tuple(d for d in range(1, number + 1) if number % d == 0 and low <= d <= high)
    if not expected:
        with pytest.raises(ValidationError, match="is left"):
            Ordinal(divisors_of=number, low=low, high=high)
    else:
        assert Ordinal(divisors_of=number, low=low, high=high).ranks() == expected


@given(st.integers(2, 12), st.integers(1, 10**6))
def test_powers_are_all_those_up_to_the_bound(base: int, high: int) -> None:
    ranks = Ordinal(powers_of=base, high=high).ranks()
    assert ranks == tuple(base**exponent for exponent in range(len(ranks)))
    assert ranks[-1] <= high < ranks[-1] * base


def test_powers_begin_at_the_lower_bound() -> None:
    assert Ordinal(powers_of=2, low=8, high=256).ranks() == (8, 16, 32, 64, 128, 256)


def test_values_are_put_in_order_and_counted_once() -> None:
    assert Ordinal(values=(8, 0.5, 2, 8)).ranks() == (0.5, 2, 8)


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ({"choices": []}, "at least 1 item"),
        ({"choices": ["a", ["b"]]}, r"a choice is a text, a number, true or false; these are not: \[\['b'\]\]"),
        ({"low": 2, "high": 2}, "low must be below high; got low = 2, high = 2"),
        ({"low": 3.5, "high": 1.0}, "low must be below high"),
        ({"low": math.nan, "high": 1.0}, "a finite number"),
        ({"low": 0.1, "high": math.inf}, "a finite number"),
        ({"low": -math.inf, "high": 1.0}, "a finite number"),
        ({"low": 0.0, "high": 1.0, "log": True}, "a log scale needs low above 0; got low = 0.0"),
        ({"low": -1, "high": 1, "log": True}, "a log scale needs low above 0"),
        ({"low": 1}, "high"),
        ({}, "low"),
        ({"values": [1], "divisors_of": 6}, "give one of values, divisors_of and powers_of"),
        ({"divisors_of": 6, "powers_of": 2}, "give one of"),
        ({"values": []}, "give one of"),
        ({"values": [1, 5, 9], "low": 4}, "low and high go with divisors_of and powers_of"),
        ({"values": [1, 5, 9], "high": 6}, "low and high go with divisors_of and powers_of"),
        ({"powers_of": 2}, "powers_of needs high"),
        ({"powers_of": 1, "high": 8}, "greater than or equal to 2"),
        ({"divisors_of": 0}, "greater than or equal to 1"),
        ({"divisors_of": 7, "low": 2, "high": 6}, "no number between low = 2 and high = 6 is left"),
        ({"divisors_of": 8, "low": 9}, "is left"),
        ({"powers_of": 10, "low": 2, "high": 9}, "is left"),
        ({"up_to": 0}, "greater than or equal to 1"),
        ({"up_to": 3, "low": 1}, "Extra inputs"),
    ],
)
def test_a_parameter_that_breaks_a_rule_is_refused(written: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        PARAMETER.validate_python(written)
