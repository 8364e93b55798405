"""Whole studies simulated before the first is launched: a way to try budgets and limits."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.board import Board
from sweep.errors import StudyFileError
from sweep.records import Ending, TrialRecord
from sweep.simulation import simulate
from sweep.spec import StudySpec
from sweep.summary import summarize
from sweep.surrogate import CurveSurrogate, curves_of, read_curves
from sweep.toml_files import builtin_folder

SEEDS = 3
TABLE = "cifar10_curves.csv"  # of the reference network


@dataclass(frozen=True)
class SimulatedStudy:
    """What one simulated study came to."""

    seed: int
    ends_because: str
    trials: int
    gpu_hours: float
    elapsed_seconds: float
    best_accuracy: float | None
    seconds_to_target: float | None


def simulate_studies(spec: StudySpec, slots: int, history: Sequence[TrialRecord]) -> list[SimulatedStudy]:
    """Run the study on a virtual clock, once for each of a few seeds.

    Raises:
        StudyFileError: there are no learning curves to simulate with.
    """
    curves = curves_of(history) if history else _table(spec)
    found = []
    for seed in range(spec.seed, spec.seed + SEEDS):
        seeded = spec.model_copy(update={"seed": seed, "storage": ""})
        with tempfile.TemporaryDirectory() as folder:
            board, ending = simulate(seeded, CurveSurrogate(curves, seed), slots, Path(folder))
            found.append(_summed_up(board, ending, seed))
    return found


def _table(spec: StudySpec) -> Any:
    if "cifar10" not in str(spec.fixed.get("dataset")):
        raise StudyFileError(
            "a simulation needs learning curves: name a run of this data set with --from to learn from; "
            f"the built-in ones are of cifar10, and this study has dataset {spec.fixed.get('dataset')}"
        )
    return read_curves(builtin_folder("benchmarks") / TABLE)


def _summed_up(board: Board, ending: Ending, seed: int) -> SimulatedStudy:
    summary = summarize(board.spec, board.trials, board.ledger, board.launcher.slots)
    return SimulatedStudy(
        seed,
        ending.value,
        trials=len(board.trials),
        gpu_hours=round(summary.gpu_hours_spent, 4),
        elapsed_seconds=round(board.elapsed_seconds(), 1),
        best_accuracy=None if summary.best_accuracy is None else round(summary.best_accuracy, 4),
        seconds_to_target=None if summary.fastest_seconds is None else round(summary.fastest_seconds, 1),
    )
