"""The report as one offline page, as Markdown and as files."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from sweep_builders import ended, epoch, run_of, running, study, trial_spec, waiting, write_trial, written_run

from sweep.api import report
from sweep.reporting.page import cell_text, render_markdown, render_page
from sweep.reporting.tables import leaderboards, trials_table
from sweep.run import Run

SOURCES = {"src", "href", "srcset", "data", "action", "poster"}


class Page(HTMLParser):
    """What a browser would load, run and show of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []
        self.rows: list[list[str]] = []
        self.open = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attributes if name in SOURCES]
        self.open = tag
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag: str) -> None:
        self.open = ""

    def handle_data(self, data: str) -> None:
        if self.open in ("script", "style"):
            return
        self.text.append(data)
        if self.open == "td":
            self.rows[-1].append(data)


def page_of(run: Run) -> str:
    trials = trials_table(run.spec, run.trials.values())
    return render_page(run, trials, leaderboards(trials))


def markdown_of(run: Run) -> str:
    return render_markdown(run, leaderboards(trials_table(run.spec, run.trials.values())))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


RECORDS = [
    ended(0, "target", 0.91, 4.0),
    ended(1, "completed", 0.97, 40.0),
    ended(2, "failed", None, detail="ValueError: <b>bad</b> & worse"),
    running(3, epoch(1, 10.0, accuracy=0.4)),
]


@pytest.fixture
def page(runs: Path) -> Page:
    return Page(page_of(run_of(runs, study(description="a <script>alert(1)</script> & more"), RECORDS)))


def test_a_page_loads_nothing_from_elsewhere(page: Page) -> None:
    assert page.sources == []
    assert not {"link", "img", "iframe", "object", "embed", "base"} & set(page.tags)


def test_a_page_has_no_style_that_loads_anything(runs: Path) -> None:
    html = page_of(run_of(runs, study(), []))
    styles = re.findall(r"<style>.*?</style>", html, flags=re.DOTALL)
    assert styles
    assert not any("url(" in style or "@import" in style for style in styles)


def test_a_page_shows_the_leaderboards_and_the_trials_that_are_not_ranked(page: Page) -> None:
    assert [row for row in page.rows if row] == [
        ["1", "1", "97.00%", "40.0", "x 0.5"],
        ["2", "0", "91.00%", "4.0", "x 0.5"],
        ["1", "0", "91.00%", "4.0", "x 0.5"],
        ["2", "1", "97.00%", "40.0", "x 0.5"],
        ["3", "40.00%", "9.0", "still queued", "x 0.5"],
        ["2", "-", "10.0", "the code failed: ValueError: <b>bad</b> & worse", "x 0.5"],
    ]


def test_a_page_shows_what_the_study_was_for_and_how_it_went(page: Page) -> None:
    text = "".join(page.text)
    assert "speed, target 90% within 1 min a trial" in text
    assert "3 of 10 done (1 completed, 1 failed, 1 queued, 1 reached target)" in text


def test_a_description_is_shown_as_it_was_written(page: Page) -> None:
    assert "a <script>alert(1)</script> & more" in "".join(page.text)


@pytest.mark.parametrize("field", ["description", "detail", "recipe"])
def test_text_of_the_user_is_never_run(runs: Path, field: str) -> None:
    evil = "</script><script>alert('evil')</script><img src=x>"
    texts = {"description": "", "detail": "", "recipe": ""} | {field: evil}
    spec = trial_spec(0, recipe={"x": texts["recipe"]}, params={"x": texts["recipe"]})
    records = [ended(0, "completed", 0.5, detail=texts["detail"], spec=spec)]
    html = page_of(run_of(runs, study(description=texts["description"]), records))
    assert "<script>alert('evil')" not in html
    assert "img" not in Page(html).tags
    assert evil in "".join(Page(html).text)


def test_a_page_of_a_study_without_trials_says_so(runs: Path) -> None:
    text = Page(page_of(run_of(runs, study(), []))).text
    assert text.count("None.") == 3


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("Accuracy", 0.98765, "98.77%"),
        ("Accuracy", None, "-"),
        ("Accuracy", float("nan"), "-"),
        ("Seconds", 12.345, "12.3"),
        ("Trial", 3, "3"),
        ("Reason", "", ""),
    ],
)
def test_cells_are_written_for_people(column: str, value: object, text: str) -> None:
    assert cell_text(column, value) == text


def test_markdown_has_the_facts_and_a_table_of_each_kind(runs: Path) -> None:
    text = markdown_of(run_of(runs, study(description="why"), RECORDS))
    assert text.startswith("# toy\n\nwhy\n\n- Goal: speed, target 90%")
    assert "## Top accuracy\n\n| Rank | Trial | Accuracy | Speed (seconds) | Recipe |\n" in text
    assert "| 1 | 1 | 97.00% | 40.0 | x 0.5 |\n| 2 | 0 | 91.00% | 4.0 | x 0.5 |" in text
    assert "## Top speed" in text
    assert "## Not ranked" in text


def test_markdown_of_a_study_without_trials_says_so(runs: Path) -> None:
    text = markdown_of(run_of(runs, study(), []))
    assert text.count("\n\nNone.") == 3


def rows(text: str) -> list[str]:
    """The rows of the table of trials that are not ranked."""
    return text.partition("## Not ranked\n\n")[2].splitlines()[2:]


def test_pipes_in_a_markdown_table_do_not_end_a_cell(runs: Path) -> None:
    (row,) = rows(markdown_of(run_of(runs, study(), [ended(0, "failed", None, detail="a | b")])))
    assert r"a \| b" in row
    assert len(re.split(r"(?<!\\)\|", row)) == 7


def test_line_breaks_in_a_markdown_table_do_not_end_a_row(runs: Path) -> None:
    record = ended(0, "failed", None, detail="ValidationError: 1 error\nwidth\n  too wide")
    assert len(rows(markdown_of(run_of(runs, study(), [record])))) == 1


def test_a_report_is_a_page_a_table_and_markdown_in_the_run_folder(runs: Path) -> None:
    paths = written_run(runs, study(), [ended(0), waiting(1)])
    written = report(paths.root)
    assert sorted(path.name for path in paths.report.iterdir()) == ["index.html", "report.md", "trials.csv"]
    assert {written.page.parent, written.csv.parent, written.markdown.parent} == {paths.report}
    assert "<h1>toy</h1>" in written.page.read_text(encoding="utf-8")
    assert written.markdown.read_text(encoding="utf-8").startswith("# toy")


def test_the_table_of_a_report_is_read_again_with_every_trial(runs: Path) -> None:
    records = [ended(0, detail='a "quoted", comma'), ended(1, "failed", None), waiting(2)]
    table = pd.read_csv(report(written_run(runs, study(), records).root).csv)
    assert list(table["trial"]) == [0, 1, 2]
    assert list(table["state"]) == ["completed", "failed", "queued"]
    assert table["accuracy"].isna().tolist() == [False, True, True]


def test_a_report_can_be_written_again_as_the_study_goes_on(runs: Path) -> None:
    paths = written_run(runs, study(), [ended(0)])
    assert list(report(paths.root).boards.top_speed["Trial"]) == [0]
    write_trial(paths, ended(1, train_seconds=1.0))
    assert list(report(paths.root).boards.top_speed["Trial"]) == [1, 0]


def test_a_report_of_a_study_that_has_not_begun_is_written_too(runs: Path) -> None:
    assert report(written_run(runs, study(), []).root).page.stat().st_size > 0
