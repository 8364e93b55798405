"""sweep resume: go on with a study, adopting what still runs."""

from __future__ import annotations

from typing import Annotated

import typer

from sweep.commands.options import Changes, Detach, RunsFolder, StudyName, console
from sweep.paths import RunPaths

NAMED_FILES = 3


def resume(
    study: StudyName = None,
    changes: Changes = None,
    detach: Detach = False,
    runs: RunsFolder = None,
    new_code: Annotated[
        bool, typer.Option("--new-code", help="Run the code as it is now from here on, not as it was launched.")
    ] = False,
) -> None:
    """Go on with a study: adopt the jobs that live, collect what finished, retry what died, propose the rest."""
    from sweep.commands.drive import drive_and_report, drive_elsewhere
    from sweep.run import find_run, runs_folder
    from sweep.toml_files import parse_changes

    paths = find_run(study, runs_folder(runs))
    wanted = parse_changes(changes or [])
    if not new_code:
        _tell_of_edits(paths)
    if detach:
        drive_elsewhere(paths, wanted, new_code=new_code)
    else:
        drive_and_report(paths, "resumed", wanted, new_code=new_code)


def _tell_of_edits(paths: RunPaths) -> None:
    from sweep.run import open_run
    from sweep.snapshot import changed_files

    if changed := changed_files(paths, open_run(paths).spec):
        more = f" and {len(changed) - NAMED_FILES} more" if len(changed) > NAMED_FILES else ""
        console().print(
            f"[yellow]code:[/] {', '.join(changed[:NAMED_FILES])}{more} changed since the launch; jobs go on with "
            f"what was launched, `sweep resume {paths.root.name} --new-code` takes the code as it is now",
            soft_wrap=True,
        )
