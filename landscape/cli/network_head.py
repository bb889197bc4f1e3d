"""`landscape network head`: where the head of a trained network stands among the critical points of its model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.applies import Needs
from landscape.cli.options import ActivationChoice, DeviceText, JsonFlag, SeedNumber, checked_device, whole_number, within
from landscape.cli.output import print_json, print_lines, warn
from landscape.cli.progress import descent_progress
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.points.point import CriticalPoint


def network_head(
    *head: Annotated[
        Path, Parameter(help="Head weights: a .safetensors, .npz, .pt or .pth file, or a .npy file a layer, from first to last.")
    ],
    decay: Annotated[str, Parameter(help="Of the features and of each head layer, lambda_H,lambda_W1,..: 1e-4,5e-3,5e-3.")],
    labels: Annotated[str | None, Parameter(help="Array in the file, or .npy or text file, with a class per sample.")] = None,
    features: Annotated[
        str | None, Parameter(help="Array in the file, if not H_1, or .npy file, a row or a column per sample.")
    ] = None,
    activation: Annotated[ActivationChoice, Parameter(help="Between the layers of the head: linear or relu.")] = "linear",
    search: Annotated[
        int, Parameter(converter=whole_number, validator=within(0), help="Random starts of a search for lower critical points.")
    ] = 0,
    flow: Annotated[bool, Parameter(negative="", help="Follow the flow of the head to a critical point, and name it.")] = False,
    out: Annotated[Path | None, Parameter(help="Where the point goes, after the flow if --flow (.safetensors).")] = None,
    seed: Annotated[SeedNumber, Needs(("--search",))] = 0,
    device: DeviceText = "cpu",
    json: JsonFlag = False,
) -> int:
    """Say where the head of a trained network stands: its loss above each known critical point, and which one it resembles.

    The loss is the mean cross-entropy, plus half of each decay times the squared norm of its array: lambda_H multiplies the squares
    of all features, summed over the samples. With decay on the features, every network with a linear head has at least the loss of
    the model's global minimum. The lowest line printed is the best known critical point; no global minimum is proved.
    Exit code 1: with --flow, if it does not end at a critical point whose counts are certain.
    """
    from landscape.atomic_files import check_writable
    from landscape.numbers import parse_decay
    from landscape.points.foreign_weights import WeightsLayout, read_weights
    from landscape.points.point import Outcome
    from landscape.studies.heads.capture import require_feature_decay
    from landscape.studies.heads.standing import Lines, standing

    if not head:
        raise InputError("expected the head's weights, got none: name a file, or a .npy file for each layer")
    if out is not None:
        check_writable(out)
    lambdas = require_feature_decay(parse_decay(decay))
    read = read_weights(head, lambdas, "ce", activation, WeightsLayout(features, labels=labels), checked_device(device))
    point, found = read.point, standing(read.point, Lines.of(read.point.problem, search, seed))
    rows, value, code = [*read.rows(), *found.rows()], found.as_dict() | {"read": read.as_dict()}, DONE
    if flow:
        point, more, facts, code = _flow(read.point)
        rows, value = [*rows, *more], value | {"flow": facts}
    saved = None if out is None or point.outcome is Outcome.DIVERGED else str(out)
    if saved is not None:
        point.save(saved)
        rows.append(("out", saved))
    if json:
        print_json(value | {"out": saved})
    else:
        print_lines(rows)
    return code


def _flow(given: "CriticalPoint") -> "tuple[CriticalPoint, list[tuple[str, str]], dict[str, Any], int]":
    """Returns the end of the flow of a head, its lines and JSON form, and the exit code."""
    from landscape.degeneracy.analysis import analyse
    from landscape.points.point import Outcome
    from landscape.solver.moved import Move
    from landscape.solver.run import solve

    with descent_progress("flow") as watch:
        point = solve(given.problem, given, watch=watch)
    move = Move.of(given, point)
    rows, facts = move.rows(), move.as_dict() | {"outcome": point.outcome.name.lower()}
    if point.outcome is Outcome.DIVERGED:
        warn(f"not critical: {point.outcome.value}; nothing was saved")
        return point, rows, facts, NOT_AS_ASKED
    report = analyse(point)
    rows += [("end", report.structure), ("index", _count(report.index)), ("nullity", _count(report.nullity))]
    if not report.resolved:
        warn(report.reason)
    return point, rows, facts | report.as_dict(), DONE if report.resolved else NOT_AS_ASKED


def _count(number: int | None) -> str:
    return "undecided" if number is None else str(number)
