"""`landscape network head`: where the head of a trained network stands among the critical points of its model."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.applies import Needs
from landscape.cli.options import ActivationChoice, DeviceText, JsonFlag, SeedNumber, checked_device, whole_number, within
from landscape.cli.output import print_json, print_lines, warn
from landscape.cli.progress import descent_progress


def network_head(
    head: Annotated[Path, Parameter(help="Features and head weights: a .safetensors, .npz, .pt or .pth file.")],
    *,
    decay: Annotated[str, Parameter(help="Of the features and of each head layer, lambda_H,lambda_W1,..: 1e-4,5e-3,5e-3.")],
    labels: Annotated[str | None, Parameter(help="Array in the file, or .npy or text file, with a class per sample.")] = None,
    features: Annotated[str | None, Parameter(help="Name of the feature array, if not H_1.")] = None,
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
    from landscape.degeneracy.analysis import analyse
    from landscape.numbers import parse_decay
    from landscape.points.foreign_weights import WeightsLayout, import_weights
    from landscape.points.point import Outcome
    from landscape.solver.moved import Move
    from landscape.solver.run import solve
    from landscape.studies.heads.capture import require_feature_decay
    from landscape.studies.heads.standing import Lines, standing

    if out is not None:
        check_writable(out)
    lambdas = require_feature_decay(parse_decay(decay))
    given = point = import_weights(head, lambdas, "ce", activation, WeightsLayout(features, labels=labels), checked_device(device))
    found = standing(given, Lines.of(given.problem, search, seed))
    rows, value = found.rows(), found.as_dict()
    code = DONE
    if flow:
        with descent_progress("flow") as watch:
            point = solve(given.problem, given, watch=watch)
        move = Move.of(given, point)
        rows, value = [*rows, *move.rows()], value | {"flow": move.as_dict() | {"outcome": point.outcome.name.lower()}}
        if point.outcome is Outcome.DIVERGED:
            warn(f"not critical: {point.outcome.value}; nothing was saved")
            code, out = NOT_AS_ASKED, None
        else:
            report = analyse(point)
            rows += [("end", report.structure), ("index", _count(report.index)), ("nullity", _count(report.nullity))]
            value["flow"] |= report.as_dict()
            if not report.resolved:
                warn(report.reason)
                code = NOT_AS_ASKED
    if out is not None:
        point.save(out)
        rows.append(("out", str(out)))
    if json:
        print_json(value | {"out": None if out is None else str(out)})
    else:
        print_lines(rows)
    return code


def _count(number: int | None) -> str:
    return "undecided" if number is None else str(number)
