"""The Hessian spectrum of DNC beside that of the low-rank solution, every eigenvalue with its multiplicity and its origin."""

from collections import defaultdict
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from landscape.degeneracy.reduction import EigenvalueKind, Reduction, reduce
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.plot.theme import BLUE, GREEN, INK, ORANGE, PAGE_WIDTH, PURPLE, new_figure, style
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Collapse, Pairs, Structure

PAPER = Problem.balanced(classes=10, samples=5, width=70, depth=2, decay=2.0**-10)
POINTS: dict[str, Structure] = {"DNC": Collapse(), "pairs": Pairs()}
FAMILIES: dict[EigenvalueKind, tuple[str, dict[str, Any], bool]] = {  # words, look, whether its multiplicities are written out
    EigenvalueKind.GAUGE: ("gauge rotations, 0", {"color": ORANGE, "marker": "D"}, True),
    EigenvalueKind.PARTNER: (r"their partners, $\lambda_i + \lambda_{i+1}$", {"color": PURPLE, "marker": "s"}, True),
    EigenvalueKind.DECAY: (r"weight-decay bulk, $\lambda$", {"color": "0.5", "marker": "^"}, True),
    EigenvalueKind.WITHIN_CLASS: ("within class", {"color": GREEN, "marker": "v"}, True),
    EigenvalueKind.CORE: ("core", {"color": BLUE, "marker": "o"}, False),
}
TICKS = (0, 0.5, 1, 2, 5, 10, 20)
_SAME = 1e-9  # of the decay: eigenvalues closer than that are one


def load() -> dict[str, Reduction]:
    """Returns the named spectra, from the exact reduction."""
    return {name: reduce(Core.from_form(PAPER, logit_form(PAPER, structure))) for name, structure in POINTS.items()}


def families(reduction: Reduction) -> dict[EigenvalueKind, dict[float, int]]:
    """Returns the multiplicity of each eigenvalue, in units of the decay, by origin.

    The zeros of the core are the gauge rotations among the directions that the point uses, so they stand with the others.
    """
    found: dict[EigenvalueKind, dict[float, int]] = {kind: defaultdict(int) for kind in FAMILIES}
    for block in reduction.blocks:
        for value in (block.values / PAPER.mean_decay).tolist():
            kind = EigenvalueKind.GAUGE if block.kind is EigenvalueKind.CORE and abs(value) < _SAME else block.kind
            near = next((known for known in found[kind] if abs(known - value) < _SAME), 0.0 if abs(value) < _SAME else value)
            found[kind][near] += block.multiplicity
    return found


def draw(data: dict[str, Reduction]) -> Figure:
    """Draws one panel per point on the same scales; the legend of the origins stands below both."""
    figure, axes = new_figure(1, len(data), width=PAGE_WIDTH, height=2.75)
    with style():
        for place, (name, reduction) in zip(axes, data.items(), strict=True):
            _panel(place, families(reduction))
            rank = reduction.blocks[0].multiplicity
            place.set_title(f"{name}, rank {_rank(rank)}")
        axes[0].set_ylabel("multiplicity")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False, handletextpad=0.2)
    return figure


def _rank(rotations: int) -> int:
    """Returns r from the L r (d - r) rotations into unused directions, the smaller solution."""
    return next(r for r in range(1, PAPER.width) if PAPER.depth * r * (PAPER.width - r) == rotations)


def _panel(axes: Axes, found: dict[EigenvalueKind, dict[float, int]]) -> None:
    axes.set_xscale("symlog", linthresh=1.0, linscale=0.7)
    axes.set(yscale="log", xlabel=r"Hessian eigenvalue, in units of $\lambda$", ylim=(0.7, 3e4), xlim=(-0.25, 28))
    axes.xaxis.set_major_locator(FixedLocator(TICKS))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    for kind, (words, look, written) in FAMILIES.items():
        places, heights = list(found[kind]), list(found[kind].values())
        axes.vlines(places, 0.1, heights, color=look["color"], linewidth=1.0, zorder=1)
        edge: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.3}
        axes.plot(places, heights, linestyle="none", markersize=4.0, label=words, **edge, **look)
        for place, height in found[kind].items() if written else ():
            aside = kind is EigenvalueKind.WITHIN_CLASS  # another stem stands close to its right
            note: dict[str, Any] = {"textcoords": "offset points", "ha": "right" if aside else "center", "fontsize": "small"}
            axes.annotate(f"{height:,}", (place, height), (3 if aside else 0, 4), color=INK, **note)
