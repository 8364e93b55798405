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
    from sweep.paths import RunPaths
    from sweep.preflight import check_budget, check_site
    from sweep.run import check_data, check_search, create_run, known_models, read_files, runs_folder
    from sweep.search.forecast import check_fits
    from sweep.toml_files import parse_changes
    from sweep.warm_start import gather, out_of_reach, save_history

    spec, site = read_files(study, profile, parse_changes(changes or []))
    with console().status("Looking at the data set (the first time, every image is decoded once) ..."):
        data = check_data(spec)
    check_search(spec)
    check_fits(spec, known_models(spec, site, runs_folder(runs)))
    check_budget(spec, site)
    check_site(spec, site, RunPaths(runs_folder(runs) / spec.name))
    starts = gather(spec, warm or [], runs_folder(runs))
    paths = create_run(spec, site, runs_folder(runs))
    save_history(paths, starts)
    console().print(f"Launched {spec.name} in {paths.root}" + (f"\nData: {data}" if data else ""), soft_wrap=True)
    for start in starts:
        console().print(f"Warm start: {start.describe()}", soft_wrap=True)
    if warning := out_of_reach(spec, [record for start in starts for record in start.history]):
        console().print(f"[yellow]warning:[/] {warning}", soft_wrap=True)
    if detach:
        drive_elsewhere(paths)
    else:
        drive_and_report(paths, "launched")
