"""`landscape network`: a network of the user's own, from its code and a checkpoint to a count and to slices of its loss."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.applies import Needs, NotWith
from landscape.cli.network_options import BuildText, NetworkOptions
from landscape.cli.network_points import sources_of
from landscape.cli.network_slices import cut_of, way_between
from landscape.cli.network_spectrum import draw_network_spectrum
from landscape.cli.options import JsonFlag, within
from landscape.cli.output import PICTURES, check_output, print_json, print_lines, warn
from landscape.cli.pictures import AS_IT_IS, PictureOptions
from landscape.cli.progress import progress
from landscape.cli.slices import AS_FOUND, Delivery, SliceLook, SliceSeed, SliceSteps, SpanText, SurfaceFlag

if TYPE_CHECKING:
    from landscape.network.loss import ModuleLoss
    from landscape.network.polishing import Polished, PolishStep

NetworkMethodChoice = Literal["auto", "dense", "inertia", "quotient", "recurrence"]


def inspect(
    build: BuildText,
    *,
    network: NetworkOptions,
    polish: Annotated[bool, Parameter(negative="", help="Descend to a critical point first; a count needs one.")] = False,
    to: Annotated[
        float, Parameter(validator=within(1e-300), help="Gradient norm that --polish descends to."), Needs(("--polish",))
    ] = 1e-10,
    symmetries: Annotated[bool, Parameter(negative="", help="Print every symmetry that was found, by parameter names.")] = False,
    method: Annotated[NetworkMethodChoice, Parameter(help="How zeros are counted; auto chooses by the size.")] = "auto",
    out: Annotated[Path | None, Parameter(help="Where the point with its counts goes (.safetensors).")] = None,
    plot: Annotated[Path | None, Parameter(help="Picture of the spectrum: .png, .pdf or .svg.")] = None,
    look: PictureOptions = AS_IT_IS,
    json: JsonFlag = False,
) -> int:
    """Count the flat directions of a network of your own, and explain them by its symmetries.

    IT IMPORTS YOUR FILES: the code in FILE.py is run, as python FILE.py would do, so name only files that you trust. The
    checkpoint is read without running anything in it. The network is lifted to float64 and put into evaluation mode; the decay
    is the weight_decay of torch.optim.SGD. Exit code 1: the counts are not certain, and the reason is printed.
    """
    from landscape.network.analysis import analyse_network
    from landscape.network.point_file import save_network_point

    check_output(out, (".safetensors",))
    check_output(plot, PICTURES)
    look.inches(1.0, 1.0)
    problem, loaded = network.problem(build)
    source: ModuleLoss | Polished = problem
    if polish:
        source = _polished(problem, to)
    with progress("analysis") as shown:
        report = analyse_network(source, method, progress=lambda line: shown.update(state=line))
    if out is not None:
        save_network_point(out, report.problem, sources_of(build, network))
    if plot is not None:
        draw_network_spectrum(report, plot, look)
    head = [("out", str(out))] if out is not None else []
    if loaded is not None:
        unused = f", not used: {', '.join(loaded.unused[:4])}" if loaded.unused else ""
        head.append(("weights", f"{network.checkpoint}{f', prefix {loaded.prefix}' if loaded.prefix else ''}{unused}"))
    if json:
        print_json(dict(head) | report.as_dict())
    else:
        found = report.symmetries.rows() if symmetries and report.symmetries is not None else []
        print_lines([*head, *report.rows(), *found])
    if not report.resolved:
        warn(report.reason)
        return NOT_AS_ASKED
    return DONE


def slices(
    build: BuildText,
    other: Annotated[Path | None, Parameter(help="A second checkpoint: the way to it instead of directions.")] = None,
    *,
    network: NetworkOptions,
    along: Annotated[str, Parameter(help="One or two of random, stiffest, second, lowest."), NotWith("--other")] = "random,random",
    span: SpanText = None,
    steps: SliceSteps = 51,
    seed: SliceSeed = 0,
    surface: SurfaceFlag = False,
    out: Annotated[Path | None, Parameter(help="Table of places and losses: .csv or .parquet.")] = None,
    plot: Annotated[Path | None, Parameter(help="Picture: .png, .pdf or .svg.")] = None,
    look: SliceLook = AS_FOUND,
    json: JsonFlag = False,
) -> int:
    """Draw the loss of a network of your own: a line or a plane through its weights, or the way to another checkpoint.

    IT IMPORTS YOUR FILES: the code in FILE.py is run, so name only files that you trust. random is a random direction in which
    every filter has the norm of that filter of the weights (Li et al. 2018); stiffest, second and lowest are eigenvectors.
    """
    to = Delivery(out, plot, json, look, surface).checked()
    problem, _ = network.problem(build)
    name = build if network.checkpoint is None else network.checkpoint.stem
    if other is not None:
        return way_between(problem, other, steps, name, to)
    return cut_of(problem, along, span, steps, seed, name, to)


def _polished(problem: "ModuleLoss", to: float) -> "Polished":
    """Returns the critical point that descent reaches, and says why it stopped where it did not."""
    from landscape.network.polishing import polish

    with progress("polish") as shown:

        def watch(step: "PolishStep") -> None:
            shown.update(state=f"{step.method}  loss {step.loss:.9f}  gradient {step.gradient_norm:.1e}  {step.products} products")

        found = polish(problem, to, progress=watch)
    if not found.converged:
        warn(f"gradient norm {found.gradient_norm:.1e}: {found.stopped.value}")
    return found
