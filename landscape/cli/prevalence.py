"""`landscape prevalence`: where many random starts end, with intervals, in an archive that can be continued."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.options import (
    NO_PROBLEM,
    DeviceText,
    JsonFlag,
    LearningRate,
    ProblemOptions,
    StepsLimit,
    SwapText,
    checked_device,
    positive,
    whole_number,
    within,
)
from landscape.cli.output import print_json, print_table, warn
from landscape.cli.progress import progress

if TYPE_CHECKING:
    from landscape.solver.methods import BatchMethod
    from landscape.studies.prevalence import Prevalence


def prevalence(
    *,
    out: Annotated[Path, Parameter(help="Folder of the records, which are saved points; an interrupted run goes on from it.")],
    model: ProblemOptions = NO_PROBLEM,
    seeds: Annotated[int, Parameter(converter=whole_number, validator=within(1), help="Random starts: seeds 0 .. SEEDS-1.")] = 100,
    init_scale: Annotated[str, Parameter(help="c_W,c_H of the random starts.")] = "1,1",
    method: Annotated[Literal["ptc", "gd"], Parameter(help="Implicit gradient flow, or plain descent (the paper's).")] = "ptc",
    learning_rate: LearningRate = 0.5,
    max_steps: StepsLimit = None,
    handover: Annotated[
        float | None, Parameter(validator=positive, help="Gradient norm where Newton's polish takes over (default 1e-10).")
    ] = None,
    narrower_than: Annotated[
        float | None, Parameter(validator=positive, help="Stop once the interval of P(DNC) is at most this wide.")
    ] = None,
    batch: Annotated[
        int | None, Parameter(converter=whole_number, validator=within(1), help="Starts at once, not in the counts.")
    ] = None,
    swap: SwapText = None,
    scores: Annotated[
        bool, Parameter(negative="", help="Score every pair of classes at each start, beside where it ended.")
    ] = False,
    device: DeviceText = "cpu",
    json: JsonFlag = False,
) -> int:
    """Follow many random starts to critical points, name each and count.

    With --swap one part of every start is replaced and everything else stays bit for bit: features:anew is the placebo of
    features:identity or features:width=150. With --scores the start is scored at time 0, and followed to say when its end is
    decided. OUT is an archive as landscape sweep makes it: a record for every seed, which is a
    saved point too. The same command with more seeds goes on where the last one stopped. Exit code 1 if seeds did not converge or
    it was interrupted.
    """
    from landscape.archive.experiment import Experiment
    from landscape.solver.methods import Random
    from landscape.structures.notation import parse_scales
    from landscape.studies.prediction.decision import decided_as_dict, when_decided
    from landscape.studies.prediction.scores import check_scorable, scored
    from landscape.studies.prevalence import arrived, measure_prevalence
    from landscape.studies.starts.swap import altered

    problem, scales = model.build(), parse_scales(init_scale)
    if scores:
        check_scorable(problem, scales)
    experiment = Experiment(problem, altered(Random(*scales), swap), _method(method, learning_rate, max_steps, handover))
    device = checked_device(device)
    with progress("seeds") as shown:

        def watch(so_far: "Prevalence") -> None:
            counted = {**so_far.counts, **({"not converged": so_far.non_converged} if so_far.non_converged else {})}
            shown.update(len(so_far.ends), seeds, "  ".join(f"{name} {count}" for name, count in counted.items()))

        try:
            result = measure_prevalence(experiment, seeds, out, narrower_than=narrower_than, size=batch, device=device, watch=watch)
        except KeyboardInterrupt:
            return _interrupted(arrived(experiment, seeds, out), seeds, out, json)
    known = {**scored(result), "along_the_flow": decided_as_dict(when_decided(result))} if scores else None
    if json:
        print_json({**result.as_dict(), **({} if known is None else {"scores": known}), "out": str(out)})
    else:
        _print(result)
        if known is not None:
            _print_scores(known)
    if result.non_converged:
        warn(f"{result.non_converged} of {len(result.ends)} seeds did not converge: {_outcomes(result)}")
    return NOT_AS_ASKED if result.non_converged else DONE


def _method(name: Literal["ptc", "gd"], learning_rate: float, max_steps: int | None, handover: float | None) -> "BatchMethod":
    from dataclasses import replace

    from landscape.solver.methods import GradientDescent, PseudoTransient

    settings: BatchMethod = PseudoTransient() if name == "ptc" else GradientDescent(learning_rate)
    if max_steps is not None:
        settings = replace(settings, max_steps=max_steps)
    return settings if handover is None else replace(settings, tolerance=handover)


def _interrupted(so_far: "Prevalence", seeds: int, out: Path, json: bool) -> int:
    """Says what the seeds that have arrived found; the first to arrive are not like the rest, so that no share is final."""
    have = len(so_far.ends)
    if json:
        print_json({**(so_far.as_dict() if have else {"seeds": 0}), "left": seeds - have, "out": str(out)})
    elif have:
        _print(so_far)
    warn(f"interrupted: {have} of {seeds} seeds are in {out}, {seeds - have} are left; the same command goes on from there")
    return NOT_AS_ASKED


def _print(result: "Prevalence") -> None:
    from landscape.studies.prevalence import random_of

    start = random_of(result.experiment)
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
    print(f"{result.experiment.problem}, {seeds} seeds, c_W={start.weight_scale:g}, c_H={start.feature_scale:g}")
    if changes := result.as_dict().get("swap"):
        print(f"swapped: {changes['change']}")
    print_table(table)


def _print_scores(known: dict[str, Any]) -> None:
    print(f"largest pair score of each start, in standard deviations; the formula's boundary is at {known['boundary']:.2f}")
    for row in known["per_seed"]:
        first, second = row["pair"]
        print(f"  seed {row['seed']}  {row['score']:.2f}  classes {first} and {second}  {row['structure']}")
    if known["auc"] is None:
        print("area under the ROC curve: none, since all starts did the same")
    else:
        low, high = known["auc_interval"]
        print(f"area under the ROC curve of missing DNC: {known['auc']:.3f} ({low:.3f} .. {high:.3f})")
        print("the same of the smallest over the median singular value of the logits, along the flow:")
        for row in known["along_the_flow"]:
            low, high = row["auc_interval"]
            print(f"  lambda t = {row['lambda_t']:g}  {row['auc']:.3f}  ({low:.3f} .. {high:.3f})")


def _outcomes(result: "Prevalence") -> str:
    found: dict[str, int] = {}
    for end in result.ends:
        if not end.converged:
            found[end.outcome.lower()] = found.get(end.outcome.lower(), 0) + 1
    return ", ".join(f"{count} {name}" for name, count in found.items())
