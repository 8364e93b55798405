"""The Python API: launch, resume and report, as the commands do them but without a terminal."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # imported when called, so that `import sweep` stays quick
    from sweep.reporting import Report

Folder = str | os.PathLike[str]


def launch(
    study: Folder,
    profile: Folder = "local",
    changes: Mapping[str, Any] | None = None,
    runs: Folder | None = None,
    warm_start_from: Sequence[Folder] = (),
) -> Path:
    """Start a study and drive it to its end.

    Args:
        study: a study file, or the name of a built-in study.
        profile: a profile file, or the name of a built-in profile.
        changes: keys to change, such as {"limits.trials": 20, "profile.slots": 2}.
        runs: where runs are kept; $SWEEP_RUNS_DIR, else ./runs.
        warm_start_from: runs whose trials the search is to begin with, by name or path.

    Returns:
        The run folder, for `resume` and `report`.

    Raises:
        SweepError: the study, the profile, the run folder or the trials are at fault; the message says how.
        KeyboardInterrupt: on Ctrl-C; the jobs go on.
    """
    from sweep.driving import drive
    from sweep.paths import RunPaths
    from sweep.preflight import check_budget, check_site
    from sweep.run import check_data, check_search, create_run, known_models, read_files, runs_folder
    from sweep.search.forecast import check_fits
    from sweep.warm_start import gather, save_history

    spec, site = read_files(str(study), str(profile), changes or {})
    check_data(spec)
    check_search(spec)
    check_fits(spec, known_models(spec, site, runs_folder(runs)))
    check_budget(spec, site)
    check_site(spec, site, RunPaths(runs_folder(runs) / spec.name))
    starts = gather(spec, [str(run) for run in warm_start_from], runs_folder(runs))
    paths = create_run(spec, site, runs_folder(runs))
    save_history(paths, starts)
    drive(paths, "launched", lambda driver: None)
    return paths.root


def resume(run: Folder, changes: Mapping[str, Any] | None = None, *, new_code: bool = False) -> Path:
    """Go on with the study in a run folder: adopt, collect, retry, propose the rest. Raises as `launch` does.

    Jobs run the code that was launched; with `new_code`, from here on the code as it is now.
    """
    from sweep.driving import drive
    from sweep.run import find_run

    paths = find_run(str(run), Path())
    drive(paths, "resumed", lambda driver: None, changes or {}, new_code=new_code)
    return paths.root


def report(run: Folder) -> Report:
    """Write the report of a run folder; the tables come back as DataFrames."""
    from sweep.reporting import write_report
    from sweep.run import find_run, open_run

    return write_report(open_run(find_run(str(run), Path())))
