"""`landscape phase`: where DNC does not exist, is a saddle, a local minimum, or the best known point."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

from cyclopts import Parameter

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.output import PICTURES, TABLES, check_output, print_json, warn, write_table
from landscape.cli.sources import JsonFlag
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.phase import PhaseDiagram

_MARKS = {"no DNC point": ".", "saddle": "s", "local minimum": "m", "best known": "B", "undecided": "?"}


def phase(
    *,
    over: Annotated[str, Parameter(help="Two of decay, depth, classes, width: the horizontal and the vertical axis.")],
    decay: Annotated[str, Parameter(help="lambda, or a range 1e-5:0.1 if it is varied.")],
    classes: Annotated[str, Parameter(help="K, or a range 2:30.")] = "10",
    depth: Annotated[str, Parameter(help="L, or a range 1:8.")] = "2",
    width: Annotated[str | None, Parameter(help="d, or a range 5:100; as wide as needed if not given.")] = None,
    samples: Annotated[str, Parameter(help="n, per class.")] = "1",
    steps: Annotated[str, Parameter(help="Decays in the range, equal steps of the logarithm.")] = "60",
    plot: Annotated[Path | None, Parameter(help="The diagram as .png, .pdf or .svg.")] = None,
    out: Annotated[Path | None, Parameter(help="One row for each cell: .csv or .parquet.")] = None,
    json: JsonFlag = False,
) -> int:
    """Draw the phase diagram of deep neural collapse over two settings, with its exact thresholds.

    A letter for each cell: B the best known point, m a local minimum, s a saddle, . no DNC point, ? undecided (exit code 1).
    "Best known" is against all partitions, a polygon, codes and pairs+apex; a lower point of no such family may exist.
    """
    from landscape.notation import parse_range, parse_steps
    from landscape.phase import Setting, phase_diagram
    from landscape.problem import Problem

    names = [name.strip() for name in over.split(",")]
    if len(names) != 2 or names[0] == names[1] or not set(names) <= set(get_args(Setting)):
        raise InputError(f"expected two different settings of {', '.join(get_args(Setting))}, such as decay,depth, got {over!r}")
    count = parse_steps(steps)
    values = {
        "decay": parse_range(decay, "decay", count),
        "classes": parse_range(classes, "classes"),
        "depth": parse_range(depth, "depth"),
    }
    values["width"] = parse_range(width, "width") if width is not None else [max(values["classes"])]
    for name, listed in values.items():
        if name not in names and len(listed) > 1:
            raise InputError(f"expected one --{name}, as --over does not name it, got a range")
    check_output(plot, PICTURES)
    check_output(out, TABLES)
    first = {name: listed[0] for name, listed in values.items()}
    problem = Problem.balanced(
        int(first["classes"]), int(parse_range(samples, "samples")[0]), int(first["width"]), int(first["depth"]), first["decay"]
    )
    diagram = phase_diagram(problem, cast(tuple[Setting, Setting], tuple(names)), tuple(values[names[0]]), tuple(values[names[1]]))
    if plot is not None:
        _draw(diagram, plot, {name: listed[0] for name, listed in values.items() if name not in names and name != "width"})
    if out is not None:
        _write(diagram, out)
    if json:
        print_json([cell.as_dict() for row in diagram.cells for cell in row])
    else:
        _print(diagram)
    undecided = [cell for row in diagram.cells for cell in row if cell.reason]
    for cell in undecided:
        warn(f"{cell.problem}: {cell.reason}")
    return NOT_AS_ASKED if undecided else DONE


def _print(diagram: "PhaseDiagram") -> None:
    from landscape.phase import STATES

    first, second = diagram.over
    low, high, columns = diagram.horizontal[0], diagram.horizontal[-1], len(diagram.horizontal)
    print(f"{first} from {low:g} to {high:g} in {columns} columns; rows: {second}")
    width = max(len(f"{value:g}") for value in diagram.vertical)
    for value, row in reversed(list(zip(diagram.vertical, diagram.cells, strict=True))):
        print(f"{value:>{width}g} {''.join(_MARKS[cell.state] for cell in row)}")
    print("  ".join(f"{_MARKS[state]} {state}" for state in reversed(STATES)))


def _draw(diagram: "PhaseDiagram", path: Path, fixed: dict[str, float]) -> None:
    from landscape.plot import new_figure, save_figure
    from landscape.plot.phase import draw_phase

    signs = {"classes": "K", "depth": "L", "decay": r"\lambda"}
    figure, (axes,) = new_figure(height=3.2)
    draw_phase(axes, diagram, ", ".join(f"${signs[name]} = {value:g}$" for name, value in fixed.items()))
    save_figure(figure, path)


def _write(diagram: "PhaseDiagram", path: Path) -> None:
    import pandas as pd

    table = pd.DataFrame([cell.as_dict() for row in diagram.cells for cell in row])
    table["index"] = table["index"].astype("Int64")
    write_table(table, path)
