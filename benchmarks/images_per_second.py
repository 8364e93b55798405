"""Training images per second: this trainer, the loop that teaching systems write, and a bare loop as the limit.

    python benchmarks/images_per_second.py
    python benchmarks/images_per_second.py --dataset imagefolder:/data/cifar10 --device cuda --images 50000

The same network, optimizer and batch for all; the contestants take turns, `--rounds` times, so that a noisy
machine is noisy to each of them.

- ours: `TrainingRun.train_epoch`, with its sums of loss and correct images, clock and stop checks
- reference, 0 or 2 workers: the network as tutorials write it, a DataLoader, a PIL image and two transforms per
  image, `loss.item()` at every step
- bare: our network on slices of one preloaded, normalised tensor, channels last; nothing but the step
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from trainer.config import TrainConfig
from trainer.context import QuietContext
from trainer.data import Split, TrainingData, load_data
from trainer.devices import choose_device, device_name, synchronize
from trainer.models import make_model
from trainer.training import TrainingRun

Contestant = Callable[[], float]  # trains one epoch and returns images per second


CONTESTANTS = ("ours", "reference, 0 workers", "reference, 2 workers", "bare")


class Pictures(Dataset):
    """Images as torchvision's data sets give them: a PIL image, transformed one by one."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images.transpose(0, 2, 3, 1), labels
        channels = (0.5,) * images.shape[1]
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(channels, channels)])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


class Net(nn.Module):
    """The reference network, as tutorials write it."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.conv1, self.conv2, self.pool = nn.Conv2d(channels, 6, 5), nn.Conv2d(6, 16, 5), nn.MaxPool2d(2, 2)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = self.pool(functional.relu(self.conv1(images)))
        hidden = torch.flatten(self.pool(functional.relu(self.conv2(hidden))), 1)
        return self.fc3(functional.relu(self.fc2(functional.relu(self.fc1(hidden)))))


def momentum(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)


def ours(config: TrainConfig, data: TrainingData, device: torch.device) -> Contestant:
    run = TrainingRun(config, QuietContext(), data, device, time.monotonic())

    def epoch() -> float:
        before = run.progress.train_seconds
        run.train_epoch()
        run.progress.loss_sum, run.progress.correct = 0.0, 0
        return len(data.train) / (run.progress.train_seconds - before)

    return epoch


def reference(config: TrainConfig, data: TrainingData, device: torch.device, workers: int) -> Contestant:
    model = Net(data.image_shape[0], len(data.classes)).to(device)
    optimizer, loss_function = momentum(model), nn.CrossEntropyLoss()
    rows = data.train.rows.cpu().numpy()
    pictures = Pictures(data.train.images.cpu().numpy()[rows], data.train.labels.cpu().numpy()[rows])
    loader = DataLoader(pictures, batch_size=config.batch_size, shuffle=True, num_workers=workers)

    def epoch() -> float:
        batches = iter(loader)
        first = next(batches)  # starting the workers is not counted
        started, seen, running_loss = time.perf_counter(), 0, 0.0
        for images, labels in following(first, batches):
            optimizer.zero_grad()
            loss = loss_function(model(images.to(device)), labels.to(device))
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
            seen += len(labels)
        return seen / (time.perf_counter() - started)

    return epoch


def following(first: object, rest: Iterator) -> Iterator:
    yield first
    yield from rest


def bare(config: TrainConfig, data: TrainingData, device: torch.device) -> Contestant:
    model = make_model("convnet", data.image_shape, len(data.classes)).to(
        device, memory_format=torch.channels_last
    )
    optimizer, loss_function = momentum(model), nn.CrossEntropyLoss()
    pixels = data.train.images[data.train.rows].float() * data.scale + data.shift
    pixels, labels = pixels.contiguous(memory_format=torch.channels_last), data.train.labels[data.train.rows]
    size = config.batch_size

    def epoch() -> float:
        synchronize(device)
        started = time.perf_counter()
        for at in range(0, len(labels), size):
            optimizer.zero_grad()
            loss_function(model(pixels[at : at + size]), labels[at : at + size]).backward()
            optimizer.step()
        synchronize(device)
        return len(labels) / (time.perf_counter() - started)

    return epoch


def compare(config: TrainConfig, data: TrainingData, device: torch.device, rounds: int) -> dict[str, list[float]]:
    """Images per second of each contestant in each round."""
    epochs = [
        ours(config, data, device),
        reference(config, data, device, 0),
        reference(config, data, device, 2),
        bare(config, data, device),
    ]
    contestants = dict(zip(CONTESTANTS, epochs, strict=True))
    for name, epoch in contestants.items():
        if name in ("ours", "bare"):
            epoch()  # warm up: first steps choose algorithms, a GPU's step is recorded
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, epoch in contestants.items():
            rates[name].append(epoch())
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--batches", type=int, nargs="+", default=[4, 25, 100, 500])
    parser.add_argument("--images", type=int, default=6000, help="per epoch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = choose_device(given.device)
    print(
        f"{device_name(device)}, {given.threads} thread(s), {given.images} images, median of {given.rounds} rounds"
    )
    columns = ["batch", *CONTESTANTS, "ours / best reference", "ours / bare"]
    print(f"\n| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for batch_size in given.batches:
        config = TrainConfig(
            dataset=given.dataset,
            data_dir=given.data_dir,
            batch_size=batch_size,
            epochs=1000,
            optimizer="momentum",
            lr=0.001,
            schedule="constant",
            validation_fraction=0,
            device=given.device,
        )
        data = load_data(config, device)
        data = replace(data, train=Split(data.train.images, data.train.labels, data.train.rows[: given.images]))
        rates = compare(config, data, device, given.rounds)
        cells = [f"{statistics.median(r):,.0f} ({min(r):,.0f} to {max(r):,.0f})" for r in rates.values()]
        best = [
            max(pair) for pair in zip(rates["reference, 0 workers"], rates["reference, 2 workers"], strict=True)
        ]
        for rivals in (best, rates["bare"]):
            ratios = [mine / rival for mine, rival in zip(rates["ours"], rivals, strict=True)]
            cells.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        print(f"| {batch_size} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
