"""sweep resume: go on with a study, adopting what still runs."""

from __future__ import annotations

from sweep.commands.options import Changes, Detach, RunsFolder, StudyName


def resume(
    study: StudyName = None, changes: Changes = None, detach: Detach = False, runs: RunsFolder = None
) -> None:
    """Go on with a study: adopt the jobs that live, collect what finished, retry what died, propose the rest."""
    from sweep.commands.drive import drive_and_report, drive_elsewhere
    from sweep.run import find_run, runs_folder
    from sweep.toml_files import parse_changes

    paths, given = find_run(study, runs_folder(runs)), parse_changes(changes or [])
    if detach:
        drive_elsewhere(paths, given)
    else:
        drive_and_report(paths, "resumed", given)
