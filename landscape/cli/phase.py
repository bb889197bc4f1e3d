"""`landscape phase`: where DNC does not exist, is a saddle, a local minimum, or the best known point."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

from cyclopts import Parameter

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.options import NO_RANGES, JsonFlag, ProblemRanges
from landscape.cli.output import PICTURES, TABLES, check_output, print_json, warn, write_table
from landscape.cli.pictures import AS_IT_IS, PictureOptions
from landscape.cli.progress import progress
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.catalogue.phase_diagram import PhaseDiagram

_MARKS = {"no DNC point": ".", "saddle": "s", "local minimum": "m", "best known": "B", "undecided": "?"}


def phase(
    *,
    over: Annotated[str, Parameter(help="Two of decay, depth, classes, width: the horizontal and the vertical axis.")],
    model: ProblemRanges = NO_RANGES,
    steps: Annotated[str | None, Parameter(help="Decays in the range, equal steps of the logarithm (60 if not given).")] = None,
    plot: Annotated[Path | None, Parameter(help="The diagram as .png, .pdf or .svg.")] = None,
    look: PictureOptions = AS_IT_IS,
    out: Annotated[Path | None, Parameter(help="One row for each cell: .csv or .parquet.")] = None,
    json: JsonFlag = False,
) -> int:
    """Draw the phase diagram of deep neural collapse over two settings, with its exact thresholds.

    A letter for each cell: B the best known point, m a local minimum, s a saddle, . no DNC point, ? undecided (exit code 1).
    "Best known" is against all partitions, a polygon, codes and apex; a lower point of no such family may exist.
    """
    from landscape.catalogue.phase_diagram import Setting, phase_diagram
    from landscape.model.problem import Problem
    from landscape.structures.notation import parse_range, parse_steps

    names = [name.strip() for name in over.split(",")]
    if len(names) != 2 or names[0] == names[1] or not set(names) <= set(get_args(Setting)):
        raise InputError(f"expected two different settings of {', '.join(get_args(Setting))}, such as decay,depth, got {over!r}")
    if steps is not None and "decay" not in names:
        raise InputError(f"expected --steps only with decay among --over, got it with {over!r}: the others step by one")
    count = parse_steps(steps or "60")
    texts = {"K": "10", "L": "2", "n": "1"} | model.texts()
    if "decay" not in texts:
        raise InputError("expected --decay (lambda), or a range of it such as 1e-5:0.1")
    values = {
        "decay": parse_range(texts["decay"], "decay", count),
        "classes": parse_range(texts["K"], "classes"),
        "depth": parse_range(texts["L"], "depth"),
    }
    values["width"] = parse_range(texts["d"], "width") if "d" in texts else [max(values["classes"])]
    for name, listed in values.items():
        if name not in names and len(listed) > 1:
            raise InputError(f"expected one --{name}, as --over does not name it, got a range")
    check_output(plot, PICTURES)
    look.inches(1.0, 1.0)
    check_output(out, TABLES)
    first = {name: listed[0] for name, listed in values.items()}
    problem = Problem.balanced(
        int(first["classes"]), int(parse_range(texts["n"], "samples")[0]), int(first["width"]), int(first["depth"]), first["decay"]
    )
    both = cast(tuple[Setting, Setting], tuple(names))
    with progress("phase diagram"):
        diagram = phase_diagram(problem, both, tuple(values[names[0]]), tuple(values[names[1]]))
    if plot is not None:
        _draw(diagram, plot, {name: listed[0] for name, listed in values.items() if name not in names and name != "width"}, look)
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
    from landscape.catalogue.phase_diagram import STATES

    first, second = diagram.over
    low, high, columns = diagram.horizontal[0], diagram.horizontal[-1], len(diagram.horizontal)
    print(f"{first} from {low:g} to {high:g} in {columns} columns; rows: {second}")
    width = max(len(f"{value:g}") for value in diagram.vertical)
    for value, row in reversed(list(zip(diagram.vertical, diagram.cells, strict=True))):
        print(f"{value:>{width}g} {''.join(_MARKS[cell.state] for cell in row)}")
    print("  ".join(f"{_MARKS[state]} {state}" for state in reversed(STATES)))


def _draw(diagram: "PhaseDiagram", path: Path, fixed: dict[str, float], look: PictureOptions) -> None:
    from landscape.plot.phase import draw_phase
    from landscape.plot.theme import COLUMN_WIDTH, new_figure, save_figure

    signs = {"classes": "K", "depth": "L", "decay": r"\lambda"}
    width, height = look.inches(COLUMN_WIDTH, 3.2)
    figure, (axes,) = new_figure(width=width, height=height)
    own = ", ".join(f"${signs[name]} = {value:g}$" for name, value in fixed.items())
    draw_phase(axes, diagram, own if look.title is None else look.title)
    save_figure(figure, path, look.dark)


def _write(diagram: "PhaseDiagram", path: Path) -> None:
    import pandas as pd

    table = pd.DataFrame([cell.as_dict() for row in diagram.cells for cell in row])
    table["index"] = table["index"].astype("Int64")
    write_table(table, path)
