"""`landscape slice`: the loss along one or two directions of a point, or between two points."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

from cyclopts import Parameter

from landscape.cli import DONE
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
from landscape.cli.progress import progress
from landscape.cli.sources import loaded, placed
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.studies.basins import Segment
    from landscape.studies.cuts import Direction, Line, Plane


SurfaceFlag = Annotated[bool, Parameter(name="--surface", negative="", help="Draw a plane as a surface in three dimensions.")]


def slices(
    point: Annotated[Path | None, Parameter(help="A point saved by landscape.")] = None,
    other: Annotated[Path | None, Parameter(help="A second one: the way between them instead of directions.")] = None,
    *,
    model: ProblemOptions = NO_PROBLEM,
    start: StartText = None,
    root: RootText = "large",
    along: Annotated[str | None, Parameter(help="One or two of stiffest, negative, null, gauge (stiffest,gauge).")] = None,
    span: Annotated[str | None, Parameter(help="Distance to either side; a quarter of the parameters' norm.")] = None,
    steps: Annotated[int, Parameter(converter=whole_number, validator=within(3, 501), help="Places on each axis.")] = 51,
    seed: SeedNumber = 0,
    surface: SurfaceFlag = False,
    run_sources: RunSourcesFlag = False,
    out: Annotated[Path | None, Parameter(help="Table of places and losses: .csv or .parquet.")] = None,
    plot: Annotated[Path | None, Parameter(help="Picture: .png, .pdf or .svg.")] = None,
    device: DeviceText = "cpu",
    json: JsonFlag = False,
) -> int:
    """Draw a slice of the loss landscape: a line or a plane through a point, or the straight way between two points.

    stiffest and negative are eigenvectors of the largest and the most negative eigenvalue; gauge is the tangent of a rotation of
    the hidden spaces, along which the loss is constant on the orbit's own curve and grows like t^4 on the straight line; null is a
    null direction that no rotation explains, which few points have. A direction that the point does not have is refused.
    Between two points there are two lines, before and after the second is rotated into the gauge closest to the first.
    """
    check_output(out, TABLES)
    check_output(plot, PICTURES)
    if point is not None and is_network_point(point):
        from landscape.cli.network_slices import Delivery, cut_of, way_between

        network = opened(point, run_sources, device)
        if other is not None:
            return way_between(network, other, steps, point.stem, Delivery(out, plot, json))
        return cut_of(network, along or "random,random", span, steps, seed, Delivery(out, plot, json, surface))
    if other is not None:
        if point is None or model.given or along is not None or span is not None:
            raise InputError("expected two saved points alone, got --problem, --along or --span with a second one")
        return _between(point, other, steps, out, plot, device, json)
    from landscape.numbers import parse_number
    from landscape.studies.cuts import Along, spaced
    from landscape.studies.slices import directions, line, plane

    reach = None if span is None else parse_number(span, "a span such as 2.5")
    names = [name.strip() for name in (along or "stiffest,gauge").split(",")]
    if len(names) > 2 or not set(names) <= set(get_args(Along)):
        raise InputError(f"expected one or two directions of {', '.join(get_args(Along))}, got {along!r}")
    problem, theta = placed(point, model, start, root, device)
    places = spaced(theta, reach, steps)
    with progress(f"directions of {problem.parameters} parameters"):
        found = directions(problem, theta, cast(list[Along], names), seed)
    with progress(f"loss at {len(places) ** len(found)} places"):
        one = len(found) == 1
        cut = line(problem, theta, found[0], places) if one else plane(problem, theta, (found[0], found[1]), places)
    return print_cut(cut, out, plot, json, surface)


def print_cut(cut: "Line | Plane", out: Path | None, plot: Path | None, json: bool, surface: bool) -> int:
    """Prints, writes and draws the loss on a line or a plane."""
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
    _deliver(described, columns, out, json)
    if plot is not None:
        _draw(cut, plot, surface)
    return DONE


def print_ways(ways: "dict[str, Segment]", ends: tuple[str, str], out: Path | None, plot: Path | None, json: bool) -> int:
    """Prints, writes and draws the loss between two points: as they are, and aligned where there is such a way."""
    described = [{"line": name, "distance": part.distance, "barrier": part.barrier} for name, part in ways.items()]
    names = dict(zip(ways, ("loss", "aligned_loss"), strict=False))
    columns = {"place": next(iter(ways.values())).places.tolist()}
    columns |= {names[way]: part.loss.tolist() for way, part in ways.items()}
    _deliver(described, columns, out, json)
    if plot is not None:
        _draw_between(ways, ends, plot)
    return DONE


def _between(first: Path, second: Path, steps: int, out: Path | None, plot: Path | None, device: str, json: bool) -> int:
    from landscape.studies.slices import between

    one, two = loaded(first, device), loaded(second, device)
    if one.problem != two.problem:
        raise InputError(f"expected two points of one problem, got the {one.problem} and the {two.problem}")
    with progress(f"loss at {2 * steps} places"):
        straight, aligned = between(one.problem, one.theta, two.theta, steps)
    return print_ways({"as saved": straight, "gauge aligned": aligned}, (first.stem, second.stem), out, plot, json)


def _described(found: "Direction") -> dict[str, Any]:
    """Returns what is known of a direction."""
    known: dict[str, Any] = {"direction": found.name, "curvature": found.curvature}
    return known if found.quartic is None else known | {"quartic": found.quartic}


def _deliver(described: list[dict[str, Any]], columns: dict[str, list[float]], out: Path | None, json: bool) -> None:
    """Prints what was found and writes the table; with --json the table is printed too."""
    if out is not None:
        import pandas as pd

        write_table(pd.DataFrame(columns), out)
    if json:
        print_json({"slices": described, "columns": columns})
        return
    for part in described:
        (title, name), *values = part.items()
        print_lines([(title, str(name)), *((key, f"{value:.6e}") for key, value in values)])
    losses = columns["loss"]
    print_lines([("loss", f"{min(losses):.10f} .. {max(losses):.10f} at {len(losses)} places")])


def _draw(result: "Line | Plane", path: Path, surface: bool = False) -> None:
    from landscape.plot.slices import plot_slice
    from landscape.plot.theme import save_figure

    figure = plot_slice(result, surface=surface).get_figure(root=True)
    assert figure is not None
    save_figure(figure, path)


def _draw_between(lines: "dict[str, Segment]", ends: tuple[str, str], path: Path) -> None:
    from landscape.plot.slices import draw_segments
    from landscape.plot.theme import new_figure, save_figure

    figure, (axes,) = new_figure()
    draw_segments(axes, lines, ends)
    save_figure(figure, path)
