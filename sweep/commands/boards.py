"""Leaderboards in the terminal."""

from __future__ import annotations

import pandas as pd
from rich.console import Console
from rich.table import Table

from sweep.report.page import cell_text
from sweep.report.tables import Leaderboards

ROWS = 10


def print_boards(out: Console, boards: Leaderboards, target: float) -> None:
    """Top accuracy, top speed, then the best of those that are not ranked."""
    out.print(_table(f"Top accuracy (trials at {target:.0%} or more within the limit)", boards.top_accuracy))
    out.print(_table("Top speed", boards.top_speed))
    if len(boards.others):
        out.print(_table("Not ranked", boards.others))


def _table(title: str, frame: pd.DataFrame) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for column in frame.columns:
        words = column in ("Recipe", "Reason")
        table.add_column(column, justify="left" if words else "right", no_wrap=not words)
    for row in frame.head(ROWS).to_dict("records"):
        table.add_row(*(cell_text(name, value) for name, value in row.items()))
    if len(frame) == 0:
        table.add_row("none")
    elif len(frame) > ROWS:
        table.caption = f"and {len(frame) - ROWS} more in the report"
        table.caption_justify = "left"
    return table
