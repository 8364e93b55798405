"""TrainConfig: one recipe, validated before anything is loaded."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

OptimizerName = Literal["sgd", "momentum", "nesterov", "adam"]
ScheduleName = Literal["constant", "one_cycle"]
DeviceName = Literal["auto", "cpu", "cuda", "mps"]


class TrainConfig(BaseModel):
    """A training recipe. Frozen; every mistake is reported at once (`pydantic.ValidationError`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str = Field(
        "digits",
        pattern=r"^(digits|cifar10|mnist|imagefolder:.+)$",
        description="digits, cifar10, mnist, or imagefolder:PATH with train/ and test/ folders of classes",
    )
    data_dir: str = Field("", description="where cifar10 and mnist lie; empty: $SWEEP_DATA_DIR, else ./data")
    model: Literal["convnet"] = Field("convnet", description="the network, by name")
    epochs: int = Field(4, ge=1, description="passes over the training images")
    batch_size: int = Field(50, ge=1, description="images per step; the last batch may be smaller")
    optimizer: OptimizerName = Field("nesterov", description="sgd, momentum, nesterov or adam")
    lr: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="(peak) learning rate; unset: the optimizer's reference"
    )
    lr_scale: float = Field(
        1.0, gt=0, allow_inf_nan=False, description="multiplies the learning rate, given or reference"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="of momentum and nesterov, beta1 of adam")
    weight_decay: float = Field(0.0, ge=0, allow_inf_nan=False, description="L2 penalty")
    schedule: ScheduleName = Field("one_cycle", description="constant or one_cycle")
    warmup: float = Field(0.25, ge=0, lt=1, description="share of the steps one_cycle climbs for")
    validation_fraction: float = Field(
        0.1, ge=0, lt=1, description="share of the training images held out, the same in every class"
    )
    test: bool = Field(False, description="measure the test set once, at the end")
    seed: int = Field(0, ge=0, lt=2**32, description="of weights and order; the validation split has its own")
    split_seed: int = Field(0, ge=0, description="of the validation split; the same for a whole study")
    device: DeviceName = Field("auto", description="auto takes CUDA or ROCm, then MPS, then the CPU")
