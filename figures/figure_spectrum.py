"""The Hessian spectrum of DNC beside that of the low-rank solution, every eigenvalue with its multiplicity and its origin."""

from matplotlib.figure import Figure

from landscape.degeneracy.analysis import analyse
from landscape.degeneracy.report import DegeneracyReport
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.plot.spectrum import plot_spectra
from landscape.plot.theme import PAGE_WIDTH
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Collapse, Pairs, Structure

PAPER = Problem.balanced(classes=10, samples=5, width=70, depth=2, decay=2.0**-10)
POINTS: dict[str, Structure] = {"DNC": Collapse(), "pairs": Pairs()}


def load() -> dict[str, DegeneracyReport]:
    """Returns the reports of the named points, from the exact reduction."""
    return {name: analyse(Core.from_form(PAPER, logit_form(PAPER, structure))) for name, structure in POINTS.items()}


def draw(data: dict[str, DegeneracyReport]) -> Figure:
    """Draws one panel per point on the same scales; the legend of the origins stands below both."""
    titled = {f"{name}, rank {report.rank}": report for name, report in data.items()}
    figure = plot_spectra(titled, width=PAGE_WIDTH, height=2.75)[0].figure
    assert isinstance(figure, Figure)
    return figure
