"""Durations and shares as people write and read them."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

_UNITS = {
    "s": 1,
    "m": 60,
    "min": 60,
    "h": 3600,
    "hour": 3600,
    "hours": 3600,
    "d": 86400,
    "day": 86400,
    "days": 86400,
}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*")


def parse_seconds(value: Any) -> float:
    """Seconds from a number, or from text such as "90s", "15 min" or "1h 30m"."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    text = str(value).lower()
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text) or any(unit not in _UNITS for _, unit in parts):
        raise ValueError('a duration is a number of seconds or text such as "90s", "15 min", "1h 30m"')
    return float(sum(float(number) * _UNITS[unit] for number, unit in parts))


def show_seconds(seconds: float) -> str:
    """A duration for people: 8.3 s, 12 min 05 s, 1 h."""
    if round(seconds, 1) < 60:
        return f"{round(seconds, 1):g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if minutes else f"{hours} h"


def show_percent(share: float) -> str:
    """A share such as a target, without digits it does not have: 60%, 97.5%."""
    return f"{100 * share:.4g}%"


Seconds = Annotated[float, BeforeValidator(parse_seconds), Field(gt=0, allow_inf_nan=False)]
