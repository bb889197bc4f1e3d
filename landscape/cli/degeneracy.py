"""`landscape degeneracy`: the count of flat directions, with its evidence."""

from typing import TYPE_CHECKING

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.output import print_columns, print_json, warn
from landscape.cli.sources import (
    DeviceText,
    JsonFlag,
    MethodChoice,
    PointFiles,
    ProblemText,
    RootText,
    StartText,
    analysed,
)

if TYPE_CHECKING:
    from landscape.degeneracy_report import DegeneracyReport


def degeneracy(
    *points: PointFiles,
    problem: ProblemText = None,
    start: StartText = None,
    root: RootText = "large",
    method: MethodChoice = "auto",
    device: DeviceText = "cpu",
    json: JsonFlag = False,
) -> int:
    """Count the zero, negative and positive Hessian eigenvalues of critical points, exactly.

    reduction: linear models of any width, exact; dense: all eigenvalues, up to 20 000 parameters; inertia: signs of a
    factorisation; quotient: a proof for minima; deflated: known symmetries projected out, then a certificate that nothing else is
    null; lowrank: all eigenvalues where one decay covers all parameters; lanczos: assumes nothing, slow; auto: reduction where it
    applies, else dense or lowrank by size, and deflated as a second, independent route. Routes that disagree are undecided.
    A count that is not certain is not stated (exit code 1). With --json one point is an object, several are a list in "reports".
    """
    reports = [analysed(point, problem, start, root, method, device) for point in points or (None,)]
    if json:
        print_json(reports[0].as_dict() if len(reports) == 1 else {"reports": [report.as_dict() for report in reports]})
    else:
        print_columns([lines(report) for report in reports])
    for report in reports:
        if not report.resolved:
            warn(report.reason)
    return DONE if all(report.resolved for report in reports) else NOT_AS_ASKED


def lines(report: "DegeneracyReport") -> list[tuple[str, str]]:
    """Returns the report as name and value, in the order of a reader's questions."""
    zeros, flat = report.zeros, report.flatness
    rows = [
        ("structure", report.structure),
        ("parameters", str(report.problem.parameters)),
        ("rank", _or_unknown(report.rank)),
        ("loss", f"{report.loss:.10f}"),
        ("gradient norm", f"{report.gradient_norm:.1e}"),
        ("nullity", _or_unknown(report.nullity)),
        ("index", _or_unknown(report.index)),
        ("orbit dimension", f"{_or_unknown(report.orbit_dimension)} (formula {_or_unknown(report.orbit_formula)})"),
        ("paper dimension", f"{_or_unknown(report.paper_dimension)} (Theorem 5)"),
        ("excess", _or_unknown(report.excess)),
    ]
    if report.spectrum is not None and report.spectrum.multiplicities:
        rows += [
            ("eigenvalues", f"{float(report.spectrum.values[0]):.6e} .. {float(report.spectrum.values[-1]):.6e}"),
            ("smallest positive", "none" if report.smallest_positive is None else f"{report.smallest_positive:.6e}"),
        ]
    if flat is not None:
        rows += [
            ("spectral norm", f"{flat.spectral:.6g}"),
            ("Frobenius norm", f"{flat.frobenius:.6g} (Gauss-Newton {flat.gauss_newton_frobenius:.6g})"),
            ("trace", f"{flat.trace:.6g} (Gauss-Newton {flat.gauss_newton_trace:.6g})"),
        ]
    rows.append(("learning coefficient", _or_unknown(report.learning_coefficient)))
    metrics = report.collapse
    for name, values in (("NC1", metrics.nc1), ("NC2", metrics.nc2), ("NC3", metrics.nc3)):
        rows.append((f"{name} by layer", "  ".join("-" if value is None else f"{value:.1e}" for value in values)))
    rows.append(("balancedness", f"{metrics.balancedness:.1e}"))
    if zeros is not None:
        rows += [
            ("largest zero", f"{zeros.largest_zero:.1e}, cutoff {zeros.cutoff:.1e}"),
            ("smallest non-zero", f"{'' if zeros.sharp else 'at least '}{zeros.smallest_nonzero:.1e}, by {report.method}"),
        ]
    bent = report.kinks
    if bent is not None:
        slope = "-" if bent.smallest_slope is None else f"{bent.smallest_slope:.1e}"
        rows.append(("kinks", f"{bent.count}, smallest pre-activation {bent.smallest:.1e}"))
        rows.append(("generalised gradient", f"{bent.residual:.1e}, smallest slope across a kink {slope}"))
        if bent.manifold is not None and bent.manifold.resolved:
            rows.append(("along the kinks", f"nullity {bent.manifold.count}, index {bent.manifold.negative}"))
    second = report.second
    if second is not None:
        verdict = f"nullity {second.count}, index {_or_unknown(second.negative)}" if second.resolved else "undecided"
        rows.append(("second route", f"{second.method}: {verdict} (delta {second.delta:.1e}, {second.products} products)"))
    return rows


def _or_unknown(value: int | float | None) -> str:
    return "undecided" if value is None else f"{value}"
