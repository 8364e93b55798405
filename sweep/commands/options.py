"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from sweep.files import to_json

StudyName = Annotated[
    str | None,
    typer.Argument(
        help="The study's run, by name or path; may be left out if there is only one.", metavar="STUDY"
    ),
]
RunsFolder = Annotated[
    Path | None, typer.Option("--runs", help="Where runs are kept: $SWEEP_RUNS_DIR, else ./runs.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Change a key, e.g. limits.trials=20 or profile.slots=2. May be repeated.",
        metavar="KEY=VALUE",
    ),
]
WarmStarts = Annotated[
    list[str] | None,
    typer.Option("--from", help="A run whose trials the search begins with. May be repeated.", metavar="STUDY"),
]
Detach = Annotated[
    bool, typer.Option("--detach", help="Have a job of its own drive the study (a process, with a local profile).")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object for scripts.")]


def console() -> Console:
    """The terminal; on a pipe, lines are not wrapped to a made-up width."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=200)


def print_json(value: Any) -> None:
    """One JSON line on stdout."""
    typer.echo(to_json(value))
