"""Networks with a deep linear head on Fashion-MNIST and MNIST: where the head stands during training, and where its flow ends.

`python scripts/real_networks.py FOLDER [--images FOLDER]` trains what FOLDER has no record of yet, one record a run, and writes
the tables of figures/data. `--only 3` trains the fourth run alone, so that the tasks of a cluster's array share FOLDER; the same
command without it then writes the tables. Counterpart of Figs. 3, 4, 7 and 8 of Garrod and Keating, arXiv:2410.23169, at the size
of two cores.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass, fields, replace
from functools import cache
from pathlib import Path
from time import process_time
from typing import Any, Literal

import torch
from torch import Tensor, nn

from landscape.atomic_files import atomic_write
from landscape.degeneracy.analysis import analyse
from landscape.errors import InputError
from landscape.model.objective import Objective
from landscape.model.problem import ActivationName, Problem
from landscape.points.point import CriticalPoint
from landscape.solver.run import solve
from landscape.structures.names import name
from landscape.studies.heads.capture import balanced_decay, head_point
from landscape.studies.heads.images import Images, fashion_mnist, mnist_sample
from landscape.studies.heads.standing import Lines, standing
from landscape.studies.heads.tables import HeadCurve, HeadEnd, HeadGram, HeadLine, HeadRow
from landscape.studies.tables import write_table

DATA = Path(__file__).resolve().parent.parent / "figures" / "data"
PER_CLASS = 50
STEPS = 2_000
SETTLING = 1_000  # iterations of L-BFGS that follow
RATE = 3e-3  # the largest of the one-cycle schedule
RECORDS = 40  # rows of a training curve
AT_KINK = 1e-3  # of the root mean square of a layer's pre-activations: what is closer to zero is next to a kink
SEARCHED = 100  # starts of the search for critical points without a closed form
FEWER = 20  # the same where every run has a model of its own, whose losses bound nothing


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
    decayed: Literal["features", "network"] = "features"
    feature_init: float = 1.0
    head_init: float = 1.0

    @property
    def name(self) -> str:
        """The stem of the record."""
        *main, decayed, features, head = map(str, astuple(self))
        changed = [] if decayed == "features" else [decayed]
        changed += [] if self.feature_init == self.head_init == 1 else [features, head]
        return "-".join([*main, *changed])


def runs() -> Iterator[Run]:
    """Yields the committed runs: widths by seeds, then one factor changed at a time."""
    shallow, deep = Run(depth=2, decay=1e-3), Run(depth=3, decay=5e-3)
    main = [replace(setting, width=width) for setting in (shallow, deep) for width in (16, 64, 200)]
    changed = [replace(shallow, data="mnist", width=width) for width in (16, 64, 200)]
    changed += [replace(deep, data="mnist")]
    changed += [replace(setting, **change) for setting in (shallow, deep) for change in ({"backbone": "cnn"}, {"init": 3.0})]
    changed += [Run(activation="relu", depth=4, decay=2e-3)]
    changed += [replace(setting, decayed="network") for setting in (shallow, deep)]
    changed += [replace(shallow, data=data, width=200, feature_init=0.1, head_init=6.0) for data in ("fashion", "mnist")]
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
        last = net[len(body) - 1]
        assert isinstance(last, nn.Linear)
        last.weight.mul_(run.feature_init)
        last.bias.mul_(run.feature_init)
        for part in head:
            if isinstance(part, nn.Linear):
                part.weight.mul_(run.head_init)
    places = range(len(body), len(net))
    return net, [str(place) for place in places if isinstance(net[place], nn.Linear)]


def decays(run: Run) -> tuple[float, ...]:
    """Returns lambda_H, which is lambda_W divided by the images of a class, and the decay of each layer of the head."""
    return (run.decay / PER_CLASS, *(run.decay,) * run.depth)


def model(run: Run) -> Problem:
    """Returns the model of a run's head, with decay on the features."""
    return Problem.balanced(10, PER_CLASS, run.width, run.depth, decays(run), "ce", run.activation)


def loss_of(run: Run, net: nn.Sequential, head: list[str], images: Images) -> Tensor:
    """Returns the mean cross-entropy with the decays of the features and of the head, or of all parameters."""
    if run.decayed == "network":
        squares = torch.cat([part.flatten() for part in net.parameters()]).square().sum()
        return nn.functional.cross_entropy(net(images.pixels), images.labels) + run.decay / 2 * squares
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
    """Returns the head with its features; where these have no decay, with the one that balances them with the first layer."""
    lambdas = decays(run)
    if run.decayed == "network":
        lambdas = (balanced_decay(net, head, images.pixels, run.decay), *lambdas[1:])
    return head_point(net, head, images.pixels, images.labels, lambdas, run.activation)


def recorded(run: Run, net: nn.Sequential, head: list[str], images: Images, step: int) -> dict[str, Any]:
    """Returns a row of the curve."""
    point = at(run, net, head, images)
    values = [torch.linalg.svdvals(matrix)[:10].tolist() for matrix in (point.class_logits, point.factors()["W_1"])]
    loss = point.loss if run.decayed == "features" else loss_of(run, net, head, images).item()
    return {"step": step, "loss": loss, "logits": values[0], "first_layer": values[1]}


def moved(start: CriticalPoint, end: CriticalPoint) -> float:
    """Returns how far a flow went, in units of the norm of the parameters."""
    return float((end.theta - start.theta).norm() / start.theta.norm())


def flowed(point: CriticalPoint) -> CriticalPoint:
    """Returns where the flow of a head leads: the model's own way on from there."""
    return solve(point.problem, point)


def kinks(point: CriticalPoint) -> int | None:
    """Returns how many hidden pre-activations are next to zero, where a rectifier has no derivative; None for linear heads."""
    return None if point.problem.is_linear else sum(int((signal.abs() <= AT_KINK).sum()) for signal in hidden(point))


def dead(point: CriticalPoint) -> int | None:
    """Returns how many hidden units are closed, or next to it, on every sample; None for linear heads."""
    return None if point.problem.is_linear else sum(int((signal <= AT_KINK).all(1).sum()) for signal in hidden(point))


def hidden(point: CriticalPoint) -> list[Tensor]:
    """Returns the pre-activations of every hidden layer, a row per unit, over their root mean square."""
    signals = Objective.of(point.problem, point.theta).preactivations(point.theta)[:-1]
    return [signal / signal.square().mean().sqrt() for signal in signals]


def own_prediction(run: Run, images: Images) -> str:
    """Returns the structure that the model reaches from the features and the head of the network before it is trained."""
    if run.decayed == "network" or run.activation == "relu":
        return ""
    return analyse(flowed(at(run, *network(run, images.pixels.shape[-1]), images))).structure


def followed(run: Run, images: Images, saved: Path) -> dict[str, Any]:
    """Trains one network, follows the flow of its head from three stages, and saves the head as a point."""
    start = process_time()
    predicted = own_prediction(run, images)
    net, head = network(run, images.pixels.shape[-1])
    curve = trained(run, net, head, images)
    halfway = at(run, net, head, images)
    curve += settled(run, net, head, images)
    point = at(run, net, head, images)
    point.save(saved)
    lines = searched(point.problem) if run.decayed == "features" else searched(point.problem, FEWER)
    stands, end = standing(point, lines), flowed(point)
    report, bound = analyse(end), stands.best if run.decayed == "features" else None
    row = HeadRow(
        **asdict(run),
        start_flow=predicted,
        adam_loss=curve[RECORDS]["loss"],
        adam_rank=standing(halfway, Lines(halfway.problem, ())).rank,
        adam_moved=moved(halfway, flowed(halfway)),
        loss=curve[-1]["loss"],
        gradient_norm=point.gradient_norm,
        rank=stands.rank,
        best_known=bound.structure if bound else "",
        best_loss=bound.loss if bound else None,
        nearest=stands.nearest.structure if stands.nearest else "",
        cosine=stands.nearest.cosine if stands.nearest else None,
        end=report.structure,
        end_loss=end.loss,
        end_cosine=next((line.cosine for line in stands.lines if abs(line.loss - end.loss) <= 1e-7 * end.loss), None),
        index=report.index,
        nullity=report.nullity,
        kinks=kinks(point),
        dead=dead(point),
        moved=moved(point, end),
        core_seconds=round(process_time() - start, 1),
    )
    return {"row": asdict(row), "curve": curve, "gram": gram(point).tolist()}


@cache
def searched(problem: Problem, starts: int = SEARCHED) -> Lines:
    """Returns the known critical points of the model of a head, those of a search too."""
    return Lines.of(problem, starts=starts)


def gram(point: CriticalPoint) -> Tensor:
    """Returns the cosines between the class means of the features, about their common mean."""
    problem = point.problem
    means = point.factors()["H_1"].reshape(problem.width, problem.classes, PER_CLASS).mean(2)
    centred = means - means.mean(1, keepdim=True)
    unit = centred / centred.norm(dim=0, keepdim=True)
    return unit.mT @ unit


def ends(folder: Path) -> Iterator[HeadEnd]:
    """Yields the logits of the critical points that the figure of spectra shows, as far as their runs are done."""
    for run in (Run(depth=2, decay=1e-3), Run(depth=3, decay=5e-3)):
        path = folder / f"{run.name}.safetensors"
        if path.exists():
            logits = flowed(CriticalPoint.load(path)).class_logits.tolist()
            yield from (HeadEnd(run.name, i, j, value) for i, line in enumerate(logits) for j, value in enumerate(line))


def tables(records: list[dict[str, Any]], folder: Path) -> None:
    """Writes the rows of all runs, the curves and cosines of the first seeds, and the ends that are drawn."""
    if drawn := list(ends(folder)):
        write_table(drawn, DATA / "real-networks-ends.csv")
    rows = [HeadRow(**{field.name: record["row"].get(field.name) for field in fields(HeadRow)}) for record in records]
    write_table(rows, DATA / "real-networks.csv")
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
    settings = {(run.depth, run.decay): searched(model(replace(run, width=64))) for run, _ in first if run.activation == "linear"}
    lines = [HeadLine(*setting, name(point.kind), point.loss) for setting, known in settings.items() for point in known.known]
    if lines:
        write_table(lines, DATA / "real-networks-lines.csv")


@cache
def images_of(data: str, folder: str | None = None) -> Images:
    """Returns the images of a data set that all runs share, at half their size, with mean 0 and variance 1."""
    found = mnist_sample() if data == "mnist" else fashion_mnist(folder) if folder else fashion_mnist()
    chosen = found.balanced(PER_CLASS).halved()
    return Images((chosen.pixels - chosen.pixels.mean()) / chosen.pixels.std(), chosen.labels)


def renamed(run: Run, record: dict[str, Any], images: Images, saved: Path) -> dict[str, Any]:
    """Returns the record with the names that the library has today for a start and an end that had none; nothing is trained."""
    row = dict(record["row"])
    if row["start_flow"].startswith("unnamed"):
        row["start_flow"] = own_prediction(run, images)
    if row["end"].startswith("unnamed"):
        row["end"] = analyse(flowed(CriticalPoint.load(saved))).structure
    if run.activation == "relu":
        point = CriticalPoint.load(saved)
        row["kinks"], row["dead"] = kinks(point), dead(point)
    if row["best_known"].startswith("unnamed"):
        row["best_known"] = name(searched(model(run)).known[0].kind)
    if row["nearest"].startswith("unnamed"):
        point = CriticalPoint.load(saved)
        found = standing(point, searched(point.problem, SEARCHED if run.decayed == "features" else FEWER)).nearest
        assert found is not None
        row["nearest"], row["cosine"] = found.structure, found.cosine
    return record | {"row": row}


def recorded_run(run: Run, folder: Path, images: str | None, rename: bool = False) -> dict[str, Any]:
    """Returns the record of a run, after training it if there is none yet, and naming it anew if that is asked for."""
    path, saved = folder / f"{run.name}.json", folder / f"{run.name}.safetensors"
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    kept = json.dumps(record)
    if not record:
        record = followed(run, images_of(run.data, images), saved)
    elif rename:
        record = renamed(run, record, images_of(run.data, images), saved)
    if json.dumps(record) != kept:
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(record))
    return record


def main() -> int:
    """Trains what is missing, and writes the tables unless one run alone was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="Where the records are and go.")
    parser.add_argument("--images", help="Folder of Fashion-MNIST, if the Debian package is unpacked elsewhere.")
    parser.add_argument("--only", type=int, help="Number of one run, from 0, as a task of an array; no tables are written.")
    parser.add_argument("--rename", action="store_true", help="Name anew, without training, what the records have no name for.")
    given = parser.parse_args()
    torch.set_num_threads(1)
    todo = list(enumerate(runs()))
    records: list[dict[str, Any]] = []
    try:
        if given.only is not None and not 0 <= given.only < len(todo):
            raise InputError(f"expected --only between 0 and {len(todo) - 1}, got {given.only}")
        given.folder.mkdir(parents=True, exist_ok=True)
        for number, run in todo if given.only is None else [todo[given.only]]:
            records.append(recorded_run(run, given.folder, given.images, given.rename))
            row = records[-1]["row"]
            print(
                f"{number + 1}/{len(todo)} {run.name}: loss {row['loss']:.6f}, flows to {row['end']}, moved {row['moved']:.3f}",
                flush=True,
            )
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:  # a run that was stopped leaves the tables of what is done
        if records and given.only is None:
            tables(records, given.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
