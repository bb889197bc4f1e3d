"""`landscape import`: weights trained elsewhere, as a point."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.options import ActivationChoice, DeviceText, JsonFlag, LossChoice, checked_device
from landscape.cli.output import print_json, print_lines, warn
from landscape.cli.progress import descent_progress


def import_weights(
    weights: Annotated[Path, Parameter(help="A .safetensors, .npz, .pt, .pth, .ckpt or .bin file.")],
    *,
    decay: Annotated[str, Parameter(help="lambda: 2**-10, 1e-3, or one per factor H_1,W_1,..,W_L.")],
    out: Annotated[Path, Parameter(help="Where the point goes (.safetensors).")],
    features: Annotated[str | None, Parameter(help="Name of the feature array, if not H_1.")] = None,
    class_sizes: Annotated[str | None, Parameter(help="Samples of each class, in order: 4,1,2. Default: equal.")] = None,
    labels: Annotated[str | None, Parameter(help="Array in the file, or .npy or text file, with a class per sample.")] = None,
    transpose: Annotated[
        bool | None, Parameter(help="Features are stored as samples x width. Default: what fits, or the smaller gradient.")
    ] = None,
    loss: Annotated[LossChoice, Parameter(help="ce, cross-entropy, or mse, squared error.")] = "ce",
    activation: Annotated[ActivationChoice, Parameter(help="linear or relu.")] = "linear",
    polish: Annotated[bool, Parameter(negative="", help="Follow the flow to a critical point, as solve --start does.")] = False,
    device: DeviceText = "cpu",
    json: JsonFlag = False,
) -> int:
    """Turn weights trained elsewhere into a point, and say how critical they are.

    Arrays named W_1 .. W_L and H_1 (any case, with or without underscore), or a state dict whose matrices are taken in order
    with the features named by --features; also inside a checkpoint, and with the prefixes of wrappers. What was taken for what
    is printed. Nothing in the file is run. The loss is the mean over the samples plus decay/2 times the squared norms, so that
    decay is the weight_decay of torch.optim.SGD on features and weights. With --polish the loss, the gradient and the structure
    before and after are printed, and how far the weights moved; without it they stay as they are.
    Exit code 1: the point is saved, but it is not critical or its counts are undecided.
    """
    from landscape.atomic_files import check_writable
    from landscape.degeneracy.analysis import analyse
    from landscape.numbers import parse_decay, parse_sizes
    from landscape.points.foreign_weights import WeightsLayout, read_weights
    from landscape.points.point import Outcome
    from landscape.solver.moved import Move
    from landscape.solver.run import solve

    check_writable(out)
    device = checked_device(device)
    layout = WeightsLayout(features, None if class_sizes is None else parse_sizes(class_sizes), labels, transpose)
    read = read_weights(weights, parse_decay(decay), loss, activation, layout, device)
    given = point = read.point
    if polish:
        with descent_progress("polish") as watch:
            point = solve(given.problem, given.theta, origin=given.origin, watch=watch)
    move, diverged = Move.of(given, point), point.outcome is Outcome.DIVERGED
    saved = None if diverged else str(out)
    if not diverged:
        point.save(out)
    report = None if diverged else analyse(point)
    if json:
        head = {"out": saved, "read": read.as_dict(), "outcome": point.outcome.name.lower(), **move.as_dict()}
        print_json(head | (report.as_dict() if report else {}))
    else:
        rows = [("out", saved or "none"), *read.rows(), *(move.rows() if polish else [])]
        print_lines([*rows, *(report.rows() if report else [])])
    if polish and point.outcome is not Outcome.CONVERGED:
        warn(f"not critical: {point.outcome.value}; {'nothing was saved' if diverged else f'it is saved in {out}'}")
        return NOT_AS_ASKED
    if report and report.verdict.critical and not report.resolved:
        warn(report.reason)
        return NOT_AS_ASKED
    if move.after.kind is None and move.after.ranked:
        warn(f"not critical: gradient norm {point.gradient_norm:.1e}: import with --polish, or run landscape solve --start {out}")
        return NOT_AS_ASKED
    return DONE
