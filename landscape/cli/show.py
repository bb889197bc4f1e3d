"""`landscape show`: what a saved point is and where it came from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from landscape.cli import DONE
from landscape.cli.output import print_json, print_lines
from landscape.cli.sources import JsonFlag
from landscape.objective import Objective, class_means

if TYPE_CHECKING:
    from landscape.point import CriticalPoint


def show(
    point: Annotated[Path, Parameter(help="A point saved by landscape.")],
    *,
    plot: Annotated[Path | None, Parameter(help="Picture of logits, singular values and loss: .png, .pdf or .svg.")] = None,
    json: JsonFlag = False,
) -> int:
    """Print what a saved point is and where it came from."""
    from landscape.point import CriticalPoint
    from landscape.point_file import PointFile

    file = PointFile.read(point)
    saved = CriticalPoint.of_file(file)
    origin = saved.origin
    if plot is not None:
        _draw(saved, plot)
    if json:
        print_json(
            {
                "problem": saved.problem.as_dict(),
                "loss": saved.loss,
                "gradient_norm": saved.gradient_norm,
                "outcome": saved.outcome.name.lower(),
                "steps": saved.steps,
                "format": file.header["format"],
                "seal": file.seal,
                "origin": {
                    "start": origin.start,
                    "methods": list(origin.methods),
                    "seed": origin.seed,
                    "versions": origin.versions,
                },
            }
        )
        return DONE
    print_lines([*saved.rows(), ("seal", file.seal or f"none: format {file.header['format']} has no checksum of its header")])
    return DONE


def _draw(point: "CriticalPoint", path: Path) -> None:
    from landscape.plot import COLUMN_WIDTH, draw_logits, draw_singular_values, draw_trace, new_figure, save_figure

    figure, (logits, values, trace) = new_figure(columns=3, width=3 * COLUMN_WIDTH)
    problem = point.problem
    draw_logits(logits, class_means(problem, Objective.of(problem, point.theta).logits(point.theta)), "class-mean logits")
    draw_singular_values(values, point, title="singular values")
    draw_trace(trace, point, "solve")
    save_figure(figure, path)
