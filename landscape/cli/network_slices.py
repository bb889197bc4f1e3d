"""Slices of the loss of a network, for the two commands that draw them."""

from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from landscape.cli.network_points import weights_into
from landscape.cli.progress import progress
from landscape.cli.slices import Delivery, named_directions, print_cut, print_ways

if TYPE_CHECKING:
    from landscape.network.loss import ModuleLoss


def cut_of(
    problem: "ModuleLoss",
    along: str,
    span: str | None,
    steps: int,
    seed: int,
    name: str,
    to: Delivery,
) -> int:
    """Prints, writes and draws a line or a plane through the weights of a network.

    Raises:
        InputError: If a direction has another name, or is not found.
    """
    from landscape.numbers import parse_number
    from landscape.studies.cuts import NetworkAlong
    from landscape.studies.network_slices import network_line, network_plane

    reach = None if span is None else parse_number(span, "a span such as 2.5")
    chosen = cast(list[NetworkAlong], named_directions(along, get_args(NetworkAlong)[:-1], to.surface))
    with progress(f"loss at {steps ** len(chosen)} places"):
        cut = (
            network_line(problem, chosen[0], reach, steps, seed)
            if len(chosen) == 1
            else network_plane(problem, (chosen[0], chosen[1]), reach, steps, seed)
        )
    return print_cut(cut, name, to)


def way_between(problem: "ModuleLoss", other: Path, steps: int, first: str, to: Delivery) -> int:
    """Prints, writes and draws the loss between the weights of a network and those of another file.

    Raises:
        InputError: If the file does not fit the network.
    """
    from torch.nn.utils import parameters_to_vector

    from landscape.studies.network_slices import network_between

    weights_into(problem.flat.module, other)
    there = problem.at(parameters_to_vector(p for p in problem.flat.module.parameters() if p.requires_grad).detach())
    with progress(f"loss at {steps} places"):
        way = network_between(problem, there, steps)
    return print_ways({"as saved": way}, to.look.ends(first, other.stem), to)
