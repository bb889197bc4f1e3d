"""ResNet-20 with a deep head on all images of Fashion-MNIST, MNIST or CIFAR-10: for a machine with a GPU, or for many of them.

`python scripts/real_resnet.py FOLDER --data fashion --images IMAGES --device cuda` trains what FOLDER has no record of yet. It
saves its state every few epochs and goes on from there, after `--seconds` or a kill too. `--only 3` trains the fourth alone, so
that the tasks of a cluster's array share one folder. A run leaves NAME.npz (features H_1, head W_1, W_2, ..), NAME-labels.npy and
NAME.json. Training needs torch, numpy, jaxtyping and safetensors; `--flow` (scipy too) follows the flow of every head as well.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, astuple, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from landscape.atomic_files import atomic_write
from landscape.errors import InputError
from landscape.model.problem import ActivationName
from landscape.points.point import CriticalPoint
from landscape.studies.heads.capture import balanced_decay, head_point
from landscape.studies.heads.images import Images, cifar10, fashion_mnist, idx_images

CLASSES = 10
RATE = 3e-3  # of Adam, the largest of the one-cycle schedule
RISING = 0.1  # of all steps: where the rate is largest
RECORDS = 40  # rows of a training curve, after each of which the state is saved
SIZES = ("width", "per_class", "epochs", "batch")  # what the command line sets of every training
READERS: dict[str, Callable[[Path | None], Images]] = {
    "fashion": lambda folder: fashion_mnist(folder) if folder else fashion_mnist(),
    "mnist": lambda folder: idx_images(folder or "mnist"),
    "cifar": lambda folder: cifar10(folder or "cifar-10-batches-bin"),
}


@dataclass(frozen=True)
class Training:
    """One training: everything that its result depends on.

    Attributes:
        data: Images that it is trained on.
        activation: Activation between the layers of the head.
        depth: Number of layers of the head.
        decay: Decay of each layer of the head, or of every parameter of the network.
        decayed: What decays: the features and the head, as in the model, or all parameters.
        seed: Seed of the initial weights and of the order of the images.
        width: Width of the features and of the head.
        per_class: Images of each class.
        epochs: Passes over the images.
        batch: Images of one step.
    """

    data: str = "fashion"
    activation: ActivationName = "linear"
    depth: int = 3
    decay: float = 5e-3
    decayed: Literal["features", "network"] = "features"
    seed: int = 0
    width: int = 64
    per_class: int = 5000
    epochs: int = 200
    batch: int = 500

    @property
    def name(self) -> str:
        """The stem of its files."""
        return "resnet-" + "-".join(map(str, astuple(self)))


def trainings(size: Training) -> Iterator[Training]:
    """Yields the grid at the sizes of one: the paper's two heads, one of two layers and the standard decay, five seeds each."""
    for seed in range(5):
        yield replace(size, seed=seed)
        yield replace(size, seed=seed, activation="relu", depth=4)
        yield replace(size, seed=seed, depth=2, decay=1e-3)
        yield replace(size, seed=seed, decay=5e-4, decayed="network")


class Block(nn.Module):
    """Two convolutions with a shortcut (He and others, 2015); where the size changes, the shortcut is a convolution of size 1."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        first, second = nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.main = nn.Sequential(first, nn.BatchNorm2d(after), nn.ReLU(), second, nn.BatchNorm2d(after))
        self.short = nn.Identity() if before == after else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, signal: Tensor) -> Tensor:
        """Returns the signal after the block."""
        return torch.relu(self.main(signal) + self.short(signal))


def network(training: Training, channels: int) -> tuple[nn.Sequential, list[str]]:
    """Returns ResNet-20 with a linear layer to the features, which may have any sign, and the head; and the names of its layers."""
    torch.manual_seed(training.seed)
    body: list[nn.Module] = [nn.Conv2d(channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    sizes = [16, 16, 16, 16, 32, 32, 32, 64, 64, 64]
    body += [Block(before, after, 1 if before == after else 2) for before, after in pairwise(sizes)]
    body += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, training.width)]
    head: list[nn.Module] = []
    for layer in range(training.depth):
        last = layer == training.depth - 1
        head.append(nn.Linear(training.width, CLASSES if last else training.width, bias=False))
        if training.activation == "relu" and not last:
            head.append(nn.ReLU())
    return nn.Sequential(nn.Sequential(*body), *head), [str(i) for i, part in enumerate(head, 1) if isinstance(part, nn.Linear)]


def feature_decay(training: Training) -> float:
    """Returns lambda_H, which is lambda_W divided by the images of a class; 0 where the features have none."""
    return training.decay / training.per_class if training.decayed == "features" else 0.0


def optimizer_of(training: Training, net: nn.Sequential) -> torch.optim.Adam:
    """Returns Adam with its L2 decays: of the head, and of the layers below it where all parameters decay."""
    below = training.decay if training.decayed == "network" else 0.0
    groups = [
        {"params": list(part.parameters()), "weight_decay": training.decay if place else below} for place, part in enumerate(net)
    ]
    return torch.optim.Adam([group for group in groups if group["params"]], lr=RATE)


def rate(step: int, steps: int) -> float:
    """Returns the learning rate of a step: it rises and falls along half waves."""
    top = RISING * steps
    place = step / top if step < top else 1 + (step - top) / (steps - top)
    return RATE * (1 - math.cos(math.pi * place)) / 2


def epoch_of(training: Training, net: nn.Sequential, optimizer: torch.optim.Adam, images: Images, epoch: int) -> None:
    """Passes once over the images in batches, in an order that seed and epoch fix."""
    net.train()
    generator = torch.Generator().manual_seed(1_000_003 * training.seed + epoch)
    order = torch.randperm(len(images.labels), generator=generator).to(images.labels.device)
    batches = order.split(training.batch)
    for number, places in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = rate(epoch * len(batches) + number, training.epochs * len(batches))
        features = net[0](images.pixels[places])
        loss = nn.functional.cross_entropy(net[1:](features), images.labels[places])
        loss = loss + feature_decay(training) / 2 * features.square().sum() * (len(order) / len(places))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def at(training: Training, net: nn.Sequential, head: list[str], images: Images) -> CriticalPoint:
    """Returns the head with its features; where these have no decay, with the one that balances them with the first layer."""
    layers = (training.decay,) * training.depth
    lambdas = feature_decay(training) or balanced_decay(net, head, images.pixels, layers[0])
    return head_point(net, head, images.pixels, images.labels, (lambdas, *layers), training.activation)


def recorded(training: Training, net: nn.Sequential, head: list[str], images: Images, epoch: int) -> dict[str, Any]:
    """Returns a row of the curve."""
    point = at(training, net, head, images)
    decays, logits = point.problem.decays, point.class_logits
    values = torch.linalg.svdvals(logits).tolist()
    return {"epoch": epoch, "loss": point.loss, "gradient_norm": point.gradient_norm, "decays": decays, "logits": values}


def trained(training: Training, images: Images, folder: Path, until: float) -> bool:
    """Trains one network from where it was left, and saves its head at the end.

    Returns:
        Whether it is done; not if the time `until` came first.
    """
    net, head = network(training, images.pixels.shape[1])
    net.to(images.pixels.device)
    optimizer = optimizer_of(training, net)
    state, start, curve = folder / f"{training.name}.pt", 0, []
    if state.exists():
        saved = torch.load(state, map_location=images.pixels.device, weights_only=True)
        net.load_state_dict(saved["net"])
        optimizer.load_state_dict(saved["optimizer"])
        start, curve = saved["epoch"], saved["curve"]
    every = max(1, training.epochs // RECORDS)
    for epoch in range(start, training.epochs):
        epoch_of(training, net, optimizer, images, epoch)
        if (epoch + 1) % every and epoch + 1 < training.epochs:
            continue
        curve.append(recorded(training, net, head, images, epoch + 1))
        with atomic_write(state) as temporary:
            torch.save(
                {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch + 1, "curve": curve}, temporary
            )
        print(f"{training.name}: epoch {epoch + 1} of {training.epochs}, loss {curve[-1]['loss']:.6f}", flush=True)
        if time.monotonic() > until and epoch + 1 < training.epochs:
            return False
    finished(training, at(training, net, head, images), images, curve, folder)
    return True


def finished(training: Training, point: CriticalPoint, images: Images, curve: list[dict[str, Any]], folder: Path) -> None:
    """Saves features, head and labels as float32 arrays, and last the record, which says that the run is done."""
    arrays: dict[str, Any] = {name: factor.float().cpu().numpy() for name, factor in point.factors().items()}
    with atomic_write(folder / f"{training.name}.npz") as temporary:
        np.savez(temporary, H_1=arrays.pop("H_1").T.copy(), **arrays)
    with atomic_write(folder / f"{training.name}-labels.npy") as temporary:
        np.save(temporary, images.labels.sort().values.cpu().numpy().astype(np.int8))
    record = {"training": asdict(training), "curve": curve, "logits": point.class_logits.tolist()}
    with atomic_write(folder / f"{training.name}.json") as temporary:
        temporary.write_text(json.dumps(record))


def flowed(training: Training, folder: Path, device: str) -> None:
    """Follows the flow of a saved head to a critical point, and saves the class-mean logits there with how far it moved."""
    from landscape.points.foreign_weights import WeightsLayout, import_weights
    from landscape.solver.run import solve

    record = json.loads((folder / f"{training.name}.json").read_text())
    layout = WeightsLayout(labels=str(folder / f"{training.name}-labels.npy"), transpose=True)
    decays = tuple(record["curve"][-1]["decays"])
    start = import_weights(folder / f"{training.name}.npz", decays, "ce", training.activation, layout, device)
    end = solve(start.problem, start)
    said = {
        "problem": end.problem.as_dict(),
        "outcome": end.outcome.name,
        "loss_before": start.loss,
        "loss": end.loss,
        "gradient_norm": end.gradient_norm,
        "moved": float((end.theta - start.theta).norm() / start.theta.norm()),
        "logits": end.class_logits.tolist(),
    }
    with atomic_write(folder / f"{training.name}-flow.json") as temporary:
        temporary.write_text(json.dumps(said))
    print(
        f"{training.name}: flow {said['outcome']}, loss {said['loss_before']:.7f} to {said['loss']:.7f}, moved {said['moved']:.4f}"
    )


def parsed() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="Where the records are and go.")
    parser.add_argument("--data", choices=READERS, default="fashion", help="Images to train on.")
    parser.add_argument("--images", type=Path, help="Folder of the images' files.")
    parser.add_argument("--device", default="cuda", help="Where to compute: cuda, cuda:1, mps, cpu.")
    parser.add_argument("--only", type=int, help="Number of one training of the grid, from 0; all if not given.")
    parser.add_argument("--seconds", type=float, default=math.inf, help="Stops after this time; the same command goes on.")
    parser.add_argument("--flow", action="store_true", help="Also follows the flow of every head to a critical point.")
    for name in SIZES:
        default = getattr(Training(), name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default, help=f"{default} if not given.")
    return parser.parse_args()


def main() -> int:
    """Trains what is missing."""
    given = parsed()
    sizes = {name: getattr(given, name) for name in SIZES}
    grid = list(trainings(replace(Training(given.data), **sizes)))
    try:
        if given.only is not None and not 0 <= given.only < len(grid):
            raise InputError(f"expected --only between 0 and {len(grid) - 1}, got {given.only}")
        chosen = grid if given.only is None else [grid[given.only]]
        found = READERS[given.data](given.images).balanced(given.per_class)
        pixels = (found.pixels - found.pixels.mean()) / found.pixels.std()
        images = Images(pixels.to(given.device), found.labels.to(given.device))
        given.folder.mkdir(parents=True, exist_ok=True)
    except (InputError, RuntimeError, OSError, AssertionError) as error:  # torch asserts that it was built for the device
        print(f"error: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    until = time.monotonic() + given.seconds
    for training in chosen:
        if not (given.folder / f"{training.name}.json").exists() and not trained(training, images, given.folder, until):
            print("stopped in time; the same command goes on")
            return 1
        if given.flow and not (given.folder / f"{training.name}-flow.json").exists():
            flowed(training, given.folder, given.device)
    return 0


if __name__ == "__main__":
    sys.exit(main())
