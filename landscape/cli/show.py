"""`landscape show`: what a saved point is and where it came from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from landscape.cli import DONE
from landscape.cli.options import DeviceText, JsonFlag, checked_device
from landscape.cli.output import PICTURES, check_output, print_json, print_lines
from landscape.cli.pictures import AS_IT_IS, PictureOptions

if TYPE_CHECKING:
    from landscape.points.point import CriticalPoint


_PANEL = 1.9  # inches that each part of the picture needs


def show(
    point: Annotated[Path, Parameter(help="A point saved by landscape.")],
    *,
    plot: Annotated[Path | None, Parameter(help="Picture of logits, singular values and loss: .png, .pdf or .svg.")] = None,
    look: PictureOptions = AS_IT_IS,
    device: DeviceText = "cpu",
    json: JsonFlag = False,
) -> int:
    """Print what a saved point is and where it came from."""
    from landscape.points.point import CriticalPoint
    from landscape.points.point_file import PointFile

    device = checked_device(device)
    check_output(plot, PICTURES)
    look.inches(1.0, 1.0)
    file = PointFile.read(point)
    saved = CriticalPoint.of_file(file, device)
    origin = saved.origin
    if plot is not None:
        _draw(saved, plot, look)
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


def _draw(point: "CriticalPoint", path: Path, look: PictureOptions) -> None:
    from landscape.plot.point import draw_logits, draw_singular_values, draw_trace
    from landscape.plot.theme import PAGE_WIDTH, figure_of, new_figure, save_figure

    recorded = len(point.trace) > 1  # imported and analytic points have no course
    panels = 2 + recorded
    width, height = look.inches(panels / 3 * PAGE_WIDTH, 0.0)
    if width < panels * _PANEL:  # one below the other, as in a column
        axes = new_figure(panels, width=width, height=height)[1]
    else:
        axes = new_figure(columns=panels, width=width, height=height, shares=(0.95, 1.0, 1.15)[:panels])[1]
    draw_logits(axes[0], point.class_logits, "class-mean logits")
    draw_singular_values(axes[1], point, title="singular values")
    if recorded:
        draw_trace(axes[2], point, "solve")
    figure = figure_of(axes[0])
    if look.title is not None:
        figure.suptitle(look.title, fontsize="medium")
    save_figure(figure, path, look.dark)
