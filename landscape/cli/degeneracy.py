"""`landscape degeneracy`: the count of flat directions, with its evidence."""

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.output import print_columns, print_json, warn
from landscape.cli.sources import (
    DeviceText,
    JsonFlag,
    MethodChoice,
    PointFiles,
    ProblemText,
    ProveFlag,
    RootText,
    StartText,
    analysed,
)


def degeneracy(
    *points: PointFiles,
    problem: ProblemText = None,
    start: StartText = None,
    root: RootText = "large",
    method: MethodChoice = "auto",
    prove: ProveFlag = False,
    device: DeviceText = "cpu",
    json: JsonFlag = False,
) -> int:
    """Count the zero, negative and positive Hessian eigenvalues of critical points, exactly.

    reduction: linear models of any width, exact; dense: all eigenvalues, up to 20 000 parameters; inertia: signs of a
    factorisation; quotient: a proof for minima; deflated: known symmetries projected out, then a certificate that nothing else is
    null; lowrank: all eigenvalues where one decay covers all parameters; lanczos: assumes nothing, slow; auto: reduction where it
    applies, else dense or lowrank by size, and deflated as a second, independent route. Routes that disagree are undecided.
    Counts of named structures and of small cores are proved in ball arithmetic, with --prove those of any linear point. A count
    that is not certain is not stated (exit code 1), and of a point that is not critical only the Hessian at the point itself is
    shown. With --json one point is an object, several are a list in "reports".
    """
    reports = [analysed(point, problem, start, root, method, device, prove) for point in points or (None,)]
    if json:
        print_json(reports[0].as_dict() if len(reports) == 1 else {"reports": [report.as_dict() for report in reports]})
    else:
        print_columns([report.rows() for report in reports])
    for report in reports:
        if not report.resolved:
            warn(report.reason)
    return DONE if all(report.resolved for report in reports) else NOT_AS_ASKED
