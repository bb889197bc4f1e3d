"""Fig. 1: the loss along plain descent for two starts, with the closed-form losses, and the mean logits where they end."""

from matplotlib.figure import Figure

from figures import DATA
from landscape.model.objective import Objective, class_means
from landscape.model.reduced_point import Core
from landscape.plot.point import draw_logits
from landscape.plot.theme import PAGE_WIDTH, new_figure, style
from landscape.points.point import CriticalPoint
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Collapse, Pairs, Structure

STRUCTURES: dict[str, tuple[Structure, str, str, str]] = {
    "collapse": (Collapse(), "DNC", "C0", "-"),
    "pairs": (Pairs(), "low rank", "C1", "--"),
}


def load() -> dict[str, CriticalPoint]:
    """Returns the two end points by name."""
    return {name: CriticalPoint.load(DATA / f"figure1-{name}.safetensors") for name in STRUCTURES}


def draw(data: dict[str, CriticalPoint]) -> Figure:
    """Draws the curves and the two matrices."""
    figure, axes = new_figure(1, 3, width=PAGE_WIDTH)
    with style():
        for name, point in data.items():
            structure, label, color, line = STRUCTURES[name]
            core = Core.from_form(point.problem, logit_form(point.problem, structure))
            steps, loss, _ = point.trace.T
            axes[0].plot(steps[1:], loss[1:], color=color, linestyle=line, label=label)
            axes[0].axhline(float(core.objective.loss(core.theta)), color=color, linestyle=":", linewidth=0.9)
        axes[0].set(xscale="log", yscale="log", xlabel="step", ylabel="loss (dotted: closed form)")
        axes[0].legend(frameon=False)
    for place, (name, point) in zip(axes[1:], data.items(), strict=True):
        logits = class_means(point.problem, Objective.of(point.problem, point.theta).logits(point.theta))
        draw_logits(place, logits, f"mean logits, {STRUCTURES[name][1]}")
    return figure
