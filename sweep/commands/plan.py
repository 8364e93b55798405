"""sweep plan: what a launch would do; spends nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from sweep.commands.options import AsJson, Changes, console, print_json

if TYPE_CHECKING:
    from sweep.plan import Plan


def plan(
    study: Annotated[str, typer.Argument(help="A study file, or the name of a built-in study.")],
    profile: Annotated[str, typer.Option(help="A profile file, or the name of a built-in profile.")] = "local",
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Show what a launch would run: the space, sample recipes, slots, and what it may cost. Spends nothing."""
    from sweep.plan import make_plan
    from sweep.run import read_files
    from sweep.toml_files import parse_changes

    spec, site = read_files(study, profile, parse_changes(changes or []))
    made = make_plan(spec, site)
    if as_json:
        print_json(made.as_json())
        return
    out = console()
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", justify="right")
    facts.add_column()
    for name, text in made.facts():
        facts.add_row(name, Text(text))
    out.print(Text.assemble((spec.name, "bold"), "  ", spec.description))
    out.print(facts)
    out.print("\n[bold]Sample proposals[/]")
    out.print(_samples(made))
    for warning in made.warnings:
        out.print(f"[yellow]warning:[/] {warning}")


def _samples(made: Plan) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    rows: list[dict[str, Any]] = made.samples
    for key in rows[0]:
        table.add_column(key)
    for row in rows:
        table.add_row(
            *(Text(f"{value:.4g}" if isinstance(value, float) else str(value)) for value in row.values())
        )
    return table
