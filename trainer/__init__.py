"""One training run: data, network, optimizer and clock. Knows nothing of studies, Optuna or Slurm."""

from trainer.context import Calibration, Ended, EpochReport, RunContext, StopReason, TrainResult

__all__ = ["Calibration", "Ended", "EpochReport", "RunContext", "StopReason", "TrainResult"]
