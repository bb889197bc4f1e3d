"""What `landscape spectrum --method slq` and `--method pyhessian` print: estimates, which are not counts."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from landscape.cli import DONE
from landscape.cli.options import ProblemOptions, RootChoice
from landscape.cli.output import print_json, print_table
from landscape.cli.sources import analysed, placed

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.model.problem import Problem

PROBES, STEPS, PEER_STEPS = 10, 80, 40


def print_estimates(
    points: tuple[Path, ...],
    model: ProblemOptions,
    start: str | None,
    root: RootChoice,
    method: Literal["slq", "pyhessian"],
    device: str,
    json: bool,
) -> int:
    """Prints the estimate at every point."""
    show = _quadrature if method == "slq" else _peer
    results = []
    for point in points or (None,):
        problem, theta = placed(point, model, start, root, device)
        report = None if method == "slq" else analysed(point, model, start, root, "auto", device)
        results.append(show(problem, theta, report.spectrum if report else None, json))
    if json:
        print_json(results[0] if len(results) == 1 else {"reports": results})
    return DONE


def _quadrature(model: "Problem", theta: "Tensor", _: object, quiet: bool) -> dict[str, object]:
    from landscape.curvature.spectra.density import Quadrature
    from landscape.degeneracy.estimates import estimate_spectrum

    found = estimate_spectrum(model, theta, Quadrature(PROBES, STEPS))
    if not quiet:
        print(f"# estimate from {PROBES} probes of {STEPS} Lanczos steps, {model}")
        size = model.parameters
        rows = [(f"{atom.location:.9e}", f"{size * atom.fraction:.1f} +- {size * atom.error:.1f}") for atom in found.atoms]
        print_table([("eigenvalue", "multiplicity"), *rows], numbers=(0, 1))
        print(f"# within {found.nullity.cutoff:.1e} of 0: {found.nullity.mean:.1f} +- {found.nullity.error:.1f}")
        print(f"# trace {found.trace.mean:.6g} +- {found.trace.error:.1g}")
    return found.as_dict()


def _peer(model: "Problem", theta: "Tensor", spectrum: object, quiet: bool) -> dict[str, object]:
    from landscape.curvature.spectra.density import Quadrature
    from landscape.curvature.spectra.spectrum import Spectrum
    from landscape.degeneracy.estimates import beside_pyhessian

    known = spectrum if isinstance(spectrum, Spectrum) else None
    rows = beside_pyhessian(model, theta, known, Quadrature(PROBES, PEER_STEPS))
    if not quiet:
        print(f"# PyHessian 0.1 (repaired) beside all eigenvalues, {model}")
        lines = [("", "PyHessian", "error", "landscape")]
        for row in rows:
            error, ours = ("-" if row.error is None else f"{row.error:.1e}"), ("-" if row.ours is None else f"{row.ours:.9g}")
            lines.append((row.name, f"{row.pyhessian:.9g}", error, ours))
        print_table(lines, numbers=(1, 2, 3))
    return {"method": "pyhessian", "parameters": model.parameters, "comparison": [asdict(row) for row in rows]}
