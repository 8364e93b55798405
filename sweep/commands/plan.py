"""sweep plan: what a launch would do; spends nothing."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from sweep.commands.options import AsJson, Changes, RunsFolder, WarmStarts, console, print_json

if TYPE_CHECKING:
    from sweep.plan import Plan
    from sweep.records import TrialRecord
    from sweep.spec import StudySpec


def plan(  # noqa: PLR0917  # typer's options are parameters
    study: Annotated[str, typer.Argument(help="A study file, or the name of a built-in study.")],
    profile: Annotated[str, typer.Option(help="A profile file, or the name of a built-in profile.")] = "local",
    changes: Changes = None,
    runs: RunsFolder = None,
    warm: WarmStarts = None,
    simulated: Annotated[
        bool,
        typer.Option("--simulate", help="Run the study on a virtual clock, three times; show what it finds."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a launch would run: the space, sample recipes, jobs, and what it may cost. Spends nothing.

    Seconds are predicted from the timings of earlier runs in the same folder. A simulation takes its learning
    curves from the runs named with --from, or for CIFAR-10 from a table of real trials.
    """
    from sweep.plan import make_plan
    from sweep.preflight import check_budget
    from sweep.run import known_models, read_files, runs_folder
    from sweep.toml_files import parse_changes
    from sweep.warm_start import gather, out_of_reach

    spec, site = read_files(study, profile, parse_changes(changes or []))
    check_budget(spec, site)
    folder = runs_folder(runs)
    starts = gather(spec, warm or [], folder)
    history = [record for start in starts for record in start.history]
    warning = out_of_reach(spec, history)
    models = known_models(spec, site, folder, history)
    made = make_plan(spec, site, models, runs=folder, more_warnings=[warning] if warning else [])
    simulation = _simulate(spec, made.slots, history) if simulated else None
    if as_json:
        simulated_studies = {} if simulation is None else {"simulation": simulation}
        print_json(made.as_json() | {"warm_start": [start.describe() for start in starts]} | simulated_studies)
        return
    _show(spec, made, simulation)
    for start in starts:
        console().print(f"Warm start: {start.describe()}", soft_wrap=True)


def _show(spec: StudySpec, made: Plan, simulation: list[dict[str, Any]] | None) -> None:
    out = console()
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", justify="right")
    facts.add_column()
    for name, text in made.facts():
        facts.add_row(name, Text(text))
    out.print(Text.assemble((spec.name, "bold"), "  ", spec.description))
    out.print(facts)
    out.print("\n[bold]Sample proposals[/]")
    out.print(_rows(made.samples))
    out.print("\n[bold]First job[/]")
    out.print(made.job_script, markup=False, soft_wrap=True)
    if simulation is not None:
        out.print("\n[bold]Simulated[/]")
        out.print(_rows([{**study, "best_accuracy": _percent(study["best_accuracy"])} for study in simulation]))
    for warning in made.warnings:
        out.print(f"[yellow]warning:[/] {warning}", soft_wrap=True)


def _simulate(spec: StudySpec, slots: int, history: list[TrialRecord]) -> list[dict[str, Any]]:
    from sweep.forecast import simulate_studies

    with console().status("Simulating ..."):
        return [asdict(study) for study in simulate_studies(spec, slots, history)]


def _percent(accuracy: float | None) -> str | None:
    return None if accuracy is None else f"{accuracy:.2%}"


def _rows(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    keys = dict.fromkeys(key for row in rows for key in row)
    for key in keys:
        table.add_column(key.replace("_", " "))
    for row in rows:
        table.add_row(*(_cell(row.get(key)) for key in keys))
    return table


def _cell(value: Any) -> Text:
    return Text("-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value))
