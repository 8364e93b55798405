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
    from sweep.launching import make_run
    from sweep.run import runs_folder

    warm = [str(run) for run in warm_start_from]
    paths = make_run(str(study), str(profile), changes or {}, runs_folder(runs), warm).paths
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
