"""Half-trained weights: what is shown is true of them, and nothing of another point is shown beside the word undecided."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from landscape.cli import run
from landscape.points.point import CriticalPoint

CLASSES, SAMPLES, WIDTH, DECAY = 4, 2, 6, 1e-2


def loss(factors: list[torch.Tensor]) -> torch.Tensor:
    labels = torch.arange(CLASSES).repeat_interleave(SAMPLES)
    penalty = sum(DECAY / 2 * factor.square().sum() for factor in factors)
    return torch.nn.functional.cross_entropy((factors[2] @ factors[1] @ factors[0]).T, labels) + penalty


@pytest.fixture(scope="module", params=[100, 1000])
def imported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Plain gradient descent, stopped early, in float32."""
    draw = torch.Generator().manual_seed(0)
    shapes = ((WIDTH, CLASSES * SAMPLES, 1.0), (WIDTH, WIDTH, WIDTH**-0.5), (CLASSES, WIDTH, WIDTH**-0.5))
    factors = [scale * torch.randn(rows, columns, generator=draw, dtype=torch.float64) for rows, columns, scale in shapes]
    for _ in range(request.param):
        factors = [factor.detach().requires_grad_() for factor in factors]
        slopes = torch.autograd.grad(loss(factors), factors)
        factors = [factor - 0.5 * slope for factor, slope in zip(factors, slopes, strict=True)]
    folder = tmp_path_factory.mktemp("weights")
    arrays = (factor.detach().float().numpy() for factor in factors)
    named: dict[str, Any] = dict(zip(("H_1", "W_1", "W_2"), arrays, strict=True))
    np.savez(folder / "trained.npz", **named)
    out = folder / "point.safetensors"
    assert run(["import", str(folder / "trained.npz"), "--decay", str(DECAY), "--out", str(out)]) in (0, 1)
    return out


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[dict[str, Any], str]:
    capsys.readouterr()
    assert run([*arguments, "--json"]) == 1
    said = capsys.readouterr()
    return json.loads(said.out), said.err


def eigenvalues_at(path: Path) -> np.ndarray:
    """By torch on the loss above; no code is shared with the package but the reading of the file."""
    theta = CriticalPoint.load(path).theta
    sizes = [(WIDTH, CLASSES * SAMPLES), (WIDTH, WIDTH), (CLASSES, WIDTH)]

    def flat(point: torch.Tensor) -> torch.Tensor:
        parts = point.split([rows * columns for rows, columns in sizes])
        return loss([part.reshape(shape) for part, shape in zip(parts, sizes, strict=True)])

    return np.linalg.eigvalsh(torch.func.hessian(flat)(theta).numpy())


def test_degeneracy_and_spectrum_show_the_hessian_at_the_point(imported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report, said = told(capsys, "degeneracy", str(imported))
    assert (report["critical"], report["resolved"], report["proved"]) == (False, False, False)
    for name in ("rank", "nullity", "index", "excess", "smallest_positive", "flatness", "orbit_dimension", "near_zero"):
        assert report[name] is None, name
    assert said.count("\n") == 1
    assert said.startswith("landscape: not critical enough")
    assert "landscape solve --start FILE --out NEW" in said
    shown, _ = told(capsys, "spectrum", str(imported))
    assert shown["critical"] is False
    truth = eigenvalues_at(imported)
    for atoms in (report["spectrum"], shown["spectrum"]):
        values = np.concatenate([np.repeat(value, times) for value, times in atoms])
        np.testing.assert_allclose(values, truth, atol=1e-12)
    assert run(["spectrum", str(imported)]) == 1
    assert capsys.readouterr().out.startswith("# Hessian at the point itself: not a critical point")


def test_pictures_and_pages_say_so(imported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture, page = tmp_path / "spectrum.svg", tmp_path / "page.html"
    assert run(["spectrum", str(imported), "--plot", str(picture)]) == 1
    assert picture.exists()
    assert run(["report", str(imported), "--out", str(page)]) == 1
    text = page.read_text()
    assert "Hessian spectrum at the point itself, which is not a critical point" in text
    assert "is not a critical point" in text
    assert "Exactly" not in text


def test_a_large_model_shows_nothing_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw = torch.Generator().manual_seed(1)
    shapes = {"H_1": (50, 10), "W_1": (50, 50), "W_2": (10, 50)}
    arrays: dict[str, Any] = {name: torch.randn(shape, generator=draw).numpy() for name, shape in shapes.items()}
    np.savez(tmp_path / "wide.npz", **arrays)
    out = tmp_path / "wide.safetensors"
    assert run(["import", str(tmp_path / "wide.npz"), "--decay", "1e-2", "--out", str(out)]) in (0, 1)
    report, _ = told(capsys, "spectrum", str(out))
    assert (report["critical"], report["spectrum"]) == (False, None)
