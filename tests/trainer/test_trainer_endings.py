"""python -m trainer: what it says of runs cut short, complete already, or without anything to judge by."""

from __future__ import annotations

import pytest
from trainer_helpers import outcome, refused

from trainer.commands import make_parser

# Cut short by the limit


def test_a_run_without_time_for_an_epoch_says_so_and_shows_no_table(capsys):
    status, lines, _ = outcome(capsys, "--limit", "0")

    assert status == 0
    assert lines == [
        "Stopped by --limit after 0 of 4 epochs.",
        "No verdict: no epoch was finished; give it more time.",
    ]


def test_a_run_that_its_limit_cuts_short_says_so_and_how_to_go_on(tmp_path, capsys):
    folder = tmp_path / "run"
    options = ["--epochs", "1000000", "--target", "0.01", "--folder", str(folder)]
    outcome(capsys, *options, "--stop-at-target")

    _, (first, headline, *_, last), _ = outcome(capsys, *options, "--limit", "0")

    assert first == f"Stopped by --limit after 1 of 1000000 epochs; the same command goes on from {folder}."
    assert headline.endswith("overall, validation images")
    assert "validation accuracy in" in last


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("90s", 90), ("1.5 min", 90), ("2m", 120), ("1h", 3600), ("1D", 86400)]
)
def test_the_limit_may_have_a_unit(text, expected):
    assert make_parser().parse_args(["--limit", text]).limit == expected


@pytest.mark.parametrize("limit", ["abc", "-1", "1 fortnight", "nan", "1h 30", ""])
def test_a_limit_that_is_no_walltime_is_refused(capsys, limit):
    assert f"such as 90s or 1h; got {limit}\n" in refused(capsys, f"--limit={limit}")


# Complete already, or nothing to judge by


def test_a_finished_run_is_only_judged_again(tmp_path, capsys):
    folder = tmp_path / "deep" / "run"
    options = ("--epochs", "1", "--folder", str(folder))
    _, first, _ = outcome(capsys, *options)

    status, again, _ = outcome(capsys, *options)

    assert status == 0
    assert again[0] == f"The run in {folder} was complete: its 1 epoch(s) are kept as they are."
    assert again[1:] == first[1:]  # all but the line of its epoch


def test_a_finished_run_that_measured_the_test_set_measures_it_again(tmp_path, capsys):
    options = ("--epochs", "1", "--folder", str(tmp_path / "run"))
    _, first, _ = outcome(capsys, *options, "--test")
    recipe = (tmp_path / "run" / "recipe.json").read_text()

    _, again, _ = outcome(capsys, *options)

    assert "test accuracy" in again[-1]
    assert again[1:] == first[1:]
    assert (tmp_path / "run" / "recipe.json").read_text() == recipe


def test_a_finished_run_is_judged_without_the_test_set_when_told_to(tmp_path, capsys):
    options = ("--epochs", "1", "--folder", str(tmp_path / "run"))
    outcome(capsys, *options, "--test")

    _, again, _ = outcome(capsys, *options, "--no-test")

    assert "validation accuracy" in again[-1]


def test_without_images_held_out_the_weights_are_left_and_the_way_to_a_figure_is_said(tmp_path, capsys):
    options = ("--epochs", "1", "--validation-fraction", "0", "--folder", str(tmp_path / "run"))

    _, lines, _ = outcome(capsys, *options)
    _, tested, _ = outcome(capsys, *options, "--test")

    assert lines[1:] == [
        f"In {tmp_path / 'run'}: weights.pt, recipe.json",
        "No verdict: no images were held out to validate with; add --test to measure the test set.",
    ]
    assert (tmp_path / "run" / "weights.pt").exists()
    assert "test accuracy" in tested[-1]
