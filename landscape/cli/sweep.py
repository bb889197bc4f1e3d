"""`landscape sweep`: the jobs of a grid, here, on workers of this machine, of a scheduler, or of SLURM."""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.options import JsonFlag, whole_number
from landscape.cli.output import print_json, print_lines, warn
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.sweep.grid import Grid
    from landscape.sweep.run import SweepProgress
    from landscape.sweep.settings import EngineSettings

_SHOWN = 10  # jobs of --dry-run, failures at the end
_MINUTE = 60.0  # seconds between the lines of a sweep whose output is no terminal
_BARS = 6  # structures that have a bar of their own


def sweep(
    grid: Annotated[Path, Parameter(help="TOML file of the jobs.")],
    *,
    out: Annotated[Path, Parameter(help="Folder of the records; what it has is not computed again.")],
    engine: Annotated[str | None, Parameter(help="local, slurm, or the address of a scheduler, tcp://HOST:PORT.")] = None,
    workers: Annotated[int | None, Parameter(converter=whole_number, help="Processes; 0 computes in this one.")] = None,
    device: Annotated[Literal["cpu", "cuda"] | None, Parameter(help="Where the workers compute.")] = None,
    timeout: Annotated[float | None, Parameter(help="Seconds after which a job counts as hanging.")] = None,
    dry_run: Annotated[bool, Parameter(negative="", help="Print the jobs, their number and their cost; compute nothing.")] = False,
    json: JsonFlag = False,
) -> int:
    """Compute the jobs of a grid that have no record in OUT yet.

    Options go before the grid's own engine section. Ctrl-C lets the jobs under way finish, a second one ends at once; the same
    command goes on from there, and tries what failed again. Exit code 1 if jobs failed or are left.
    """
    from landscape.sweep.grid import read_grid
    from landscape.sweep.settings import overridden
    from landscape.sweep.watchdog import ENVIRONMENT

    described = read_grid(grid)
    settings = overridden(described.engine, engine=engine, workers=workers, device=device, timeout=timeout)
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)  # before torch is loaded, for what is computed here
    settings = _on_this_machine(settings)
    if dry_run:
        return _dry_run(described, settings, out, json)
    if settings.memory is not None and settings.workers == 0:
        warn(f"memory = {settings.memory!r} is a limit of workers: with --workers 0 there is none")

    from landscape.sweep.run import run_sweep as run

    with _progress() as watch:
        try:
            tally = run(described, out, settings, watch)
        except KeyboardInterrupt:
            warn(f"interrupted: what had finished is in {out}, and the same command goes on from there")
            return NOT_AS_ASKED
    return _report(tally, out, json)


def _on_this_machine(settings: "EngineSettings") -> "EngineSettings":
    """Returns the settings with a worker for every share of the devices here; workers elsewhere look for their own.

    Raises:
        InputError: If there are too few devices, or nobody would compute.
    """
    if settings.workers == 0 and settings.kind != "local":
        raise InputError(f"expected workers for --engine {settings.kind}, got 0: --engine local computes in this process")
    if settings.device == "cpu" or settings.kind != "local":
        return settings
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if settings.gpus and settings.workers is None:
        settings = replace(settings, workers=max(there // settings.gpus, 1))
    wanted = max(settings.gpus * (settings.workers or 1), 1)
    if there < wanted:
        raise InputError(f"expected {wanted} CUDA devices on this machine for --device cuda, got {there}: use --device cpu")
    return settings


def _dry_run(grid: "Grid", settings: "EngineSettings", out: Path, json: bool) -> int:
    from landscape.archive.records import Archive
    from landscape.plain_file import Damaged
    from landscape.sweep.census import Census
    from landscape.sweep.planner import FACTOR

    census = Census(grid)
    if (archive := Archive.planned(out.absolute())) is not None:
        for digest in filter(census.__contains__, archive.names()):
            with suppress(Damaged):
                archive.read(digest)
                census.find(digest)
        if census.missing:
            archive.require_writable()
    seconds, workers = census.work(), max(settings.workers or 1, 1)
    cost = f"about {_duration(seconds)} of one core, {_duration(seconds / workers)} on {workers}, within a factor of {FACTOR:g}"
    if json:
        facts = {
            "combinations": grid.combinations,
            "jobs": census.jobs,
            "missing": census.missing,
            "core_seconds": round(seconds, 1),
        }
        print_json({**facts, "digests": [job.digest for job in grid.jobs()]})
        return DONE
    for job in islice(grid.jobs(), _SHOWN):
        print(f"{job.digest[:12]}  {job}")
    if census.jobs > _SHOWN:
        print(f".. {census.jobs - _SHOWN} more")
    print_lines(
        [
            ("combinations", str(grid.combinations)),
            ("jobs", f"{census.jobs}, {census.jobs - census.missing} with a record"),
            ("cost", cost),
        ]
    )
    return DONE


def _report(tally: "SweepProgress", out: Path, json: bool) -> int:
    facts: dict[str, Any] = {
        "jobs": tally.jobs,
        "found": tally.found,
        "computed": tally.done,
        "failed": len(tally.failed),
        "left": tally.left,
        "damaged": len(tally.damaged),
        "seconds": round(tally.seconds, 3),
        "work_seconds": round(tally.work, 3),
    }
    if json:
        print_json({**facts, "structures": dict(tally.structures), "failures": tally.failed, "out": str(out)})
    else:
        print_lines([(name.replace("_", " "), str(value)) for name, value in facts.items()])
    for digest, fault in list(tally.damaged.items())[:_SHOWN]:
        warn(f"the record {digest[:12]} was refused and computed again: {fault}")
    for digest, reason in list(tally.failed.items())[:_SHOWN]:
        warn(f"failed {digest[:12]}: {reason}")
    if tally.stopped:
        warn(f"{tally.stopped}: {tally.left} jobs left; the same command goes on from there")
    elif tally.failed:
        warn(f"{len(tally.failed)} of {tally.jobs} jobs failed, why is in {out / 'failures'}; the same command tries again")
    return NOT_AS_ASKED if tally.failed or tally.left else DONE


@contextmanager
def _progress() -> "Iterator[Callable[[SweepProgress], None]]":
    """Yields a watcher: bars on a terminal, a plain line a minute elsewhere."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[state]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {"jobs": bars.add_task("jobs", total=None, state="")}
        announced = False

        def watch(tally: "SweepProgress") -> None:
            nonlocal announced
            if tally.dashboard and not announced:
                bars.console.print(f"dashboard: {tally.dashboard}")
                announced = True
            finished = tally.found + tally.done + len(tally.failed)
            bars.update(tasks["jobs"], total=tally.jobs, completed=finished, state=_state(tally))
            for name, count in _most_frequent(tally.structures):
                if name not in tasks:
                    tasks[name] = bars.add_task(name, total=tally.jobs, state="")
                bars.update(tasks[name], completed=count, total=max(tally.done, 1))

        yield watch


def _lines() -> "Callable[[SweepProgress], None]":
    last, announced, awaited = time.monotonic(), False, ""

    def watch(tally: "SweepProgress") -> None:
        nonlocal last, announced, awaited
        if tally.dashboard and not announced:
            warn(f"dashboard: {tally.dashboard}")
            announced = True
        if tally.awaited not in ("", awaited):
            awaited = tally.awaited
            warn(f"waiting for {awaited}")
        if time.monotonic() - last >= _MINUTE:
            last = time.monotonic()
            found = [f"{name} {count}" for name, count in _most_frequent(tally.structures)]
            warn(", ".join([f"{tally.found + tally.done} of {tally.jobs} jobs", _state(tally), *found]))

    return watch


def _most_frequent(structures: Counter[str]) -> list[tuple[str, int]]:
    return structures.most_common(_BARS)


def _state(tally: "SweepProgress") -> str:
    if tally.awaited:
        return f"waiting for {tally.awaited}"
    rate = tally.done / tally.seconds if tally.seconds > 0 else 0.0
    left = tally.remaining / max(tally.workers, 1)
    return f"{rate:.1f} jobs/s, {len(tally.failed)} failed, {tally.workers} workers, about {_duration(left)} left"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
