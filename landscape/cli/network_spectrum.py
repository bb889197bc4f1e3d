"""The spectrum of a network, printed, written and drawn."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.output import print_json, print_table, warn, write_table
from landscape.cli.pictures import PictureOptions
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.cli.spectrum import SpectraOptions
    from landscape.network.report import NetworkReport


def network_spectrum(report: "NetworkReport", out: Path | None, plot: Path | None, look: "SpectraOptions", json: bool) -> int:
    """Prints, writes and draws all eigenvalues of a network.

    Raises:
        InputError: If the method only counts.
    """
    if report.spectrum is None:
        raise InputError(f"expected all eigenvalues, got a count by {report.method}: pass --method dense")
    atoms = report.spectrum.atoms()
    if out is not None:
        import pandas as pd

        write_table(pd.DataFrame(atoms, columns=["eigenvalue", "multiplicity"]), out)
    if plot is not None:
        named = look if look.label is None or look.title is not None else replace(look, title=look.label[0])
        draw_network_spectrum(report, plot, named, look.axis)
    if json:
        shown = {"parameters": report.parameters, "critical": report.verdict.critical, "method": report.method}
        print_json(shown | {"resolved": report.resolved, "spectrum": [list(atom) for atom in atoms]})
    elif out is None and plot is None:
        print(f"# network, {report.parameters} parameters")
        rows = [(f"{value:.9e}", str(times)) for value, times in atoms]
        print_table([("eigenvalue", "multiplicity"), *rows], numbers=(0, 1))
    if not report.resolved:
        warn(report.reason)
    return DONE if report.resolved else NOT_AS_ASKED


def draw_network_spectrum(
    report: "NetworkReport", path: Path, look: PictureOptions, axis: Literal["symlog", "linear"] = "symlog"
) -> None:
    """Draws all eigenvalues of a network.

    Raises:
        InputError: If the method only counts.
    """
    from landscape.plot.spectrum import plot_spectrum
    from landscape.plot.theme import COLUMN_WIDTH, new_figure, save_figure

    if report.spectrum is None or report.zeros is None:
        raise InputError(f"expected all eigenvalues for --plot, got a count by {report.method}: pass --method dense")
    decays = set(report.problem.decays.tolist())
    decay = decays.pop() if len(decays) == 1 else None
    width, height = look.inches(COLUMN_WIDTH, 0.0)
    figure, (axes,) = new_figure(width=width, height=height)
    title = "network" if look.title is None else look.title
    plot_spectrum(report.spectrum, axes, title, report.zeros.cutoff, decay, axis)
    save_figure(figure, path, look.dark)
