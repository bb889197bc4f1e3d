"""Saved points of networks for the commands that take any point: their code is run only where --run-sources says so."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from landscape.cli.network_options import NetworkOptions, is_network_point, weights_into
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.network.loss import ModuleLoss
    from landscape.network.report import NetworkReport

__all__ = ["is_network_point", "weights_into"]

RunSourcesFlag = Annotated[
    bool,
    Parameter(name="--run-sources", negative="", help="Run the Python files that a network's point names; only if you trust them."),
]
_TYPED = ("data", "loss", "decay", "reduction", "adapter")


def sources_of(build: str, network: NetworkOptions) -> dict[str, str]:
    """Returns what a network was made from, as typed, for the header of its point."""
    typed = {name: getattr(network, name) for name in _TYPED}
    return {"module": build} | {name: value for name, value in typed.items() if value is not None}


def opened(path: Path, run_sources: bool, device: str) -> "ModuleLoss":
    """Returns the loss of a saved network at its point, made anew by the code that the file names.

    Raises:
        InputError: Without --run-sources, or if the code makes another network, loss or data than was saved.
    """
    from landscape.network.point_file import load_network_point

    point = load_network_point(path)
    module = point.sources.get("module")
    if module is None or "data" not in point.sources:
        raise InputError(f"expected a point that names its code, got {path.name} without: landscape network inspect --checkpoint")
    if not run_sources:
        raise InputError(
            f"expected --run-sources for the point of a network: it runs {module} and {point.sources['data']}, which {path.name} "
            "names; only if you trust them"
        )
    typed = {name: point.sources[name] for name in _TYPED if name in point.sources}
    problem, _ = NetworkOptions(checkpoint=path, device=device, **typed).problem(module)  # type: ignore[arg-type]
    return point.of(problem)


def analysed_network(path: Path, method: str, run_sources: bool, device: str) -> "NetworkReport":
    """Returns the report of a saved network.

    Raises:
        InputError: As `opened`, or if the method is none for networks.
    """
    from landscape.network.analysis import METHODS, analyse_network

    if method not in METHODS:
        raise InputError(f"expected --method {', '.join(METHODS[:-1])} for the point of a network, got {method}")
    problem = opened(path, run_sources, device)
    return analyse_network(problem, method)
