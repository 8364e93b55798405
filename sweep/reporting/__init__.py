"""The report of a run: records -> tables -> figures -> page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sweep.reporting.page import render_markdown, render_page
from sweep.reporting.tables import Leaderboards, leaderboards, trials_table
from sweep.run import Run


@dataclass(frozen=True)
class Report:
    """A written report: its tables, and where its files lie."""

    boards: Leaderboards
    page: Path
    csv: Path
    markdown: Path


def write_report(run: Run) -> Report:
    """Write index.html, trials.csv and report.md into the run's report folder."""
    folder = run.paths.report
    folder.mkdir(exist_ok=True)
    trials = trials_table(run.spec, run.trials.values())
    boards = leaderboards(trials)
    report = Report(boards, folder / "index.html", folder / "trials.csv", folder / "report.md")
    trials.to_csv(report.csv, index=False)
    report.markdown.write_text(render_markdown(run, boards), encoding="utf-8")
    report.page.write_text(render_page(run, trials, boards), encoding="utf-8")
    return report
