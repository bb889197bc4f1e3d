"""`landscape solve`: from a start to a saved critical point."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.output import descent_progress, print_json, print_lines, warn
from landscape.cli.sources import (
    ActivationChoice,
    ClassesNumber,
    DecayText,
    DepthNumber,
    DeviceText,
    JsonFlag,
    LossChoice,
    OptionalRoot,
    RootChoice,
    SamplesNumber,
    SizesText,
    WidthNumber,
    check_steps,
    checked_device,
    given_problem,
    given_sizes,
    loaded,
    whole_number,
)
from landscape.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.point import CriticalPoint, Origin
    from landscape.problem import Problem
    from landscape.solver import Method

MethodChoice = Literal["ptc", "gd", "lbfgs", "softplus", "newton"]


def solve(
    *,
    out: Annotated[Path, Parameter(help="Where the point goes (.safetensors).")],
    classes: ClassesNumber = None,
    samples: SamplesNumber = None,
    class_sizes: SizesText = None,
    width: WidthNumber = None,
    depth: DepthNumber = None,
    decay: DecayText = None,
    loss: LossChoice = None,
    activation: ActivationChoice = None,
    start: Annotated[str, Parameter(help="random, dnc, pairs, apex, partition:6,2,2, or a saved point to go on from.")] = "random",
    root: OptionalRoot = None,
    init_scale: Annotated[str | None, Parameter(help="c_W,c_H of the random start (default 1,1).")] = None,
    method: Annotated[MethodChoice | None, Parameter(help="Default: ptc, and newton at analytic starts.")] = None,
    learning_rate: Annotated[float, Parameter(help="Of gd.")] = 0.5,
    max_steps: Annotated[int | None, Parameter(converter=whole_number, help="Of the method; its own default otherwise.")] = None,
    tolerance: Annotated[float | None, Parameter(help="Gradient norm that counts as critical (default 1e-12).")] = None,
    seed: Annotated[int, Parameter(converter=whole_number, help="Of the random start, or of the gauge of an analytic one.")] = 0,
    device: DeviceText = "cpu",
    json: JsonFlag = False,
) -> int:
    """Find a critical point and save it.

    Descent (ptc, gd, lbfgs; softplus for ReLU) decides which point; a Newton polish follows. Ctrl-C saves what was reached, to
    be continued with --start FILE; then loss, gradient and structure before and after are printed, and how far it moved.
    """
    from landscape.point import Origin, Outcome
    from landscape.solver import solve as run
    from landscape.solver.run import CRITICAL
    from landscape.store import check_writable

    check_writable(out)
    _check_numbers(learning_rate, max_steps, tolerance, seed)
    sizes = given_sizes(classes, samples, class_sizes)
    given = {"width": width, "depth": depth, "decay": decay, "loss": loss, "activation": activation, "classes": sizes}
    given |= {"root": root, "init-scale": init_scale}
    before: CriticalPoint | None = None
    if Path(start).suffix == ".safetensors":
        named = [name for name, value in given.items() if value is not None]
        if named:
            raise InputError(f"expected no --{named[0]} with --start {start}: the saved point has its own problem")
        before = loaded(Path(start), device)
        problem, theta = before.problem, before.theta
        origin = Origin(before.origin.start, before.origin.methods, before.origin.seed)
        methods = _methods(method or "ptc", learning_rate, max_steps)
    else:
        problem = given_problem(sizes, width, depth, decay, loss, activation)
        theta, origin = _start(problem, start, root, init_scale, seed)
        methods = _methods(method or ("ptc" if start == "random" else "newton"), learning_rate, max_steps)
    theta = theta.to(checked_device(device))
    with descent_progress(f"{start} seed {seed}") as watch:
        point = run(problem, theta, methods, origin, CRITICAL if tolerance is None else tolerance, watch)
    diverged = point.outcome is Outcome.DIVERGED
    if not diverged:
        point.save(out)
    _print(point, before, None if diverged else out, json)
    if point.outcome is Outcome.CONVERGED:
        return DONE
    warn(f"not critical: {point.outcome.value}{'; nothing was saved' if diverged else ''}")
    return NOT_AS_ASKED


def _check_numbers(learning_rate: float, max_steps: int | None, tolerance: float | None, seed: int) -> None:
    check_steps(learning_rate, max_steps)
    if tolerance is not None and not 0 < tolerance < float("inf"):
        raise InputError(f"expected a positive finite --tolerance, got {tolerance:g}")
    if not 0 <= seed < 2**63:
        raise InputError(f"expected a --seed from 0 to 2**63 - 1, got {seed}")


def _start(problem: "Problem", start: str, root: RootChoice | None, init_scale: str | None, seed: int) -> tuple["Tensor", "Origin"]:
    from landscape.notation import parse_scales, parse_structure
    from landscape.point import Origin
    from landscape.structures import Random, analytic, describe, embed, random_start

    if start == "random":
        if root is not None:
            raise InputError("expected --root only with an analytic start, got it with --start random")
        weight_scale, feature_scale = parse_scales(init_scale or "1,1")
        words = f"random, c_W={weight_scale:g}, c_H={feature_scale:g}"
        return random_start(problem, Random(weight_scale, feature_scale, seed)), Origin(words, seed=seed)
    if init_scale is not None:
        raise InputError(f"expected --init-scale only with --start random, got it with --start {start}")
    structure = parse_structure(start, root or "large")
    return embed(problem, analytic(problem, structure), seed), Origin(f"analytic {describe(structure)}", seed=seed)


def _methods(method: MethodChoice, learning_rate: float, max_steps: int | None) -> "tuple[Method, ...]":
    from dataclasses import replace

    from landscape.solver import LBFGS, GradientDescent, Newton, PseudoTransient, SoftplusContinuation

    settings: Method
    match method:
        case "ptc":
            settings = PseudoTransient()
        case "gd":
            settings = GradientDescent(learning_rate)
        case "lbfgs":
            settings = LBFGS()
        case "softplus":
            settings = SoftplusContinuation()
        case "newton":
            settings = Newton()
    if max_steps is not None:
        settings = replace(settings, max_steps=max_steps)
    return (settings,) if method == "newton" else (settings, Newton())


def _print(point: "CriticalPoint", before: "CriticalPoint | None", out: Path | None, json: bool) -> None:
    import math

    from landscape.solver import Move

    move = None if before is None else Move.of(before, point)
    facts = {
        "out": None if out is None else str(out),
        "loss": point.loss,
        "gradient_norm": point.gradient_norm,
        "outcome": point.outcome.name.lower(),
        "steps": point.steps,
        "seed": point.origin.seed,
        "parameters": point.problem.parameters,
    }
    if json:
        finite = {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in facts.items()}
        print_json(finite | (move.as_dict() if move else {}))
    else:
        rows = [(key.replace("_", " "), "none" if value is None else f"{value}") for key, value in facts.items()]
        print_lines([("problem", str(point.problem)), *(move.rows() if move else []), *rows])
