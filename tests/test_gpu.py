"""On a CUDA device: the same numbers as on the CPU, from the kernels to the commands. Skipped where there is none."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import landscape as ls
from landscape.cli import run
from landscape.curvature.counting.quotient import null_evidence
from landscape.curvature.operators.operator import Product
from landscape.decomposition import singular_vectors
from landscape.model.objective import Objective
from landscape.solver.starts import random_start
from landscape.sweep.grid import parse_grid
from landscape.sweep.run import run_sweep
from landscape.sweep.settings import EngineSettings

DEVICE = "cuda"
SMALL = "K=4,n=2,d=6,L=2,decay=2**-8"
pytestmark = pytest.mark.gpu


def assert_equal(near: Tensor, far: Tensor, relative: float = 1e-12) -> None:
    """Says whether two results are equal, and the second one on the device."""
    assert far.device.type == torch.device(DEVICE).type
    assert far.dtype == torch.float64
    assert float((far.cpu() - near).norm()) <= relative * float(near.norm())


@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_loss_gradient_and_products(loss: str, activation: str) -> None:
    problem = ls.Problem.parse(f"K=4,n=3,d=12,L=3,decay=1e-2,loss={loss},activation={activation}")
    start = random_start(problem, ls.Random(1.0, 1.0, 0))
    block = torch.randn(problem.parameters, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def found(device: str) -> list[Tensor]:
        theta = start.to(device)
        objective = Objective.of(problem, theta)
        operator = Product(objective.linearize(theta), theta)
        return [*objective.value_and_gradient(theta), operator @ block.to(device), operator @ block[:, :1].to(device)]

    for near, far in zip(found("cpu"), found(DEVICE), strict=True):
        assert_equal(near, far)


def test_singular_vectors_are_orthonormal_to_rounding() -> None:
    """At collapse the values come in groups of equal ones, where Jacobi's method, the default of torch here, ends early."""
    problem = ls.Problem.parse("K=10,n=5,d=512,L=3,decay=2**-10")
    theta = ls.place(problem, ls.Collapse(), gauge=1).theta.to(DEVICE)
    _, below, above, _ = Objective.of(problem, theta).split(theta)
    left, values, right = singular_vectors(torch.cat([below, above.mT], dim=1))
    identity = torch.eye(problem.width, dtype=theta.dtype, device=DEVICE)
    assert float((left.mT @ left - identity).abs().max()) < 1e-13
    assert float((left * values @ right - torch.cat([below, above.mT], dim=1)).norm()) < 1e-13 * float(values.norm())


def test_the_tangent_space_of_a_wide_model_is_null_to_rounding() -> None:
    problem = ls.Problem.parse("K=10,n=5,d=512,L=3,decay=2**-10")
    theta = ls.place(problem, ls.Collapse(), gauge=1).theta.to(DEVICE)
    operator = Product(Objective.of(problem, theta).linearize(theta), theta)
    assert null_evidence(operator, ls.orbit_projector(problem, theta, 1e-9), seed=0).radius < 1e-14


@pytest.mark.parametrize("method", ["auto", "reduction", "dense", "inertia", "quotient", "deflated", "lowrank", "lanczos"])
@pytest.mark.parametrize("kind", ["dnc", "pairs"])
def test_every_method_counts_the_same(kind: str, method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    point = ls.place(ls.Problem.parse(SMALL), ls.Collapse() if kind == "dnc" else ls.Pairs(), gauge=1)
    point.save(path := tmp_path / "point.safetensors")

    def counted(device: str) -> dict[str, Any]:
        assert run(["degeneracy", str(path), "--method", method, "--device", device, "--json"]) == 0
        return dict(json.loads(capsys.readouterr().out))

    near, far = counted("cpu"), counted(DEVICE)
    assert [far[key] for key in ("nullity", "index", "structure")] == [near[key] for key in ("nullity", "index", "structure")]


@pytest.mark.parametrize("method", ["reduction", "dense", "lowrank", "slq", "pyhessian"])
def test_the_spectrum(method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ls.place(ls.Problem.parse(SMALL), ls.Collapse()).save(path := tmp_path / "point.safetensors")
    tables = []
    for device in ("cpu", DEVICE):
        table = tmp_path / f"{device}.csv"
        command = ["spectrum", str(path), "--method", method, "--out", str(table), "--device", device]
        assert run(command) == 0, capsys.readouterr().err
        tables.append(table.read_text().splitlines())
    assert len(tables[1]) > 1
    assert tables[0][0] == tables[1][0]  # numbers of estimates differ with the draws of the device


def test_solve_starts_and_ends_on_the_device(tmp_path: Path) -> None:
    ends = {}
    for device in ("cpu", DEVICE):
        path = tmp_path / f"{device}.safetensors"
        assert run(["solve", "--problem", SMALL, "--seed", "3", "--device", device, "--out", str(path)]) == 0
        ends[device] = ls.load(path)
    assert ends[DEVICE].gradient_norm < 1e-12
    assert ends[DEVICE].loss == pytest.approx(ends["cpu"].loss, rel=1e-12)


@pytest.mark.parametrize("method", [ls.PseudoTransient(), ls.GradientDescent(learning_rate=1.0)], ids=["ptc", "gd"])
def test_many_starts_at_once(method: Any) -> None:
    problem = ls.Problem.parse("K=4,n=2,d=20,L=2,decay=1e-2")
    near, far = (ls.prevalence(problem, seeds=24, method=method, device=device) for device in ("cpu", DEVICE))
    assert far.counts == near.counts


def test_a_batch_is_as_large_as_the_device_allows() -> None:
    """The pool asks the device how much memory is free."""
    problem = ls.Problem.parse("K=4,n=2,d=6,L=2,decay=1e-2")
    assert sum(ls.prevalence(problem, seeds=60, device=DEVICE).counts.values()) == 60


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)),
    "convolution": lambda: nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Conv1d(1, 2, 2), nn.Softplus(), nn.Flatten(), nn.Linear(4, 3)),
    "linear": lambda: nn.Sequential(nn.Linear(3, 4, bias=False), nn.Linear(4, 4, bias=False), nn.Linear(4, 3, bias=False)),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_networks(kind: str) -> None:
    def loss(device: str) -> ls.ModuleLoss:
        torch.manual_seed(0)
        net = NETWORKS[kind]().double()
        x, y = torch.randn(12, 3, dtype=torch.float64), torch.randint(0, 3, (12,))
        return ls.ModuleLoss(net.to(device), nn.functional.cross_entropy, [(x.to(device), y.to(device))], decay=1e-2)

    near, far = loss("cpu"), loss(DEVICE)
    identity = torch.eye(ls.ModuleHessian(near).size, dtype=torch.float64)
    assert_equal(ls.ModuleHessian(near) @ identity, ls.ModuleHessian(far) @ identity.to(DEVICE))
    reports = [ls.analyse(ls.polish(problem, to=1e-10).problem) for problem in (near, far)]
    assert reports[1].nullity == reports[0].nullity
    assert reports[1].index == reports[0].index
    assert [family.dimension for family in ls.symmetries(far).families] == [
        family.dimension for family in ls.symmetries(near).families
    ]


def test_slices_of_the_loss(tmp_path: Path) -> None:
    for device in ("cpu", DEVICE):
        command = ["slice", "--problem", SMALL, "--start", "dnc", "--steps", "5", "--device", device]
        assert run([*command, "--out", str(tmp_path / f"{device}.csv")]) == 0
    near, far = ((tmp_path / f"{device}.csv").read_text().splitlines() for device in ("cpu", DEVICE))
    assert len(far) == len(near)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_sweep(workers: int, tmp_path: Path) -> None:
    def swept(device: str) -> Any:
        grid = parse_grid(
            {
                "problem": {"classes": 4, "samples": 2, "width": [6, 8], "depth": 2, "decay": "2**-8"},
                "start": {"kind": ["random", "dnc"], "seed": {"from": 0, "to": 3}},
            }
        )
        run_sweep(grid, tmp_path / device, EngineSettings(workers=workers, device="cuda" if device == DEVICE else "cpu"))
        return ls.read_results(tmp_path / device)[0]

    near, far = swept("cpu"), swept(DEVICE)
    columns = ["width", "seed", "structure", "nullity", "index"]
    assert sorted(map(repr, far[columns].to_numpy().tolist())) == sorted(map(repr, near[columns].to_numpy().tolist()))
