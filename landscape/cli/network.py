"""`landscape network`: a network of the user's own, from its code and a checkpoint to slices of its loss."""

from pathlib import Path
from typing import Annotated, cast, get_args

from cyclopts import Parameter

from landscape.cli.network_options import BuildText, NetworkOptions
from landscape.cli.options import JsonFlag, SeedNumber, whole_number, within
from landscape.cli.output import PICTURES, TABLES, check_output
from landscape.cli.progress import progress
from landscape.cli.slices import SurfaceFlag, print_cut, print_ways
from landscape.errors import InputError


def slices(
    build: BuildText,
    other: Annotated[Path | None, Parameter(help="A second checkpoint: the way to it instead of directions.")] = None,
    *,
    network: NetworkOptions,
    along: Annotated[str, Parameter(help="One or two of random, stiffest, second, lowest.")] = "random,random",
    span: Annotated[str | None, Parameter(help="Distance to either side; a quarter of the parameters' norm.")] = None,
    steps: Annotated[int, Parameter(converter=whole_number, validator=within(3, 501), help="Places on each axis.")] = 51,
    seed: SeedNumber = 0,
    surface: SurfaceFlag = False,
    out: Annotated[Path | None, Parameter(help="Table of places and losses: .csv or .parquet.")] = None,
    plot: Annotated[Path | None, Parameter(help="Picture: .png, .pdf or .svg.")] = None,
    json: JsonFlag = False,
) -> int:
    """Draw the loss of a network of your own: a line or a plane through its weights, or the way to another checkpoint.

    IT IMPORTS YOUR FILES: the code in FILE.py is run, so name only files that you trust. random is a random direction in which
    every filter has the norm of that filter of the weights (Li et al. 2018); stiffest, second and lowest are eigenvectors.
    """
    from landscape.network.checkpoint import load_checkpoint
    from landscape.numbers import parse_number
    from landscape.studies.cuts import NetworkAlong
    from landscape.studies.network_slices import network_between, network_line, network_plane

    check_output(out, TABLES)
    check_output(plot, PICTURES)
    reach = None if span is None else parse_number(span, "a span such as 2.5")
    names = [name.strip() for name in along.split(",")]
    known = get_args(NetworkAlong)[:-1]
    if len(names) > 2 or not set(names) <= set(known):
        raise InputError(f"expected one or two directions of {', '.join(known)}, got {along!r}")
    problem, _ = network.problem(build)
    if other is not None:
        load_checkpoint(problem.flat.module, other)
        from torch.nn.utils import parameters_to_vector

        trained = [p for p in problem.flat.module.parameters() if p.requires_grad]
        there = problem.at(parameters_to_vector(trained).detach())
        with progress(f"loss at {steps} places"):
            way = network_between(problem, there, steps)
        first = build if network.checkpoint is None else network.checkpoint.stem
        return print_ways({"as saved": way}, (first, other.stem), out, plot, json)
    chosen = cast(list[NetworkAlong], names)
    with progress(f"loss at {steps ** len(chosen)} places"):
        cut = (
            network_line(problem, chosen[0], reach, steps, seed)
            if len(chosen) == 1
            else network_plane(problem, (chosen[0], chosen[1]), reach, steps, seed)
        )
    return print_cut(cut, out, plot, json, surface)
