"""`landscape report`: one HTML page of a point or of a folder of points, to read and to send."""

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.output import check_output, print_json, print_lines, warn
from landscape.cli.sources import DeviceText, JsonFlag, MethodChoice, ProveFlag, checked_device


def report(
    source: Annotated[Path, Parameter(help="A point saved by landscape, or a folder of them (landscape prevalence).")],
    *,
    out: Annotated[Path, Parameter(help="The page: .html.")],
    method: MethodChoice = "auto",
    prove: ProveFlag = False,
    device: DeviceText = "cpu",
    json: JsonFlag = False,
) -> int:
    """Write one self-contained HTML page: what a point is, measured beside predicted, pictures, provenance, the data as JSON.

    Of a folder it compares all points, in tables that sort. Exit code 1 if a count is undecided or a file of the folder had to
    be left out; the page says which and is written all the same.
    """
    check_output(out, (".html",))
    from landscape.proved import Effort
    from landscape.report import Examined, Folder, folder_page, point_page, printable, write_page

    device = checked_device(device)
    chosen = [*([] if method == "auto" else ["--method", method]), *(["--prove"] if prove else [])]
    effort: Effort = "any" if prove else "small"
    command = shlex.join(["landscape", "report", printable(source), "--out", printable(out), *chosen])
    if source.is_dir():
        with _progress() as watch:
            folder = Folder.at(source, method, device, watch, effort)
        write_page(folder_page(folder, command), out)
        reasons = [f"{name}: {reason}" for name, reason in folder.left_out]
        reasons += [f"{each.name}: {each.report.reason}" for each in folder.points if not each.report.resolved]
        number = len(folder.points)
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


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Yields a watcher of files done and files in all; silent when stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("points", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
