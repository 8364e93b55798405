"""sweep list: the runs here, and the built-in studies and profiles."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from sweep.commands.options import AsJson, RunsFolder, console, print_json
from sweep.durations import show_percent
from sweep.errors import SweepError
from sweep.lock import live_owner
from sweep.paths import RunPaths
from sweep.run import open_run, runs_folder
from sweep.summary import summarize
from sweep.toml_files import builtin_names
from sweep.view import best_text, fastest_text


def list_runs(as_json: AsJson = False, runs: RunsFolder = None) -> None:
    """List the runs in the runs folder, and the built-in studies and profiles."""
    folder = runs_folder(runs)
    found = sorted(path.parent for path in folder.glob("*/study.toml"))
    rows = [_row(RunPaths(path)) for path in found]
    names = {"studies": builtin_names("studies"), "profiles": builtin_names("slurm_profiles")}
    if as_json:
        print_json({"runs": rows, **names})
        return
    out = console()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("run", "goal", "trials", "best accuracy", "fastest", "driver"):
        table.add_column(column)
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row.values()))
    out.print(table if rows else f"No runs in {folder}.")
    out.print(f"Built-in studies:  {', '.join(names['studies'])}")
    out.print(f"Built-in profiles: {', '.join(names['profiles'])}")


def _row(paths: RunPaths) -> dict[str, Any]:
    try:
        run = open_run(paths)
    except SweepError as error:
        return {
            "run": paths.root.name,
            "goal": f"unreadable: {error}",
            "trials": "",
            "best": "",
            "fastest": "",
            "driver": "",
        }
    summary = summarize(run.spec, run.trials, run.ledger, 1)
    owner = live_owner(paths.driver_lock)
    return {
        "run": run.spec.name,
        "goal": f"{run.spec.goal} {show_percent(run.spec.target)}",
        "trials": f"{summary.done}/{summary.trials_wanted}",
        "best": best_text(summary),
        "fastest": fastest_text(summary),
        "driver": f"{owner.host}:{owner.pid}" if owner else "-",
    }
