"""Recipes and epochs as points, for models that learn from numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sweep.space import Budgeted, Choices, Ordinal, Parameter, Range
from sweep.spec import StudySpec

UNUSED = 0.5  # where a recipe does not have the key


class Features:
    """The columns of a study whose recipes have epochs: one unit wide for each key, and three for the epochs."""

    def __init__(self, spec: StudySpec) -> None:
        self.space = {key: parameter for key, parameter in spec.space.items() if key != "epochs"}
        self.span = math.log(max(2, _most_epochs(spec)))
        widths = [len(p.choices) if isinstance(p, Choices) else 1 for p in self.space.values()]
        self.groups = [group for group, width in enumerate([*widths, 1, 1, 1]) for _ in range(width)]  # of columns

    def point(self, recipe: Mapping[str, Any], epoch: int, epochs: int) -> list[float]:
        """Where a recipe of so many epochs is at one of them."""
        columns = [x for key, parameter in self.space.items() for x in _columns(parameter, recipe.get(key))]
        return [*columns, math.log(epoch) / self.span, math.log(epochs) / self.span, epoch / epochs]


def _most_epochs(spec: StudySpec) -> int:
    match spec.space.get("epochs"):
        case Budgeted(up_to=most) | Range(high=most):
            return int(most)
        case Choices(choices=choices):
            return int(max(choices))
        case Ordinal() as ordinal:
            return int(ordinal.ranks()[-1])
        case _:
            return int(spec.fixed["epochs"])


def _columns(parameter: Parameter, value: Any) -> list[float]:
    """A value in [0, 1]; a choice as one of several columns, so that any two choices are one unit apart."""
    if isinstance(parameter, Choices):
        return [math.sqrt(0.5) * (value == choice) for choice in parameter.choices]
    if value is None:
        return [UNUSED]
    if isinstance(parameter, Ordinal):
        ranks = parameter.ranks()
        return [ranks.index(value) / max(1, len(ranks) - 1)]
    assert isinstance(parameter, Range)
    if parameter.log:
        return [math.log(value / parameter.low) / math.log(parameter.high / parameter.low)]
    return [(value - parameter.low) / (parameter.high - parameter.low)]
