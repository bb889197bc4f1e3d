"""`landscape report`: one HTML page of a point or of a folder of points, to read and to send."""

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.network_points import RunSourcesFlag, analysed_network, is_network_point
from landscape.cli.options import DeviceText, JsonFlag, MethodOption, ProveFlag, checked_device
from landscape.cli.output import check_output, print_json, print_lines, warn
from landscape.cli.progress import progress
from landscape.errors import InputError


def report(
    source: Annotated[Path, Parameter(help="A point saved by landscape, or a folder of them (landscape prevalence).")],
    *,
    out: Annotated[Path, Parameter(help="The page: .html.")],
    method: MethodOption = "auto",
    prove: ProveFlag = False,
    run_sources: RunSourcesFlag = False,
    device: DeviceText = "cpu",
    json: JsonFlag = False,
) -> int:
    """Write one self-contained HTML page: what a point is, measured beside predicted, pictures, provenance, the data as JSON.

    Of a folder it compares all points, in tables that sort. Exit code 1 if a count is undecided or a file of the folder had to
    be left out; the page says which and is written all the same.
    """
    check_output(out, (".html",))
    from landscape.degeneracy.proved import Effort
    from landscape.report.page import Examined, Folder, folder_page, point_page, printable, write_page

    device = checked_device(device)
    chosen = [*([] if method == "auto" else ["--method", method]), *(["--prove"] if prove else [])]
    effort: Effort = "any" if prove else "small"
    command = shlex.join(["landscape", "report", printable(source), "--out", printable(out), *chosen])
    if source.is_dir():
        with progress("points") as shown:
            folder = Folder.at(source, method, device, shown.update, effort)
        write_page(folder_page(folder, command), out)
        reasons = [f"{name}: {reason}" for name, reason in folder.left_out]
        reasons += [f"{each.name}: {each.report.reason}" for each in folder.points if not each.report.resolved]
        number = len(folder.points)
    elif is_network_point(source):
        from landscape.network.point_file import load_network_point
        from landscape.plain_file import file_digest
        from landscape.report.network_page import network_page

        if prove:
            raise InputError("expected points of a DUFM with --prove, got that of a network: nothing is proved about those")
        found = analysed_network(source, method, run_sources, device)
        page = network_page(
            found, load_network_point(source).sources, printable(source), file_digest(source), f"{command} --run-sources"
        )
        write_page(page, out)
        reasons, number = [found.reason] if found.reason else [], 1
    else:
        examined = Examined.at(source, method, device, effort=effort)
        write_page(point_page(examined, command), out)
        reasons, number = [examined.report.reason] if examined.report.reason else [], 1
    if json:
        print_json({"out": printable(out), "points": number, "bytes": out.stat().st_size, "reasons": reasons})
    else:
        print_lines([("out", printable(out)), ("points", str(number)), ("size", f"{out.stat().st_size / 1e3:.0f} kB")])
    for reason in reasons:
        warn(reason)
    return NOT_AS_ASKED if reasons else DONE
