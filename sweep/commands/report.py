"""sweep report: leaderboards, trials.csv, Markdown and the HTML page."""

from __future__ import annotations

from sweep.commands.options import AsJson, RunsFolder, StudyName, console, print_json


def report(study: StudyName = None, as_json: AsJson = False, runs: RunsFolder = None) -> None:
    """Write the report of a study, finished or not, and print its leaderboards."""
    from sweep.commands.boards import print_boards
    from sweep.reporting import write_report
    from sweep.run import find_run, open_run, runs_folder

    run = open_run(find_run(study, runs_folder(runs)))
    written = write_report(run)
    if as_json:
        boards = {
            "top_accuracy": written.boards.top_accuracy.to_dict("records"),
            "top_speed": written.boards.top_speed.to_dict("records"),
            "front": written.boards.front.to_dict("records"),
            "others": written.boards.others.to_dict("records"),
        }
        print_json(
            {**boards, "page": str(written.page), "csv": str(written.csv), "markdown": str(written.markdown)}
        )
        return
    out = console()
    print_boards(out, written.boards, run.spec.goal, run.spec.target)
    out.print(f"\nReport: {written.page}", soft_wrap=True)
