"""`landscape prevalence`: where many random starts end, with intervals, in a folder that can be continued."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.output import print_json, warn
from landscape.cli.sources import (
    ActivationChoice,
    ClassesNumber,
    DecayText,
    DepthNumber,
    DeviceText,
    JsonFlag,
    LossChoice,
    SamplesNumber,
    SizesText,
    SwapText,
    WidthNumber,
    check_steps,
    checked_device,
    given_problem,
    given_sizes,
    whole_number,
)
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.solver.pool import BatchMethod
    from landscape.studies.prevalence import Prevalence, Study


def prevalence(
    *,
    out: Annotated[Path, Parameter(help="Folder of the records and end points; an interrupted run goes on from it.")],
    classes: ClassesNumber = None,
    samples: SamplesNumber = None,
    class_sizes: SizesText = None,
    width: WidthNumber = None,
    depth: DepthNumber = None,
    decay: DecayText = None,
    loss: LossChoice = None,
    activation: ActivationChoice = None,
    seeds: Annotated[int, Parameter(converter=whole_number, help="Random starts: seeds 0 .. SEEDS-1.")] = 100,
    init_scale: Annotated[str, Parameter(help="c_W,c_H of the random starts.")] = "1,1",
    method: Annotated[Literal["ptc", "gd"], Parameter(help="Implicit gradient flow, or plain descent (the paper's).")] = "ptc",
    learning_rate: Annotated[float, Parameter(help="Of gd, the same at every step.")] = 0.5,
    max_steps: Annotated[int | None, Parameter(converter=whole_number, help="Of the method; its own default otherwise.")] = None,
    handover: Annotated[float | None, Parameter(help="Gradient norm where Newton's polish takes over (default 1e-10).")] = None,
    narrower_than: Annotated[float | None, Parameter(help="Stop once the interval of P(DNC) is at most this wide.")] = None,
    batch: Annotated[int | None, Parameter(converter=whole_number, help="Starts at once; the counts do not depend on it.")] = None,
    swap: SwapText = None,
    scores: Annotated[
        bool, Parameter(negative="", help="Score every pair of classes at each start, beside where it ended.")
    ] = False,
    device: DeviceText = "cpu",
    json: JsonFlag = False,
) -> int:
    """Follow many random starts to critical points, name each and count.

    With --swap one part of every start is replaced and everything else stays bit for bit: features:anew is the placebo of
    features:identity or features:width=150. Every end point is saved in OUT/points and can be given to landscape degeneracy. The
    same command with more seeds goes on where the last one stopped. Exit code 1 if seeds did not converge or it was interrupted.
    """
    from landscape.structures.notation import parse_scales
    from landscape.studies.prediction.scores import check_scorable, scored
    from landscape.studies.prevalence import Study, measure_prevalence
    from landscape.studies.starts.swap import parse_swap

    problem = given_problem(given_sizes(classes, samples, class_sizes), width, depth, decay, loss, activation)
    changes = None if swap is None else parse_swap(swap)
    scales = parse_scales(init_scale)
    if scores:
        check_scorable(problem, scales)
    study = Study(problem, *scales, _method(method, learning_rate, max_steps, handover), changes)
    device = checked_device(device)
    with _progress(seeds) as watch:
        try:
            result = measure_prevalence(study, seeds, out, narrower_than=narrower_than, size=batch, device=device, watch=watch)
        except KeyboardInterrupt:
            warn(f"interrupted: the seeds that had arrived are in {out}, and the same command goes on from there")
            return NOT_AS_ASKED
    known = scored(result) if scores else None
    if json:
        print_json({**result.as_dict(), **({} if known is None else {"scores": known}), "out": str(out)})
    else:
        _print(study, result)
        if known is not None:
            _print_scores(known)
    if result.non_converged:
        warn(f"{result.non_converged} of {len(result.ends)} seeds did not converge: {_outcomes(result)}")
    return NOT_AS_ASKED if result.non_converged else DONE


def _method(name: Literal["ptc", "gd"], learning_rate: float, max_steps: int | None, handover: float | None) -> "BatchMethod":
    from dataclasses import replace

    from landscape.solver.methods import GradientDescent, PseudoTransient

    check_steps(learning_rate, max_steps)
    if handover is not None and not 0 < handover < float("inf"):
        raise InputError(f"expected a positive finite --handover, got {handover:g}")
    settings: BatchMethod = PseudoTransient() if name == "ptc" else GradientDescent(learning_rate)
    if max_steps is not None:
        settings = replace(settings, max_steps=max_steps)
    return settings if handover is None else replace(settings, tolerance=handover)


def _print(study: "Study", result: "Prevalence") -> None:
    counts, seeds = result.counts, len(result.ends)
    examples = {label: end for label, end in zip(result.labels, result.ends, strict=True) if end.converged}
    table = [["structure", "count", "share", "95 % interval", "rank", "loss", "index", "nullity", "orbit"]]
    for name in {**counts, "DNC": 0}:
        low, high = result.interval(name)
        count, end = counts.get(name, 0), examples.get(name)
        facts = ["-"] * 5
        if end is not None:
            whole = (end.rank, end.index, end.nullity, end.orbit_dimension)
            rank, *rest = ("undecided" if value is None else str(value) for value in whole)
            facts = [rank, f"{end.loss:.10f}", *rest]
        table.append([name, str(count), f"{count / seeds:.3f}", f"{low:.3f} .. {high:.3f}", *facts])
    table.append(["not converged", str(result.non_converged), f"{result.non_converged / seeds:.3f}", *["-"] * 6])
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    print(f"{study.problem}, {seeds} seeds, c_W={study.weight_scale:g}, c_H={study.feature_scale:g}")
    if study.swap is not None:
        print(f"swapped: {study.swap.describe()}")
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _print_scores(known: "dict[str, Any]") -> None:
    print(f"largest pair score of each start, in standard deviations; the formula's boundary is at {known['boundary']:.2f}")
    for row in known["per_seed"]:
        first, second = row["pair"]
        print(f"  seed {row['seed']}  {row['score']:.2f}  classes {first} and {second}  {row['structure']}")
    if known["auc"] is None:
        print("area under the ROC curve: none, since all starts did the same")
    else:
        low, high = known["auc_interval"]
        print(f"area under the ROC curve of missing DNC: {known['auc']:.3f} ({low:.3f} .. {high:.3f})")


def _outcomes(result: "Prevalence") -> str:
    found: dict[str, int] = {}
    for end in result.ends:
        if not end.converged:
            found[end.outcome.lower()] = found.get(end.outcome.lower(), 0) + 1
    return ", ".join(f"{count} {name}" for name, count in found.items())


@contextmanager
def _progress(seeds: int) -> "Iterator[Callable[[Prevalence], None]]":
    """Yields a watcher that shows the counts so far; silent when stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield lambda so_far: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[state]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("seeds", total=seeds, state="")

        def watch(so_far: "Prevalence") -> None:
            shown = {**so_far.counts, **({"not converged": so_far.non_converged} if so_far.non_converged else {})}
            progress.update(task, completed=len(so_far.ends), state="  ".join(f"{name} {count}" for name, count in shown.items()))

        yield watch
