"""TrainConfig: one recipe, validated before anything is loaded."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

OptimizerName = Literal["sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adadelta", "muon"]
ScheduleName = Literal["constant", "step", "cosine", "linear", "one_cycle"]
LossName = Literal["cross_entropy", "nll", "mse"]
PrecisionName = Literal["fp32", "bf16", "fp16"]
DeviceName = Literal["auto", "cpu", "cuda", "mps"]

MODELS = ("convnet", "lenet", "bn_cnn", "mlp", "mnist_cnn", "resnet18")


def _one_of(names: tuple[str, ...], own: str, pattern: str) -> AfterValidator:
    """Accept one of `names`, or the user's `own` as the pattern has it."""

    def check(value: str) -> str:
        if value not in names and not re.fullmatch(pattern, value):
            raise ValueError(f"must be one of {', '.join(names)}, {own}")
        return value

    return AfterValidator(check)


DatasetName = Annotated[str, _one_of(("digits", "cifar10", "mnist"), "imagefolder:PATH", r"imagefolder:.+")]
ModelName = Annotated[str, _one_of(MODELS, "module:Class", r"[\w.]+:\w+")]


class TrainConfig(BaseModel):
    """A training recipe. Frozen; every mistake is reported at once (`pydantic.ValidationError`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: DatasetName = Field(
        "digits",
        description="digits, cifar10, mnist, or imagefolder:PATH with train/ and test/ folders of classes",
    )
    data_dir: str = Field("", description="where cifar10 and mnist lie; empty: $SWEEP_DATA_DIR, else ./data")
    image_size: int | None = Field(
        None, ge=1, description="image folders: resize and crop to this side; unset: all images have one size"
    )
    normalization: Literal["dataset", "imagenet"] = Field(
        "dataset", description="channel means and deviations: the data set's, or ImageNet's for its weights"
    )
    model: ModelName = Field(
        "convnet", description=f"the network: {', '.join(MODELS)}, or your own as module:Class"
    )
    weights: str = Field(
        "", description="start from: a file of weights, or `pretrained` (resnet18); empty: random ones"
    )
    freeze: Literal["", "backbone"] = Field("", description="backbone: train the last linear layer only")
    epochs: int = Field(4, ge=1, description="passes over the training images")
    batch_size: int = Field(50, ge=1, description="images per step; the last batch may be smaller")
    optimizer: OptimizerName = Field(
        "nesterov", description="sgd, momentum, nesterov, adam, adamw, rmsprop, adadelta or muon"
    )
    lr: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="(peak) learning rate; unset: the optimizer's reference"
    )
    lr_scale: float = Field(
        1.0, gt=0, allow_inf_nan=False, description="multiplies the learning rate, given or reference"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="of momentum, nesterov and muon, beta1 of adam and adamw")
    weight_decay: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="L2 penalty; decoupled for adamw and muon"
    )
    schedule: ScheduleName = Field("one_cycle", description="constant, step, cosine, linear or one_cycle")
    warmup: float | None = Field(
        None, ge=0, lt=1, description="share of the steps it climbs for; unset: 0.25 for one_cycle, else 0"
    )
    step_epochs: int = Field(1, ge=1, description="epochs between two falls of schedule step")
    gamma: float = Field(0.7, gt=0, le=1, description="factor of each fall of schedule step")
    loss: LossName = Field("cross_entropy", description="cross_entropy, nll or mse (on one-hot labels)")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of a label spread over all classes")
    flip: bool = Field(False, description="augmentation: mirror every other image")
    crop: int = Field(0, ge=0, description="augmentation: shift by up to this many pixels, padded with black")
    cutout: int = Field(0, ge=0, description="augmentation: blank a square of this many pixels a side")
    ema: float = Field(0.0, ge=0, lt=1, description="decay of averaged weights, used to evaluate; 0: none")
    precision: PrecisionName = Field("fp32", description="fp32, or mixed precision: bf16, fp16")
    validation_fraction: float = Field(
        0.1, ge=0, lt=1, description="share of the training images held out, the same in every class"
    )
    test: bool = Field(False, description="measure the test set once, at the end")
    test_epochs: bool = Field(False, description="measure it after every epoch too, to look at, not to choose by")
    seed: int = Field(0, ge=0, lt=2**32, description="of weights and order; the validation split has its own")
    split_seed: int = Field(0, ge=0, lt=2**32, description="of the validation split; the same for a whole study")
    loss_steps: int = Field(500, ge=1, description="steps between two looks at the running loss")
    device: DeviceName = Field("auto", description="auto takes CUDA or ROCm, then MPS, then the CPU")
    cuda_graphs: bool = Field(True, description="on CUDA, record a step once and replay it")
    tensorboard: bool = Field(False, description="write scalars for TensorBoard into the run's folder")

    @model_validator(mode="after")
    def _check(self) -> TrainConfig:
        if self.weights == "pretrained" and self.model != "resnet18":
            raise ValueError(f"weights = pretrained is for model resnet18; got model {self.model}")
        if self.image_size is not None and not self.dataset.startswith("imagefolder:"):
            raise ValueError(f"image_size is for image folders; got dataset {self.dataset}")
        return self
