"""The live view: a panel that redraws on a terminal, plain lines on a pipe."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweep.durations import show_percent, show_seconds
from sweep.records import TrialRecord, TrialState
from sweep.summary import Summary

COLORS = {  # failures are red
    TrialState.QUEUED: "dim",
    TrialState.RUNNING: "cyan",
    TrialState.COMPLETED: "green",
    TrialState.TARGET: "bold green",
    TrialState.DEADLINE: "yellow",
    TrialState.PRUNED: "yellow",
    TrialState.DIVERGED: "magenta",
    TrialState.OUT_OF_MEMORY: "magenta",
}
REDRAW_SECONDS = 0.5


def render(
    summary: Summary,
    running: list[TrialRecord],
    driver: str,
    notices: Sequence[str] = (),
    slurm_jobs: Sequence[Mapping[str, str]] = (),
) -> RenderableType:
    """The whole panel: counts, budget, best so far, what people should know, and the trials that run."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", justify="right")
    facts.add_column()
    bar = ProgressBar(total=summary.trials_wanted, completed=summary.done, width=40)
    facts.add_row("progress", bar)
    facts.add_row("trials", _counts(summary))
    if summary.jobs_running or summary.jobs_waiting:
        facts.add_row("jobs", jobs_text(summary, slurm_jobs))
    facts.add_row("budget", budget_text(summary))
    facts.add_row("best accuracy", best_text(summary))
    facts.add_row(f"fastest to {show_percent(summary.target)}", fastest_text(summary))
    if summary.eta_seconds is not None:
        facts.add_row("time left", f"about {show_seconds(summary.eta_seconds)}")
    facts.add_row("driver", driver)
    for notice in notices:
        facts.add_row(Text("notice", style="yellow"), Text(notice))
    parts: list[RenderableType] = [facts]
    if running:
        parts += ["", _running_table(running)]
    title = f"[bold]{summary.name}[/]  goal {summary.goal}, target {show_percent(summary.target)}"
    return Panel(Group(*parts), title=title, title_align="left", expand=False)


def _counts(summary: Summary) -> Text:
    text = Text(f"{summary.done}/{summary.trials_wanted} done")
    for state in TrialState:
        if count := summary.states.get(state.value):
            text.append("  ")
            text.append(f"{count} {state.words}", style=COLORS.get(state, "red"))
    if summary.retries:
        text.append(f"  {summary.retries} retried", style="dim")
    return text


def jobs_text(summary: Summary, slurm_jobs: Sequence[Mapping[str, str]]) -> str:
    """How many jobs have begun a trial, how many have not, and why Slurm lets them wait."""
    reasons: dict[str, list[str]] = {}
    for job in slurm_jobs:
        if job["reason"]:
            reasons.setdefault(job["reason"], []).append(job["job_id"])
    why = (f"{reason}: {', '.join(ids[:3])}{', ...' if len(ids) > 3 else ''}" for reason, ids in reasons.items())
    text = f"{summary.jobs_running} running, {summary.jobs_waiting} waiting"
    return "; ".join([text, *why])


def budget_text(summary: Summary) -> str:
    """GPU-hours spent and in flight, and the budget if there is one."""
    text = f"{summary.gpu_hours_spent:.3f} GPU-h spent, up to {summary.gpu_hours_in_flight:.3f} in flight"
    budget = summary.gpu_hours_budget
    return text if budget is None else f"{text}, of {budget:g}"


def best_text(summary: Summary) -> str:
    """The most accurate trial so far."""
    if summary.best_accuracy is None:
        return "nothing measured yet"
    return f"{summary.best_accuracy:.2%} (trial {summary.best_accuracy_trial})"


def fastest_text(summary: Summary) -> str:
    """The trial that reached the target in the fewest training seconds."""
    if summary.fastest_seconds is None:
        return "not reached yet"
    return f"{show_seconds(summary.fastest_seconds)} of training (trial {summary.fastest_trial})"


def _running_table(running: list[TrialRecord]) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for heading in ("trial", "epoch", "accuracy", "seconds", "recipe"):
        words = heading == "recipe"  # the one column that may be cut on a narrow terminal
        table.add_column(
            heading, justify="left" if words else "right", no_wrap=True, min_width=None if words else len(heading)
        )
    for record in running:
        last = record.epochs[-1] if record.epochs else None
        table.add_row(
            str(record.number),
            f"{last.epoch}/{last.epochs}" if last else f"-/{record.spec.recipe.get('epochs', '-')}",
            "-" if record.accuracy is None else f"{record.accuracy:.1%}",
            f"{last.wall_seconds:.1f}" if last else "-",
            Text(recipe_text(record)),
        )
    return table


def recipe_text(record: TrialRecord) -> str:
    """The searched keys of a trial's recipe, epochs aside."""
    searched = {key.removesuffix("_rank").removesuffix("_share") for key in record.spec.params}
    items = ((key, value) for key, value in record.spec.recipe.items() if key in searched and key != "epochs")
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in items
    )


def trial_line(record: TrialRecord) -> str:
    """One plain line about a trial that came to its end."""
    accuracy = "no accuracy" if record.accuracy is None else f"{record.accuracy:.2%}"
    detail = f"  {' '.join(record.outcome.detail.split())}" if record.outcome and record.outcome.detail else ""
    seconds = f"{record.train_seconds:.1f} s"
    return f"trial {record.number}: {record.state.words}, {accuracy} in {seconds}  {recipe_text(record)}{detail}"


class LiveView:
    """Shows a drive as it goes; `is_due` at most twice a second."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self.printed: set[int] | None = None
        self.next_draw = 0.0
        self.told = 0  # notices

    def __enter__(self) -> LiveView:
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self.live.stop()

    def is_due(self) -> bool:
        """Whether the last update is old enough for another."""
        return time.monotonic() >= self.next_draw

    def update(
        self, summary: Summary, trials: dict[int, TrialRecord], driver: str, notices: Sequence[str] = ()
    ) -> None:
        """Print a line for each trial that ended since the last call, and new notices; redraw the panel below."""
        for notice in notices[self.told :]:
            self.console.print(f"notice: {notice}", markup=False, soft_wrap=True)
        self.told = len(notices)
        self.next_draw = time.monotonic() + REDRAW_SECONDS
        final = {number for number, record in trials.items() if record.state.is_final}
        if self.printed is not None:
            for done, number in enumerate(sorted(final - self.printed), len(self.printed) + 1):
                line = f"[{done}/{summary.trials_wanted}] {trial_line(trials[number])}"
                self.console.print(line, markup=False, emoji=False, soft_wrap=True)
        self.printed = final
        if self.live:
            running = [record for record in trials.values() if record.state == TrialState.RUNNING]
            self.live.update(render(summary, running, driver), refresh=True)
