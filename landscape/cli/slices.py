"""`landscape slice`: the loss along one or two directions of a point, or between two points."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

from cyclopts import Parameter

from landscape.cli import DONE
from landscape.cli.applies import Needs, NotWith
from landscape.cli.network_points import RunSourcesFlag, is_network_point, opened
from landscape.cli.options import (
    NO_PROBLEM,
    DeviceText,
    JsonFlag,
    ProblemOptions,
    RootText,
    SeedNumber,
    StartText,
    whole_number,
    within,
)
from landscape.cli.output import PICTURES, TABLES, check_output, print_json, print_lines, write_table
from landscape.cli.pictures import DRAWN, PictureOptions
from landscape.cli.progress import progress
from landscape.cli.sources import check_source, loaded, placed
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.studies.basins import Segment
    from landscape.studies.cuts import Direction, Line, Plane

_ENDS = 2  # of the way between two points
_PLANE = 2.7  # inches of a picture with a bar of colours beside it
_ONE = NotWith("--other")
SurfaceFlag = Annotated[
    bool, Parameter(name="--surface", negative="", help="Draw a plane as a surface in three dimensions."), DRAWN, _ONE
]
SpanText = Annotated[str | None, Parameter(help="Distance to either side; a quarter of the parameters' norm."), _ONE]
SliceSteps = Annotated[int, Parameter(converter=whole_number, validator=within(3, 501), help="Places on each axis.")]
SliceSeed = Annotated[SeedNumber, _ONE]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SliceLook(PictureOptions):
    """How the picture of a slice looks.

    Attributes:
        label: Names of the two ends of a way.
    """

    label: Annotated[
        list[str] | None,
        Parameter(negative="", help="Name of an end of the way between two points; given twice."),
        DRAWN,
        Needs(("--other",)),
    ] = None

    def ends(self, first: str, second: str) -> tuple[str, str]:
        """Returns the names of the two ends; the given ones where no option says otherwise.

        Raises:
            InputError: If there are not two of them.
        """
        if self.label is None:
            return first, second
        if len(self.label) != _ENDS:
            raise InputError(f"expected --label once for each of 2 points, got {len(self.label)}")
        return self.label[0], self.label[1]


AS_FOUND = SliceLook()


@dataclass(frozen=True)
class Delivery:
    """Where a slice goes, and how its picture looks.

    Attributes:
        out: Path of the table; None for none.
        plot: Path of the picture; None for none.
        json: Whether the table is printed as JSON.
        look: Title, size and style of the picture.
        surface: Whether a plane is drawn as a surface.
    """

    out: Path | None
    plot: Path | None
    json: bool
    look: SliceLook = AS_FOUND
    surface: bool = False

    def checked(self) -> "Delivery":
        """Returns itself.

        Raises:
            InputError: If a file cannot be written or the picture cannot have its size.
        """
        check_output(self.out, TABLES)
        check_output(self.plot, PICTURES)
        self.look.inches(1.0, 1.0)
        self.look.ends("", "")
        return self


def slices(
    point: Annotated[Path | None, Parameter(help="A point saved by landscape.")] = None,
    other: Annotated[Path | None, Parameter(help="A second one: the way between them instead of directions.")] = None,
    *,
    model: ProblemOptions = NO_PROBLEM,
    start: StartText = None,
    root: RootText = "large",
    along: Annotated[str | None, Parameter(help="One or two of stiffest, negative, null, gauge (stiffest,gauge)."), _ONE] = None,
    span: SpanText = None,
    steps: SliceSteps = 51,
    seed: SliceSeed = 0,
    surface: SurfaceFlag = False,
    run_sources: RunSourcesFlag = False,
    out: Annotated[Path | None, Parameter(help="Table of places and losses: .csv or .parquet.")] = None,
    plot: Annotated[Path | None, Parameter(help="Picture: .png, .pdf or .svg.")] = None,
    look: SliceLook = AS_FOUND,
    device: DeviceText = "cpu",
    json: JsonFlag = False,
) -> int:
    """Draw a slice of the loss landscape: a line or a plane through a point, or the straight way between two points.

    stiffest and negative are eigenvectors of the largest and the most negative eigenvalue; gauge is the tangent of a rotation of
    the hidden spaces, along which the loss is constant on the orbit's own curve and grows like t^4 on the straight line; null is a
    null direction that no rotation explains, which few points have. A direction that the point does not have is refused.
    Between two points there are two lines, before and after the second is rotated into the gauge closest to the first.
    """
    to = Delivery(out, plot, json, look, surface).checked()
    check_source(point, model, start)
    if point is not None and is_network_point(point):
        from landscape.cli.network_slices import cut_of, way_between

        network = opened(point, run_sources, device)
        if other is not None:
            return way_between(network, other, steps, point.stem, to)
        return cut_of(network, along or "random,random", span, steps, seed, point.stem, to)
    if other is not None:
        if point is None:
            raise InputError("expected two saved points, got one with a problem")
        return _between(point, other, steps, device, to)
    from landscape.numbers import parse_number
    from landscape.studies.cuts import Along, spaced
    from landscape.studies.slices import directions, line, plane

    reach = None if span is None else parse_number(span, "a span such as 2.5")
    names = named_directions(along or "stiffest,gauge", get_args(Along), surface)
    problem, theta = placed(point, model, start, root, device)
    places = spaced(theta, reach, steps)
    with progress(f"directions of {problem.parameters} parameters"):
        found = directions(problem, theta, cast(list[Along], names), seed)
    with progress(f"loss at {len(places) ** len(found)} places"):
        one = len(found) == 1
        cut = line(problem, theta, found[0], places) if one else plane(problem, theta, (found[0], found[1]), places)
    return print_cut(cut, str(start) if point is None else point.stem, to)


def named_directions(typed: str, known: tuple[str, ...], surface: bool) -> list[str]:
    """Returns the names of one or two directions; a surface takes two.

    Raises:
        InputError: If there are more, fewer for a surface, or others than those known.
    """
    names = [name.strip() for name in typed.split(",")]
    if len(names) > 2 or not set(names) <= set(known):
        raise InputError(f"expected one or two directions of {', '.join(known)}, got {typed!r}")
    if surface and len(names) == 1:
        raise InputError(f"expected two directions for --surface, got --along {typed}")
    return names


def print_cut(cut: "Line | Plane", name: str, to: Delivery) -> int:
    """Prints, writes and draws the loss on a line or a plane through the point of this name."""
    from landscape.studies.cuts import Line

    columns: dict[str, list[float]]
    if isinstance(cut, Line):
        described = [_described(cut.direction)]
        columns = {"place": cut.places.tolist(), "loss": cut.loss.tolist()}
        columns |= {} if cut.orbit is None else {"orbit_loss": cut.orbit.tolist()}
    else:
        described, steps = [_described(found) for found in (cut.horizontal, cut.vertical)], len(cut.places)
        x, y = cut.places.repeat(steps), cut.places.repeat_interleave(steps)
        columns = {"horizontal": x.tolist(), "vertical": y.tolist(), "loss": cut.loss.flatten().tolist()}
    _deliver(described, columns, to)
    if to.plot is not None:
        _draw(cut, name, to.plot, to)
    return DONE


def print_ways(ways: "dict[str, Segment]", ends: tuple[str, str], to: Delivery) -> int:
    """Prints, writes and draws the loss between two points: as they are, and aligned where there is such a way."""
    described = [{"line": name, "distance": part.distance, "barrier": part.barrier} for name, part in ways.items()]
    names = dict(zip(ways, ("loss", "aligned_loss"), strict=False))
    columns = {"place": next(iter(ways.values())).places.tolist()}
    columns |= {names[way]: part.loss.tolist() for way, part in ways.items()}
    _deliver(described, columns, to)
    if to.plot is not None:
        _draw_between(ways, ends, to.plot, to.look)
    return DONE


def _between(first: Path, second: Path, steps: int, device: str, to: Delivery) -> int:
    from landscape.studies.slices import between

    one, two = loaded(first, device), loaded(second, device)
    if one.problem != two.problem:
        raise InputError(f"expected two points of one problem, got the {one.problem} and the {two.problem}")
    with progress(f"loss at {2 * steps} places"):
        straight, aligned = between(one.problem, one.theta, two.theta, steps)
    return print_ways({"as saved": straight, "gauge aligned": aligned}, to.look.ends(first.stem, second.stem), to)


def _described(found: "Direction") -> dict[str, Any]:
    """Returns what is known of a direction."""
    known: dict[str, Any] = {"direction": found.name, "curvature": found.curvature}
    return known if found.quartic is None else known | {"quartic": found.quartic}


def _deliver(described: list[dict[str, Any]], columns: dict[str, list[float]], to: Delivery) -> None:
    """Prints what was found and writes the table; with --json the table is printed too."""
    if to.out is not None:
        import pandas as pd

        write_table(pd.DataFrame(columns), to.out)
    if to.json:
        print_json({"slices": described, "columns": columns})
        return
    for part in described:
        (title, name), *values = part.items()
        print_lines([(title, str(name)), *((key, f"{value:.6e}") for key, value in values)])
    losses = columns["loss"]
    print_lines([("loss", f"{min(losses):.10f} .. {max(losses):.10f} at {len(losses)} places")])


def _draw(cut: "Line | Plane", name: str, path: Path, to: Delivery) -> None:
    from landscape.plot.slices import plot_slice, surface_axes
    from landscape.plot.theme import COLUMN_WIDTH, figure_of, new_figure, save_figure
    from landscape.studies.cuts import Plane

    width, height = to.look.inches(COLUMN_WIDTH, 0.0)
    flat = height or (_PLANE if isinstance(cut, Plane) else 0.0)
    axes = surface_axes(width, height) if to.surface else new_figure(width=width, height=flat)[1][0]
    if isinstance(cut, Plane) and not to.surface:  # a square beside its colours, in the middle of a picture of any shape
        figure_of(axes).set_layout_engine("compressed")
    plot_slice(cut, axes, name if to.look.title is None else to.look.title, to.surface)
    save_figure(figure_of(axes), path, to.look.dark)


def _draw_between(lines: "dict[str, Segment]", ends: tuple[str, str], path: Path, look: SliceLook) -> None:
    from landscape.plot.slices import draw_segments
    from landscape.plot.theme import COLUMN_WIDTH, new_figure, save_figure

    width, height = look.inches(COLUMN_WIDTH, 0.0)
    figure, (axes,) = new_figure(width=width, height=height)
    draw_segments(axes, lines, ends, look.title or "")
    save_figure(figure, path, look.dark)
