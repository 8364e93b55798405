"""When a run has to stop: at its deadline, less what its last evaluations will take, or at the context's word."""

from __future__ import annotations

import time

from trainer.context import Ended, RunContext


class Watch:
    """Times the steps and evaluations of one attempt."""

    def __init__(self, context: RunContext, batch_size: int, ahead: int = 0) -> None:
        self.context, self.batch_size = context, batch_size
        self.ahead = ahead  # steps that the device may still have to do after those asked for
        self.step_seconds = self.eval_image_seconds = 0.0
        self.is_cold = True

    def start(self, step: int) -> None:
        """Steps are timed from here, where the device has done them all."""
        self.since, self.first_step = time.monotonic(), step

    def after_step(self, step: int) -> bool:
        """Time the steps up to this one, all done; whether that tells an image's cost, as the first does not."""
        if step <= self.first_step:
            return not self.is_cold
        self.step_seconds = (time.monotonic() - self.since) / (step - self.first_step)
        if self.is_cold:
            self.is_cold = False
            self.start(step)
            return False
        return True

    def after_evaluation(self, seconds: float, images: int) -> None:
        """Remember what an evaluated image costs."""
        self.eval_image_seconds = seconds / images

    def stop_requested(self, images_left: int) -> Ended | None:
        """Why to stop now, if so; `images_left` are to be evaluated before the run is over.

        Before the first evaluation, an image is taken to cost what it costs in training, which is more.
        """
        image_seconds = self.eval_image_seconds or self.step_seconds / self.batch_size
        reserve_seconds = 1.5 * image_seconds * images_left + (2 + self.ahead) * self.step_seconds
        if time.monotonic() > self.context.deadline - reserve_seconds:
            return Ended.DEADLINE
        reason = self.context.stop_requested()
        return None if reason is None else Ended(reason.value)
