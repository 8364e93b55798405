"""The report as text: one offline HTML page, and Markdown."""

from __future__ import annotations

import math
from collections import Counter
from importlib.resources import files

import pandas as pd
import plotly.io
from jinja2 import Environment, StrictUndefined, select_autoescape

from sweep.durations import show_percent, show_seconds
from sweep.records import TrialState
from sweep.reporting.figures import accuracy_against_seconds, predicted_against_actual_figure
from sweep.reporting.predictions import predicted_against_actual, prediction_quality
from sweep.reporting.tables import Leaderboards, mishaps
from sweep.run import Run
from sweep.summary import summarize
from sweep.view import best_text, budget_text, fastest_text


def render_page(run: Run, trials: pd.DataFrame, boards: Leaderboards) -> str:
    """The whole report in one HTML file that needs no network: plotly is embedded."""
    figure = accuracy_against_seconds(trials, run.spec.target, run.spec.limits.trial)
    compared = predicted_against_actual(run.trials.values())
    figures = [figure, *([predicted_against_actual_figure(compared)] if len(compared) else [])]
    plot = "\n".join(
        plotly.io.to_html(each, include_plotlyjs=each is figure, full_html=False, config={"displaylogo": False})
        for each in figures
    )
    environment = Environment(autoescape=select_autoescape(default=True), undefined=StrictUndefined)
    template = environment.from_string(
        files("sweep.reporting").joinpath("page.html.j2").read_text(encoding="utf-8")
    )
    return template.render(
        spec=run.spec,
        facts=_facts(run),
        plot=plot,
        tables=[(title, list(frame.columns), _cells(frame)) for title, frame in _titled(run, boards)],
        tracebacks=[
            (record.number, record.outcome.traceback)
            for record in run.trials.values()
            if record.outcome and record.outcome.traceback
        ],
    )


def render_markdown(run: Run, boards: Leaderboards) -> str:
    """The same tables for a README or a merge request."""
    parts = [f"# {run.spec.name}", run.spec.description]
    parts += ["\n".join(f"- {name}: {value}" for name, value in _facts(run))]
    for title, frame in _titled(run, boards):
        rows = [list(frame.columns), ["---"] * len(frame.columns), *_cells(frame)]
        table = "\n".join("| " + " | ".join(_markdown_cell(cell) for cell in row) + " |" for row in rows)
        parts += [f"## {title}", table if len(frame) else "None."]
    return "\n\n".join(part for part in parts if part) + "\n"


def _titled(run: Run, boards: Leaderboards) -> list[tuple[str, pd.DataFrame]]:
    wrong = mishaps(run.trials.values())
    return [
        ("Top accuracy", boards.top_accuracy),
        ("Top speed", boards.top_speed),
        *([("Front between accuracy and speed", boards.front)] if run.spec.goal == "both" else []),
        ("Not ranked", boards.others),
        *([("What went wrong", wrong)] if len(wrong) else []),
    ]


def _facts(run: Run) -> list[tuple[str, str]]:
    summary = summarize(run.spec, run.trials, run.ledger, run.profile.slot_count())
    quality = prediction_quality(run.trials.values(), run.jobs.values())
    states = ", ".join(f"{count} {TrialState(state).words}" for state, count in sorted(summary.states.items()))
    limit = show_seconds(run.spec.limits.trial)
    return [
        ("Goal", f"{run.spec.goal}, target {show_percent(run.spec.target)} within {limit} a trial"),
        ("Trials", f"{summary.done} of {summary.trials_wanted} done ({states})"),
        ("Budget", budget_text(summary)),
        ("Best accuracy", best_text(summary)),
        (f"Fastest to {show_percent(run.spec.target)}", fastest_text(summary)),
        *([("Walltime model", str(quality))] if quality else []),
        *_code_facts(run),
        ("Measured on", "the validation split; seconds are training only, without loading and evaluation"),
    ]


def _code_facts(run: Run) -> list[tuple[str, str]]:
    """The code in use, and a warning where trials have run others."""
    counts = Counter(record.spec.code or "unknown" for record in run.trials.values())
    facts = [("Code", run.code.describe())] if run.code else []
    if len(counts) > 1:
        shares = ", ".join(f"{count} with {code}" for code, count in counts.items())
        facts += [("Warning", f"the trials ran different code, and may not compare: {shares}")]
    return facts


def _cells(frame: pd.DataFrame) -> list[list[str]]:
    return [[cell_text(name, value) for name, value in row.items()] for row in frame.to_dict("records")]


def _markdown_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def cell_text(column: object, value: object) -> str:
    """A table cell for people: percentages for accuracies, one decimal for seconds."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if column == "Accuracy" and isinstance(value, float):
        return f"{value:.2%}"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
