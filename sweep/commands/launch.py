"""sweep launch: start a study and drive it."""

from __future__ import annotations

from typing import Annotated

import typer

from sweep.commands.options import Changes, Detach, RunsFolder, WarmStarts, console


def launch(  # noqa: PLR0917  # typer's options are parameters
    study: Annotated[str, typer.Argument(help="A study file, or the name of a built-in study.")],
    profile: Annotated[str, typer.Option(help="A profile file, or the name of a built-in profile.")] = "local",
    changes: Changes = None,
    runs: RunsFolder = None,
    warm: WarmStarts = None,
    detach: Detach = False,
) -> None:
    """Start a study and drive it to its end. Ctrl-C detaches: the jobs go on, `sweep resume` does the rest."""
    from sweep.commands.drive import drive_and_report, drive_elsewhere
    from sweep.launching import make_run
    from sweep.run import runs_folder
    from sweep.toml_files import parse_changes
    from sweep.warm_start import out_of_reach

    with console().status("Looking at the data set (the first time, every image is decoded once) ..."):
        made = make_run(study, profile, parse_changes(changes or []), runs_folder(runs), warm or [])
    data = f"\nData: {made.data}" if made.data else ""
    console().print(f"Launched {made.spec.name} in {made.paths.root}{data}", soft_wrap=True)
    for start in made.starts:
        console().print(f"Warm start: {start.describe()}", soft_wrap=True)
    if warning := out_of_reach(made.spec, [record for start in made.starts for record in start.history]):
        console().print(f"[yellow]warning:[/] {warning}", soft_wrap=True)
    if detach:
        drive_elsewhere(made.paths)
    else:
        drive_and_report(made.paths, "launched")
