"""The measurements of a run: timed, and none made twice of the same weights."""

from __future__ import annotations

import math
import time

from trainer.data import SplitName, TrainingData
from trainer.evaluation import Evaluation, evaluate
from trainer.progress import Progress
from trainer.steps import Learner
from trainer.watch import Watch


class Measuring:
    """Evaluates a learner's weights as they are (the averaged ones, if there are)."""

    def __init__(self, learner: Learner, data: TrainingData, watch: Watch) -> None:
        self.learner, self.data, self.watch = learner, data, watch
        self.images_left = len(data.validation) + len(data.test) or len(data.probe)  # to measure at a run's end
        self._step = -1
        self._done: dict[SplitName, Evaluation] = {}  # of the weights after `_step`

    def measure(self, name: SplitName, progress: Progress) -> Evaluation:
        """Evaluate a split, on the clock of evaluations."""
        if self._step != progress.step:
            self._step, self._done = progress.step, {}
        if name not in self._done:
            started, split = time.monotonic(), self.data.split(name)
            self._done[name] = evaluate(
                self.learner.evaluated, self.data, split, self.learner.loss, self.learner.autocast
            )
            seconds = time.monotonic() - started
            self.watch.after_evaluation(seconds, len(split))
            progress.eval_seconds += seconds
        return self._done[name]

    def has_diverged(self, progress: Progress) -> bool:
        """Whether the last update ruined the weights: a loss in training is that of the weights before it."""
        if self._step != progress.step:
            self.measure("probe", progress)
        return not all(math.isfinite(evaluation.loss) for evaluation in self._done.values())
