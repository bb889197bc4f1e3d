"""`landscape degeneracy`: the count of flat directions, with its evidence."""

from typing import TYPE_CHECKING

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.network_points import RunSourcesFlag, analysed_network, is_network_point
from landscape.cli.options import (
    NO_PROBLEM,
    DeviceText,
    JsonFlag,
    MethodOption,
    PointFiles,
    ProblemOptions,
    ProveFlag,
    RootText,
    StartText,
)
from landscape.cli.output import print_columns, print_json, warn
from landscape.cli.progress import progress
from landscape.cli.sources import analysed, check_source
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.degeneracy.report import DegeneracyReport
    from landscape.network.report import NetworkReport


def degeneracy(
    *points: PointFiles,
    model: ProblemOptions = NO_PROBLEM,
    start: StartText = None,
    root: RootText = "large",
    method: MethodOption = "auto",
    prove: ProveFlag = False,
    run_sources: RunSourcesFlag = False,
    device: DeviceText = "cpu",
    json: JsonFlag = False,
) -> int:
    """Count the zero, negative and positive Hessian eigenvalues of critical points, exactly.

    reduction: linear models of any width, exact; dense: all eigenvalues, up to 20 000 parameters; inertia: signs of a
    factorisation; quotient: a proof for minima; deflated: known symmetries projected out, then a certificate that nothing else is
    null; recurrence: such a certificate for minima, in the memory of a few vectors; lowrank: all eigenvalues where one decay
    covers all parameters; lanczos: assumes nothing, slow; auto: reduction where it applies, else dense or lowrank by size, and
    deflated as a second, independent route. Routes that disagree are undecided. Counts of named structures and of small cores are
    proved in ball arithmetic, with --prove those of any linear point. A count that is not certain is not stated (exit code 1), and
    of a point that is not critical only the Hessian at the point itself is shown. The point of a network needs --run-sources,
    since its code is run; its methods are auto, dense, inertia, quotient and recurrence. With --json one point is an object,
    several are a list in "reports".
    """
    reports: list[DegeneracyReport | NetworkReport] = []
    with progress("count") as shown:
        for place, point in enumerate(points or (None,)):
            shown.update(place, len(points) or 1)
            check_source(point, model, start)
            if point is not None and is_network_point(point):
                if prove:
                    raise InputError("expected points of a DUFM with --prove, got that of a network: nothing is proved about those")
                reports.append(analysed_network(point, method, run_sources, device))
            else:
                reports.append(analysed(point, model, start, root, method, device, prove))
    if json:
        print_json(reports[0].as_dict() if len(reports) == 1 else {"reports": [report.as_dict() for report in reports]})
    else:
        print_columns([report.rows() for report in reports])
    for report in reports:
        if not report.resolved:
            warn(report.reason)
    return DONE if all(report.resolved for report in reports) else NOT_AS_ASKED
