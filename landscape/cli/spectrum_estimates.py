"""What `landscape spectrum --method slq` and `--method pyhessian` say: estimates, which are not counts."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from landscape.cli.options import ProblemOptions, RootChoice
from landscape.cli.output import print_table
from landscape.cli.sources import analysed, placed

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.cli.spectrum import Shown
    from landscape.curvature.spectra.sampled import SampledSpectrum
    from landscape.degeneracy.estimates import PyHessianComparison, SpectrumEstimate
    from landscape.model.problem import Problem

PROBES, STEPS, PEER_STEPS = 10, 80, 40


def estimates(
    points: tuple[Path, ...],
    model: ProblemOptions,
    start: str | None,
    root: RootChoice,
    method: Literal["slq", "pyhessian"],
    device: str,
    quiet: bool,
) -> "tuple[list[Shown], list[dict[str, object]]]":
    """Returns the estimate at every point, to be drawn and as JSON; prints it unless quiet."""
    from landscape.cli.spectrum import Shown

    shown, objects = [], []
    for point in points or (None,):
        problem, theta = placed(point, model, start, root, device)
        if method == "slq":
            sampled, told = _quadrature(problem, theta, quiet)
        else:
            sampled, told = _peer(problem, theta, point, model, start, root, device, quiet)
        name = point.stem if point is not None else f"{start}"
        shown.append(Shown(f"{name}, {method} estimate", sampled, table_rows(sampled), {"nullity": sampled.zeros.mean}))
        objects.append(told)
    return shown, objects


def _quadrature(model: "Problem", theta: "Tensor", quiet: bool) -> "tuple[SampledSpectrum, dict[str, object]]":
    from landscape.curvature.spectra.density import Quadrature
    from landscape.degeneracy.estimates import estimate_spectrum

    found = estimate_spectrum(model, theta, Quadrature(PROBES, STEPS))
    if not quiet:
        _print_quadrature(model, found)
    return found.sampled, found.as_dict()


def _print_quadrature(model: "Problem", found: "SpectrumEstimate") -> None:
    print(f"# estimate from {PROBES} probes of {STEPS} Lanczos steps, {model}")
    size = model.parameters
    rows = [(f"{atom.location:.9e}", f"{size * atom.fraction:.1f} +- {size * atom.error:.1f}") for atom in found.atoms]
    print_table([("eigenvalue", "multiplicity"), *rows], numbers=(0, 1))
    print(f"# within {found.nullity.cutoff:.1e} of 0: {found.nullity.mean:.1f} +- {found.nullity.error:.1f}")
    print(f"# trace {found.trace.mean:.6g} +- {found.trace.error:.1g}")


def _peer(
    model: "Problem",
    theta: "Tensor",
    point: Path | None,
    options: ProblemOptions,
    start: str | None,
    root: RootChoice,
    device: str,
    quiet: bool,
) -> "tuple[SampledSpectrum, dict[str, object]]":
    from landscape.curvature.spectra.density import Quadrature
    from landscape.degeneracy.estimates import beside_pyhessian

    known = analysed(point, options, start, root, "auto", device).spectrum
    rows, sampled = beside_pyhessian(model, theta, known, Quadrature(PROBES, PEER_STEPS))
    if not quiet:
        _print_peer(model, rows)
    return sampled, {"method": "pyhessian", "parameters": model.parameters, "comparison": [asdict(row) for row in rows]}


def _print_peer(model: "Problem", rows: "tuple[PyHessianComparison, ...]") -> None:
    print(f"# PyHessian 0.1 (repaired) beside all eigenvalues, {model}")
    lines = [("", "PyHessian", "error", "landscape")]
    for row in rows:
        error, ours = ("-" if row.error is None else f"{row.error:.1e}"), ("-" if row.ours is None else f"{row.ours:.9g}")
        lines.append((row.name, f"{row.pyhessian:.9g}", error, ours))
    print_table(lines, numbers=(1, 2, 3))


def table_rows(sampled: "SampledSpectrum") -> list[dict[str, object]]:
    """Returns the estimate as a table: what is near zero, resolved eigenvalues with errors, and every node of every probe.

    The multiplicity of a node is what its probe gives it; the mean over the probes estimates the density.
    """
    size, zeros = sampled.size, sampled.zeros
    rows: list[dict[str, object]] = [
        {"kind": "zeros", "eigenvalue": 0.0, "multiplicity": zeros.mean, "error": zeros.error, "probe": None}
    ]
    for atom in sampled.atoms:
        row = {"kind": "atom", "eigenvalue": atom.location, "multiplicity": size * atom.fraction, "error": size * atom.error}
        rows.append({**row, "probe": None})
    for probe, (nodes, weights) in enumerate(zip(sampled.nodes, sampled.weights, strict=True)):
        for node, weight in zip(nodes, weights, strict=True):
            rows.append({"kind": "node", "eigenvalue": node, "multiplicity": size * weight, "error": None, "probe": probe})
    return rows
