"""sweep doctor: whether a profile works here."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sweep.commands.options import AsJson, Changes, RunsFolder, console, print_json
from sweep.durations import parse_seconds
from sweep.errors import StudyFileError, SweepError
from sweep.profile import Profile
from sweep.spec import StudySpec

if TYPE_CHECKING:
    from sweep.doctor.findings import Finding

COLOURS = {"ok": "green", "warning": "yellow", "FAILED": "bold red"}


def doctor(  # noqa: PLR0917  # typer's options are parameters
    profile: Annotated[str, typer.Option(help="A profile file, or the name of a built-in profile.")] = "local",
    study: Annotated[
        str | None, typer.Option(help="A study whose data set is looked for, here and on the node.")
    ] = None,
    changes: Changes = None,
    without_job: Annotated[bool, typer.Option("--no-job", help="Ask only; run no job.")] = False,
    wait: Annotated[str, typer.Option(help="How long the short job may wait for its start.")] = "5min",
    as_json: AsJson = False,
    runs: RunsFolder = None,
) -> None:
    """Check that a profile works here: ask Slurm, and run a short job that looks around on a node.

    Every problem comes with what to do about it. Ends with 1 if a check failed.
    """
    from sweep.doctor import Wanted, examine
    from sweep.doctor.findings import is_healthy
    from sweep.run import runs_folder

    spec, site = _read(study, profile, changes or [])
    out = console()
    try:
        with out.status("Looking around ...") as status:
            wanted = Wanted(site, runs_folder(runs), spec, not without_job, _seconds(wait))
            findings = list(examine(wanted, lambda text: status.update(f"{text} ...")))
    except KeyboardInterrupt:
        out.print("Cancelled; nothing is left behind.")
        raise typer.Exit(1) from None
    if as_json:
        rows = [asdict(finding) for finding in findings]
        print_json({"profile": site.name, "healthy": is_healthy(findings), "findings": rows})
    else:
        out.print(render(findings))
    raise typer.Exit(0 if is_healthy(findings) else 1)


def render(findings: list[Finding]) -> RenderableType:
    """A table, and below it what to do."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("check", "", "found"):
        table.add_column(column)
    for finding in findings:
        found: RenderableType = Text(finding.found)
        if finding.advice:
            found = Group(found, Padding(Text(f"-> {finding.advice}", style="italic"), (0, 0, 0, 2)))
        verdict = Text(finding.verdict.value, style=COLOURS[finding.verdict])
        table.add_row(Text(finding.check), verdict, found)
    return table


def _read(study: str | None, profile: str, changes: list[str]) -> tuple[StudySpec | None, Profile]:
    from sweep.run import read_files
    from sweep.toml_files import load_profile, parse_changes, split_changes

    parsed = parse_changes(changes)
    if study is not None:
        return read_files(study, profile, parsed)
    for_study, for_profile = split_changes(parsed)
    if for_study:
        raise StudyFileError(f"--set {next(iter(for_study))}: without --study, only profile.KEY can be changed")
    return None, load_profile(profile, for_profile)


def _seconds(wait: str) -> float:
    try:
        return parse_seconds(float(wait) if wait.isdigit() else wait)
    except ValueError as error:
        raise SweepError(f"--wait: {error}; got {wait!r}") from error
