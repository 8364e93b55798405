"""Leaderboards in the terminal."""

from __future__ import annotations

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweep.durations import show_percent
from sweep.reporting.page import cell_text
from sweep.reporting.tables import Leaderboards

ROWS = 10


def print_boards(out: Console, boards: Leaderboards, goal: str, target: float) -> None:
    """Top accuracy, top speed, then the best of those that are not ranked."""
    _print_table(
        out, f"Top accuracy (trials at {show_percent(target)} or more within the limit)", boards.top_accuracy
    )
    _print_table(out, "Top speed", boards.top_speed)
    if goal == "both":
        _print_table(out, "Front between accuracy and speed", boards.front)
    if len(boards.others):
        _print_table(out, "Not ranked", boards.others)


def _print_table(out: Console, title: str, frame: pd.DataFrame) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in frame.columns:
        words = column in ("Recipe", "Reason")
        table.add_column(column, justify="left" if words else "right", no_wrap=not words)
    for row in frame.head(ROWS).to_dict("records"):
        table.add_row(*(Text(cell_text(name, value)) for name, value in row.items()))
    out.print(f"\n[bold]{title}[/]")
    out.print(table if len(frame) else "none yet")
    if len(frame) > ROWS:
        out.print(f"and {len(frame) - ROWS} more in the report", style="dim")
