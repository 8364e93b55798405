"""How far a run has come."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Progress:
    """What is saved with every checkpoint, beside the weights. Seconds count earlier attempts too."""

    step: int = 0
    loss_sum: float = 0.0  # over the images of the epoch under way
    correct: int = 0  # of them
    accuracy: float | None = None  # of the last evaluation
    train_seconds: float = 0.0
    eval_seconds: float = 0.0
    wall_seconds: float = 0.0
