"""sweep resume: go on with a study, adopting what still runs."""

from __future__ import annotations

from sweep.commands.options import Changes, RunsFolder, StudyName


def resume(study: StudyName = None, changes: Changes = None, runs: RunsFolder = None) -> None:
    """Go on with a study: adopt the jobs that live, collect what finished, retry what died, propose the rest."""
    from sweep.commands.drive import drive_and_report
    from sweep.run import find_run, runs_folder
    from sweep.toml_files import parse_changes

    drive_and_report(find_run(study, runs_folder(runs)), "resumed", parse_changes(changes or []))
