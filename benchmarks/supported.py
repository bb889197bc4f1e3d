"""Which modules and losses `landscape.network` multiplies right: every module of the zoo times every loss of torch.nn.

Each pair is compared with a Hessian by plain double backward, one column after the other, which shares no code with it. Every
module runs in a process of its own: one that torch kills is a row of the table.

    python -m benchmarks.supported                              all modules, in figures/data/supported-modules.csv
    python -m benchmarks.supported --part 2/8 --out two.csv     every eighth module, from the second on
    python -m benchmarks.supported --join one.csv two.csv ..    the table from all parts
"""

import argparse
import csv
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.criteria import CRITERIA
from benchmarks.zoo import MODULES, OUTPUTS
from landscape.curvature.counting.dense_and_inertia import Dense
from landscape.curvature.counting.interface import nullity
from landscape.curvature.operators.operator import dense
from landscape.errors import InputError
from landscape.network.loss import ModuleLoss
from landscape.network.operators import ModuleHessian

TABLE = Path(__file__).parent.parent / "figures" / "data" / "supported-modules.csv"
COLUMNS = ("module", "loss", "parameters", "verdict", "error", "message")
TOLERANCE = 1e-9
# torch's own second derivative of weight_norm is off by 0.2: differences of first derivatives are the truth there
BY_DIFFERENCES = {"weight_norm", "weight_norm, old"}
_DIFFERENCES = 1e-6


def truth(parameters: list[Tensor], loss: Callable[[], Tensor]) -> Tensor:
    """Returns the Hessian of a scalar by plain double backward, one row after the other."""
    first = torch.autograd.grad(loss(), parameters, create_graph=True, materialize_grads=True)
    rows = []
    for entry in torch.cat([part.reshape(-1) for part in first]):
        second: Any = [torch.zeros_like(parameter) for parameter in parameters]
        if entry.requires_grad:
            second = torch.autograd.grad(entry, parameters, retain_graph=True, materialize_grads=True)
        rows.append(torch.cat([part.reshape(-1) for part in second]))
    return torch.stack(rows).detach()


def differences(parameters: list[Tensor], loss: Callable[[], Tensor]) -> Tensor:
    """Returns the Hessian of a scalar by central differences of gradients, one column after the other."""

    def slope(index: int, place: int, step: float) -> Tensor:
        with torch.no_grad():
            parameters[index].view(-1)[place] += step
        result = torch.cat([part.reshape(-1) for part in torch.autograd.grad(loss(), parameters, materialize_grads=True)])
        with torch.no_grad():
            parameters[index].view(-1)[place] -= step
        return result

    columns = []
    for index, parameter in enumerate(parameters):
        for place in range(parameter.numel()):
            near = slope(index, place, 1e-4) - slope(index, place, -1e-4)
            far = slope(index, place, 2e-4) - slope(index, place, -2e-4)
            columns.append((8 * near - far) / 12e-4)
    return torch.stack(columns, dim=1)


def made(module: str, criterion: str) -> tuple[nn.Module, Any, Any, Callable[[Any, Any], Tensor]]:
    """Returns a module in evaluation mode, inputs, targets and the loss, the same at every call."""
    torch.manual_seed(7)
    build, inputs = MODULES[module]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the old weight_norm is deprecated
        net = build().double().eval()
    loss = CRITERIA[criterion].loss

    def of_outputs(outputs: Any, targets: Any) -> Tensor:
        values = outputs["logits"] if isinstance(outputs, dict) else outputs[0] if isinstance(outputs, tuple) else outputs
        return loss(values.reshape(-1, OUTPUTS), targets)

    plain = module not in ("dictionary of outputs", "tuple of outputs", "mixture of experts")
    return net, inputs(), CRITERIA[criterion].targets(), loss if plain else of_outputs


def called(net: nn.Module, inputs: Any) -> Any:
    """Returns the outputs of a module for inputs of any kind."""
    if isinstance(inputs, dict):
        return net(**inputs)
    return net(*inputs) if isinstance(inputs, tuple) else net(inputs)


def errors(operator: ModuleHessian, expected: Tensor) -> Iterator[float]:
    """Yields the relative errors of three equal products, blocks of 1, 3 and 80 columns, the trace and all eigenvalues."""
    scale = float(expected.abs().max()) or 1.0
    generator = torch.Generator().manual_seed(1)
    vector = torch.randn(operator.size, 1, generator=generator, dtype=torch.float64)
    for _ in range(3):
        yield float((operator @ vector - expected @ vector).abs().max()) / scale
    for width in (1, 3, 80):
        block = torch.randn(operator.size, width, generator=generator, dtype=torch.float64)
        yield float((operator @ block - expected @ block).abs().max()) / scale
    formed = dense(operator)
    yield float((formed.trace() - expected.trace()).abs()) / scale
    yield float((torch.linalg.eigvalsh(formed) - torch.linalg.eigvalsh((expected + expected.mT) / 2)).abs().max()) / scale


def row(module: str, criterion: str) -> tuple[str, str, str, str, str, str]:
    """Returns the row of one pair: right, wrong, refused or crash."""
    net, inputs, targets, loss = made(module, criterion)
    trained: list[Tensor] = [parameter for parameter in net.parameters() if parameter.requires_grad]
    size = str(sum(parameter.numel() for parameter in trained))
    by_differences = module in BY_DIFFERENCES
    try:
        operator = ModuleHessian(ModuleLoss(net, loss, [(inputs, targets)]))
        with sdpa_kernel(SDPBackend.MATH):
            expected = (differences if by_differences else truth)(trained, lambda: loss(called(net, inputs), targets))
        worst = max(errors(operator, expected))
        counted = nullity(operator, Dense(), 0.0)
    except InputError as refusal:
        return module, criterion, size, "refused", "", " ".join(str(refusal).split())
    except Exception as failure:
        return module, criterion, size, "crash", "", f"{type(failure).__name__}: {str(failure)[:200]}"
    limit = _DIFFERENCES if by_differences else TOLERANCE
    values = torch.linalg.eigvalsh((expected + expected.mT) / 2).abs()
    zeros = int((values <= max(counted.cutoff, limit if by_differences else 0.0)).sum())
    right = worst <= limit and (not counted.resolved or counted.count == zeros)
    return module, criterion, size, "right" if right else "wrong", f"{worst:.0e}", ""


def rows_of(module: str) -> list[list[str]]:
    """Returns the rows of one module, computed in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.supported", "--module", module],
        capture_output=True,
        text=True,
        check=False,
    )
    rows = list(csv.reader(done.stdout.splitlines()))
    rows += [[module, criterion, "", "killed", "", str(done.returncode)] for criterion in list(CRITERIA)[len(rows) :]]
    print(f"{module}: {', '.join(sorted({each[3] for each in rows}))}", file=sys.stderr)
    return rows


def joined(parts: list[Path]) -> list[list[str]]:
    """Returns the rows of all parts in the order of the zoo; refuses parts that do not make up the whole."""
    rows = [row for part in parts for row in list(csv.reader(part.open(newline="")))[1:]]
    place = {name: index for index, name in enumerate(MODULES)}
    rows.sort(key=lambda row: place[row[0]])
    expected = [(module, criterion) for module in MODULES for criterion in CRITERIA]
    if [(row[0], row[1]) for row in rows] != expected:
        raise SystemExit(f"expected {len(expected)} pairs, each once, got {len(rows)}: are all parts there?")
    return rows


def main() -> None:
    """Writes the table or a part of it, one process per module, or the rows of one module to the standard output."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", choices=list(MODULES))
    parser.add_argument("--part", default="1/1", help="i/n: every n-th module, from the i-th on")
    parser.add_argument("--join", nargs="+", type=Path, metavar="PART")
    parser.add_argument("--out", type=Path, default=TABLE)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.module:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        for criterion in CRITERIA:
            writer.writerow(row(arguments.module, criterion))
        return
    first, parts = map(int, arguments.part.split("/"))
    if parts > 1 and arguments.out == TABLE:
        parser.error("expected --out for a part, which is no whole table")
    chosen = list(MODULES)[first - 1 :: parts]
    lines = joined(arguments.join) if arguments.join else [each for module in chosen for each in rows_of(module)]
    with arguments.out.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *lines])


if __name__ == "__main__":
    main()
