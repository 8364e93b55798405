"""What `import sweep` offers to Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sweep_builders import ended, study, written_run

from sweep.api import launch, report, resume
from sweep.errors import RunFolderError, StudyFileError


def test_a_report_gives_the_leaderboards_and_where_the_page_lies(tmp_path: Path) -> None:
    written = report(written_run(tmp_path, study(), [ended(0), ended(1, accuracy=0.2)]).root)
    assert list(written.boards.top_speed["Trial"]) == [0]
    assert list(written.boards.others["Trial"]) == [1]
    assert written.page == tmp_path / "toy" / "report" / "index.html"


@pytest.mark.parametrize("function", [report, resume])
def test_a_folder_that_holds_no_run_is_refused(tmp_path: Path, function: object) -> None:
    assert callable(function)
    with pytest.raises(RunFolderError, match="no run 'nowhere'"):
        function("nowhere")


REPORT_TWICE = """
import sys
import sweep
for _ in range(2):
    print(sweep.report(sys.argv[1]).page.name)
"""


def test_a_report_can_be_had_twice_in_one_program(tmp_path: Path) -> None:
    root = written_run(tmp_path, study(), [ended(0)]).root
    command = [sys.executable, "-c", REPORT_TWICE, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["index.html", "index.html"]


def refused(value: object) -> str:
    """How a launch shows a value that cannot be a goal."""
    with pytest.raises(StudyFileError) as refusal:
        launch("quickstart", changes={"goal": value})
    return str(refusal.value).rpartition("got ")[2]


@pytest.mark.parametrize(
    "value",
    [
        *("words and spaces", "it's", 'say "x"', "true", "7", "a = b # c", "é", "", True, 7, 0.5),
        *("C:\\data", "two\nlines", "tab\t", 'it\'s "x"', [True, False]),
    ],
)
def test_a_change_reaches_the_study_as_it_was_given(value: object) -> None:
    assert refused(value) == repr(value)


def test_a_change_of_a_limit_is_a_change_of_the_study(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError, match=r"limits\.trials: .* got 0"):
        launch("quickstart", changes={"limits.trials": 0}, runs=tmp_path)
    assert list(tmp_path.iterdir()) == []
