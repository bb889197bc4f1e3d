"""`landscape show`: what a saved point is and where it came from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from landscape.cli import DONE
from landscape.cli.options import DeviceText, JsonFlag, checked_device
from landscape.cli.output import PICTURES, check_output, print_json, print_lines

if TYPE_CHECKING:
    from landscape.points.point import CriticalPoint


def show(
    point: Annotated[Path, Parameter(help="A point saved by landscape.")],
    *,
    plot: Annotated[Path | None, Parameter(help="Picture of logits, singular values and loss: .png, .pdf or .svg.")] = None,
    device: DeviceText = "cpu",
    json: JsonFlag = False,
) -> int:
    """Print what a saved point is and where it came from."""
    from landscape.points.point import CriticalPoint
    from landscape.points.point_file import PointFile

    device = checked_device(device)
    check_output(plot, PICTURES)
    file = PointFile.read(point)
    saved = CriticalPoint.of_file(file, device)
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
    from landscape.plot.point import draw_logits, draw_singular_values, draw_trace
    from landscape.plot.theme import COLUMN_WIDTH, new_figure, save_figure

    figure, (logits, values, trace) = new_figure(columns=3, width=3 * COLUMN_WIDTH)
    draw_logits(logits, point.class_logits, "class-mean logits")
    draw_singular_values(values, point, title="singular values")
    draw_trace(trace, point, "solve")
    save_figure(figure, path)
