"""The search space of a study file: what each key may be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)


def _values(value: Any) -> Any:
    """A condition may name one value or a list of them."""
    if not isinstance(value, dict):
        return value
    return {key: item if isinstance(item, list | tuple) else [item] for key, item in value.items()}


Condition = Annotated[dict[str, tuple[Any, ...]], BeforeValidator(_values)]


class _Parameter(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    when: Condition | None = Field(None, description="part of a recipe only where other keys have these values")

    def applies(self, recipe: Mapping[str, Any]) -> bool:
        """Whether a recipe, without this key yet, is one that has it."""
        return all(recipe.get(key) in values for key, values in (self.when or {}).items())


class Choices(_Parameter):
    """One of a list, without order: `{ choices = ["adam", "nesterov"] }`."""

    choices: tuple[Any, ...] = Field(min_length=1, description="the values to choose from, without order")

    @field_validator("choices")
    @classmethod
    def _check(cls, choices: tuple[Any, ...]) -> tuple[Any, ...]:
        odd = [choice for choice in choices if not isinstance(choice, bool | int | float | str)]
        if odd:
            raise ValueError(f"a choice is a text, a number, true or false; these are not: {odd}")
        return choices

    def accepts(self, value: Any) -> bool:
        """Whether a recipe of this space may hold the value."""
        return any(value == choice and type(value) is type(choice) for choice in self.choices)


class Range(_Parameter):
    """A number between two bounds: `{ low = 0.1, high = 10.0, log = true }`; whole if both bounds are."""

    low: Annotated[int | float, Field(allow_inf_nan=False)] = Field(description="the smallest value")
    high: Annotated[int | float, Field(allow_inf_nan=False)] = Field(description="the largest value")
    log: bool = Field(False, description="search on a logarithmic scale")

    @model_validator(mode="after")
    def _check(self) -> Range:
        if not self.low < self.high:
            raise ValueError(f"low must be below high; got low = {self.low}, high = {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"a log scale needs low above 0; got low = {self.low}")
        return self

    @property
    def is_whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def accepts(self, value: Any) -> bool:
        """Whether a recipe of this space may hold the value."""
        is_number = isinstance(value, int if self.is_whole else int | float) and not isinstance(value, bool)
        return is_number and self.low <= value <= self.high


class Ordinal(_Parameter):
    """Numbers in order, searched by rank: a list, the divisors of a number, or powers of two."""

    values: tuple[int | float, ...] = Field((), description="the numbers, in any order")
    divisors_of: int | None = Field(None, ge=1, description="every divisor of this number")
    powers_of: int | None = Field(None, ge=2, description="every power of this number")
    low: int = Field(1, ge=1, description="the smallest divisor or power to use")
    high: int | None = Field(None, ge=1, description="the largest divisor or power to use")

    @model_validator(mode="after")
    def _check(self) -> Ordinal:
        ways = [bool(self.values), self.divisors_of is not None, self.powers_of is not None]
        if sum(ways) != 1:
            raise ValueError("give one of values, divisors_of and powers_of")
        if self.values and (self.low != 1 or self.high is not None):
            raise ValueError("low and high go with divisors_of and powers_of; values says itself what to use")
        if self.powers_of is not None and self.high is None:
            raise ValueError("powers_of needs high")
        if not self.ranks():
            raise ValueError(f"no number between low = {self.low} and high = {self.high} is left")
        return self

    def ranks(self) -> tuple[int | float, ...]:
        """The numbers from the smallest to the largest."""
        if self.values:
            return tuple(sorted(set(self.values)))
        if self.divisors_of is not None:
            small = [d for d in range(1, math.isqrt(self.divisors_of) + 1) if self.divisors_of % d == 0]
            divisors = {*small, *(self.divisors_of // d for d in small)}
            return tuple(sorted(d for d in divisors if self.low <= d <= (self.high or d)))
        powers: list[int | float] = []
        power = 1
        while power <= (self.high or 0):
            powers += [power] if power >= self.low else []
            power *= self.powers_of or 2
        return tuple(powers)

    def accepts(self, value: Any) -> bool:
        """Whether a recipe of this space may hold the value."""
        return value in self.ranks()


class Budgeted(_Parameter):
    """Epochs: from 1 to what fits the trial's limit at its batch size, at most `up_to`."""

    up_to: int = Field(ge=1, description="the most epochs to propose, however many would fit")

    def accepts(self, value: Any) -> bool:
        """Whether a recipe of this space may hold the value."""
        return isinstance(value, int) and 1 <= value <= self.up_to


def _kind(value: Any) -> str:
    if isinstance(value, BaseModel):
        return type(value).__name__.lower()
    keys = set(value) if isinstance(value, dict) else set()
    if "choices" in keys:
        return "choices"
    if "up_to" in keys:
        return "budgeted"
    return "ordinal" if keys & {"values", "divisors_of", "powers_of"} else "range"


Parameter = Annotated[
    Annotated[Choices, Tag("choices")]
    | Annotated[Range, Tag("range")]
    | Annotated[Ordinal, Tag("ordinal")]
    | Annotated[Budgeted, Tag("budgeted")],
    Discriminator(_kind),
]
