"""sweep retry: put failed trials back."""

from __future__ import annotations

from typing import Annotated

import typer

from sweep.commands.options import RunsFolder, StudyName
from sweep.errors import SweepError


def retry(
    study: StudyName = None,
    causes: Annotated[
        list[str] | None,
        typer.Option("--cause", help="Put back what failed so: a state, or all. May be repeated."),
    ] = None,
    trials: Annotated[
        list[int] | None, typer.Option("--trial", help="Put back this trial. May be repeated.")
    ] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Without the checkpoints of earlier attempts.")] = False,
    runs: RunsFolder = None,
) -> None:
    """Put failed trials back: the next `sweep resume` tries them again, from their checkpoints."""
    from sweep.lock import DriverLock
    from sweep.retrying import CAUSES, put_back
    from sweep.run import find_run, open_run, runs_folder
    from sweep.snapshot import changed_files

    names = {state.value for state in CAUSES}
    unknown = sorted({*(causes or [])} - names - {"all"})
    if unknown or not (causes or trials):
        got = f"got {', '.join(unknown)}" if unknown else "got neither --cause nor --trial"
        raise SweepError(f"--cause must be one of {', '.join(sorted(names))}, or all; {got}")
    paths = find_run(study, runs_folder(runs))
    chosen = [state for state in CAUSES if "all" in (causes or []) or state.value in (causes or [])]
    with DriverLock(paths.driver_lock):
        numbers = put_back(paths, open_run(paths).spec, chosen, trials or [], anew)
    if not numbers:
        raise SweepError(f"no trial of {paths.root.name} has failed so; `sweep status` counts them by state")
    listed = ", ".join(map(str, numbers))
    changed = changed_files(paths, open_run(paths).spec)
    new_code = f" --new-code ({changed[0]} has changed since the launch)" if changed else ""
    typer.echo(f"Put back {len(numbers)} trial(s): {listed}. Go on with: sweep resume {paths.root.name}{new_code}")
