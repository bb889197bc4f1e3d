"""`landscape import`: weights trained elsewhere, as a point."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.output import descent_progress, print_json, print_lines, warn
from landscape.cli.sources import JsonFlag


def import_weights(
    weights: Annotated[Path, Parameter(help="A .safetensors, .npz, .pt or .pth file.")],
    *,
    decay: Annotated[str, Parameter(help="lambda: 2**-10, 1e-3, or one per factor H_1,W_1,..,W_L.")],
    out: Annotated[Path, Parameter(help="Where the point goes (.safetensors).")],
    features: Annotated[str | None, Parameter(help="Name of the feature array, if not H_1.")] = None,
    class_sizes: Annotated[str | None, Parameter(help="Samples of each class, in order: 4,1,2. Default: equal.")] = None,
    labels: Annotated[str | None, Parameter(help="Array in the file, or .npy or text file, with a class per sample.")] = None,
    loss: Annotated[Literal["ce", "mse"], Parameter(help="Cross-entropy or squared error.")] = "ce",
    activation: Annotated[Literal["linear", "relu"], Parameter(help="linear or relu.")] = "linear",
    polish: Annotated[bool, Parameter(negative="", help="Follow the flow to a critical point, as solve --start does.")] = False,
    json: JsonFlag = False,
) -> int:
    """Turn weights trained elsewhere into a point, and say how critical they are.

    Arrays named W_1 .. W_L and H_1 (any case, with or without underscore), or a state dict whose matrices are taken in order
    with the features named by --features. Nothing in the file is run. With --polish the loss, the gradient and the structure
    before and after are printed, and how far the weights moved; without it they stay as they are.
    """
    from landscape.degeneracy import analyse
    from landscape.numerals import parse_decay, parse_sizes
    from landscape.point import Outcome
    from landscape.solver import Move, solve
    from landscape.solver.moved import NOT_CRITICAL
    from landscape.store import check_writable
    from landscape.weights import Layout, import_point

    check_writable(out)
    layout = Layout(features, None if class_sizes is None else parse_sizes(class_sizes), labels)
    given = point = import_point(weights, parse_decay(decay), loss, activation, layout)
    if polish:
        with descent_progress("polish") as watch:
            point = solve(given.problem, given.theta, origin=given.origin, watch=watch)
    move, diverged = Move.of(given, point), point.outcome is Outcome.DIVERGED
    saved = None if diverged else str(out)
    if not diverged:
        point.save(out)
    report = None if diverged else analyse(point)
    if json:
        head = {"out": saved, "outcome": point.outcome.name.lower(), **move.as_dict()}
        print_json(head | (report.as_dict() if report else {}))
    else:
        rows = [("out", saved or "none"), *(move.rows() if polish else [])]
        print_lines([*rows, *(report.rows() if report else [])])
    if polish and point.outcome is not Outcome.CONVERGED:
        warn(f"not critical: {point.outcome.value}{'; nothing was saved' if diverged else ''}")
        return NOT_AS_ASKED
    if report and report.verdict.critical and not report.resolved:
        warn(report.reason)
    elif move.after.structure == NOT_CRITICAL:
        warn(f"not critical: gradient norm {point.gradient_norm:.1e}: import with --polish, or run landscape solve --start {out}")
    return DONE
