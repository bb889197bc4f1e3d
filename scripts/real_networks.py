"""Networks with a deep linear head on Fashion-MNIST and MNIST: where the head stands during training, and where its flow ends.

`python scripts/real_networks.py FOLDER [--images FOLDER]` trains what FOLDER has no record of yet, one record a run, and writes
the tables of figures/data. Counterpart of Figs. 3, 4, 7 and 8 of Garrod and Keating, arXiv:2410.23169, at the size of two cores.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass, replace
from functools import cache
from pathlib import Path
from time import process_time
from typing import Any

import torch
from torch import Tensor, nn

from landscape.atomic_files import atomic_write
from landscape.degeneracy.analysis import analyse
from landscape.model.problem import ActivationName, Problem
from landscape.points.point import CriticalPoint
from landscape.solver.run import solve
from landscape.structures.names import name
from landscape.studies.heads.capture import head_point
from landscape.studies.heads.images import Images, fashion_mnist, mnist_sample
from landscape.studies.heads.standing import Lines, standing
from landscape.studies.heads.tables import HeadCurve, HeadGram, HeadLine, HeadRow
from landscape.studies.tables import write_table

DATA = Path(__file__).resolve().parent.parent / "figures" / "data"
PER_CLASS = 50
STEPS = 2_000
SETTLING = 1_000  # iterations of L-BFGS that follow
RATE = 3e-3  # the largest of the one-cycle schedule
RECORDS = 40  # rows of a training curve
SEARCHED = 100  # starts of the search for critical points without a closed form


@dataclass(frozen=True)
class Run:
    """One training: everything that its result depends on."""

    data: str = "fashion"
    backbone: str = "mlp"
    activation: ActivationName = "linear"
    depth: int = 3
    decay: float = 5e-3
    width: int = 64
    init: float = 1.0
    seed: int = 0

    @property
    def name(self) -> str:
        """The stem of the record."""
        return "-".join(map(str, astuple(self)))


def runs() -> Iterator[Run]:
    """Yields the committed runs: widths by seeds, then one factor changed at a time."""
    shallow, deep = Run(depth=2, decay=1e-3), Run(depth=3, decay=5e-3)
    main = [replace(setting, width=width) for setting in (shallow, deep) for width in (16, 64, 200)]
    changed = [replace(shallow, data="mnist", width=width) for width in (16, 64, 200)]
    changed += [replace(deep, data="mnist")]
    changed += [replace(setting, **change) for setting in (shallow, deep) for change in ({"backbone": "cnn"}, {"init": 3.0})]
    changed += [Run(activation="relu", depth=4, decay=2e-3)]
    for seed in range(5):
        yield from (replace(setting, seed=seed) for setting in (*main, *(changed if seed < 3 else ())))


def network(run: Run, side: int) -> tuple[nn.Sequential, list[str]]:
    """Returns the network of a run, on images of this side, and the names of the layers of its head."""
    torch.manual_seed(run.seed)
    body: list[nn.Module]
    match run.backbone:
        case "mlp":
            body = [nn.Flatten(), nn.Linear(side * side, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, run.width)]
        case _:
            body = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()]
            body += [nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * (side // 4) ** 2, run.width)]
    head: list[nn.Module] = []
    for layer in range(run.depth):
        head.append(nn.Linear(run.width, 10 if layer == run.depth - 1 else run.width, bias=False))
        if run.activation == "relu" and layer < run.depth - 1:
            head.append(nn.ReLU())
    net = nn.Sequential(*body, *head)
    with torch.no_grad():
        for part in net:
            if isinstance(part, nn.Linear | nn.Conv2d):
                part.weight *= run.init
    places = range(len(body), len(net))
    return net, [str(place) for place in places if isinstance(net[place], nn.Linear)]


def decays(run: Run) -> tuple[float, ...]:
    """Returns lambda_H, which is lambda_W divided by the images of a class, and the decay of each layer of the head."""
    return (run.decay / PER_CLASS, *(run.decay,) * run.depth)


def loss_of(run: Run, net: nn.Sequential, head: list[str], images: Images) -> Tensor:
    """Returns the mean cross-entropy with the decays of the features and of the head."""
    lambdas, first = decays(run), int(head[0])
    features = net[:first](images.pixels)
    loss = nn.functional.cross_entropy(net[first:](features), images.labels) + lambdas[0] / 2 * features.square().sum()
    for layer, decay in zip(head, lambdas[1:], strict=True):
        loss = loss + decay / 2 * net.get_parameter(f"{layer}.weight").square().sum()
    return loss


def trained(run: Run, net: nn.Sequential, head: list[str], images: Images) -> list[dict[str, Any]]:
    """Trains a network with Adam on all images at once, and returns the curve."""
    curve = []
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    for step in range(STEPS):
        if step % (STEPS // RECORDS) == 0:
            curve.append(recorded(run, net, head, images, step))
        optimizer.zero_grad()
        loss_of(run, net, head, images).backward()
        optimizer.step()
        schedule.step()
    return [*curve, recorded(run, net, head, images, STEPS)]


def settled(run: Run, net: nn.Sequential, head: list[str], images: Images) -> list[dict[str, Any]]:
    """Goes on with L-BFGS, which a loss over all images allows, and returns the curve."""
    curve = []
    for part in range(1, 11):
        optimizer = torch.optim.LBFGS(
            net.parameters(), max_iter=SETTLING // 10, history_size=20, line_search_fn="strong_wolfe", tolerance_change=0
        )

        def closure() -> Tensor:
            optimizer.zero_grad()  # noqa: B023 - used before the next one is made
            loss = loss_of(run, net, head, images)
            loss.backward()
            return loss

        optimizer.step(closure)
        curve.append(recorded(run, net, head, images, STEPS + part * SETTLING // 10))
    return curve


def at(run: Run, net: nn.Sequential, head: list[str], images: Images) -> CriticalPoint:
    """Returns the head of the network with its features."""
    return head_point(net, head, images.pixels, images.labels, decays(run), run.activation)


def recorded(run: Run, net: nn.Sequential, head: list[str], images: Images, step: int) -> dict[str, Any]:
    """Returns a row of the curve."""
    point = at(run, net, head, images)
    values = [torch.linalg.svdvals(matrix)[:10].tolist() for matrix in (point.class_logits, point.factors()["W_1"])]
    return {"step": step, "loss": point.loss, "logits": values[0], "first_layer": values[1]}


def moved(start: CriticalPoint, end: CriticalPoint) -> float:
    """Returns how far a flow went, in units of the norm of the parameters."""
    return float((end.theta - start.theta).norm() / start.theta.norm())


def followed(run: Run, images: Images, lines: Lines, saved: Path) -> dict[str, Any]:
    """Trains one network, follows the flow of its head from both stages, and saves the head as a point."""
    start = process_time()
    net, head = network(run, images.pixels.shape[-1])
    curve = trained(run, net, head, images)
    halfway = at(run, net, head, images)
    rank, early = standing(halfway, lines).rank, solve(halfway.problem, halfway)
    curve += settled(run, net, head, images)
    point = at(run, net, head, images)
    point.save(saved)
    stands, end = standing(point, lines), solve(point.problem, point)
    report = analyse(end)
    row = HeadRow(
        **asdict(run),
        adam_loss=halfway.loss,
        adam_rank=rank,
        adam_flow=analyse(early).structure,
        adam_moved=moved(halfway, early),
        loss=point.loss,
        gradient_norm=point.gradient_norm,
        rank=stands.rank,
        best_known=stands.best.structure if stands.best else "",
        best_loss=stands.best.loss if stands.best else None,
        nearest=stands.nearest.structure if stands.nearest else "",
        cosine=stands.nearest.cosine if stands.nearest else None,
        end=report.structure,
        end_loss=end.loss,
        end_cosine=next((line.cosine for line in stands.lines if abs(line.loss - end.loss) <= 1e-7 * end.loss), None),
        index=report.index,
        nullity=report.nullity,
        kinks=report.kinks.count if report.kinks else None,
        moved=moved(point, end),
        core_seconds=round(process_time() - start, 1),
    )
    return {"row": asdict(row), "curve": curve, "gram": gram(point).tolist()}


@cache
def _searched(width: int, activation: ActivationName, lambdas: tuple[float, ...]) -> Lines:
    problem = Problem.balanced(10, PER_CLASS, width, len(lambdas) - 1, lambdas, "ce", activation)
    return Lines.of(problem, starts=SEARCHED)


def searched(run: Run) -> Lines:
    """Returns the known critical points of the model of a run's head, those of a search too."""
    return _searched(run.width, run.activation, decays(run))


def gram(point: CriticalPoint) -> Tensor:
    """Returns the cosines between the class means of the features, about their common mean."""
    problem = point.problem
    means = point.factors()["H_1"].reshape(problem.width, problem.classes, PER_CLASS).mean(2)
    centred = means - means.mean(1, keepdim=True)
    unit = centred / centred.norm(dim=0, keepdim=True)
    return unit.mT @ unit


def tables(records: list[dict[str, Any]]) -> None:
    """Writes the rows of all runs, and the curves and HeadGram matrices of the first seeds."""
    write_table([HeadRow(**record["row"]) for record in records], DATA / "real-networks.csv")
    first = [
        (Run(**{key: record["row"][key] for key in asdict(Run())}), record) for record in records if record["row"]["seed"] == 0
    ]
    curves = [
        HeadCurve(
            run.name,
            row["step"],
            row["loss"],
            *(" ".join(f"{value:.6g}" for value in row[key]) for key in ("logits", "first_layer")),
        )
        for run, record in first
        for row in record["curve"]
    ]
    write_table(curves, DATA / "real-networks-curves.csv")
    grams = [
        HeadGram(run.name, i, j, round(value, 6))
        for run, record in first
        for i, line in enumerate(record["gram"])
        for j, value in enumerate(line)
    ]
    write_table(grams, DATA / "real-networks-gram.csv")
    settings = {(run.depth, run.decay): searched(replace(run, width=64)) for run, _ in first if run.activation == "linear"}
    lines = [HeadLine(*setting, name(point.kind), point.loss) for setting, known in settings.items() for point in known.known]
    write_table(lines, DATA / "real-networks-lines.csv")


def main() -> None:
    """Trains what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="Where the records are and go.")
    parser.add_argument("--images", help="Folder of Fashion-MNIST, if the Debian package is unpacked elsewhere.")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.folder.mkdir(parents=True, exist_ok=True)
    sources = {"fashion": lambda: fashion_mnist(given.images) if given.images else fashion_mnist(), "mnist": mnist_sample}
    images: dict[str, Images] = {}
    records: list[dict[str, Any]] = []
    todo = list(runs())
    try:
        for number, run in enumerate(todo, start=1):
            path = given.folder / f"{run.name}.json"
            if not path.exists():
                if run.data not in images:
                    chosen = sources[run.data]().balanced(PER_CLASS).halved()
                    images[run.data] = Images((chosen.pixels - chosen.pixels.mean()) / chosen.pixels.std(), chosen.labels)
                record = followed(run, images[run.data], searched(run), path.with_suffix(".safetensors"))
                with atomic_write(path) as temporary:
                    temporary.write_text(json.dumps(record))
            records.append(json.loads(path.read_text()))
            row = records[-1]["row"]
            print(
                f"{number}/{len(todo)} {run.name}: loss {row['loss']:.6f}, flows to {row['end']}, moved {row['moved']:.3f}",
                flush=True,
            )
    finally:  # a run that was stopped leaves the tables of what is done
        if records:
            tables(records)


if __name__ == "__main__":
    main()
