"""`landscape solve`: from a start to a saved critical point."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.options import (
    NO_PROBLEM,
    DeviceText,
    JsonFlag,
    LearningRate,
    OptionalRoot,
    ProblemOptions,
    RootChoice,
    SeedNumber,
    StepsLimit,
    checked_device,
    positive,
)
from landscape.cli.output import print_json, print_lines, warn
from landscape.cli.progress import descent_progress
from landscape.cli.sources import loaded
from landscape.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.model.problem import Problem
    from landscape.points.point import CriticalPoint, Origin
    from landscape.solver.methods import Method

SolveMethod = Literal["ptc", "gd", "lbfgs", "softplus", "newton"]


def solve(
    *,
    out: Annotated[Path, Parameter(help="Where the point goes (.safetensors).")],
    model: ProblemOptions = NO_PROBLEM,
    start: Annotated[str, Parameter(help="random, DNC, pairs, apex, partition:6,2,2, or a saved point to go on from.")] = "random",
    root: OptionalRoot = None,
    init_scale: Annotated[str | None, Parameter(help="c_W,c_H of the random start (default 1,1).")] = None,
    method: Annotated[SolveMethod | None, Parameter(help="Default: ptc, and newton at analytic starts.")] = None,
    learning_rate: LearningRate = 0.5,
    max_steps: StepsLimit = None,
    tolerance: Annotated[
        float | None, Parameter(validator=positive, help="Gradient norm that counts as critical (default 1e-12).")
    ] = None,
    seed: SeedNumber | None = None,
    device: DeviceText = "cpu",
    json: JsonFlag = False,
) -> int:
    """Find a critical point and save it.

    Descent (ptc, gd, lbfgs; softplus for ReLU) decides which point; a Newton polish follows. Ctrl-C saves what was reached, to
    be continued with --start FILE; then loss, gradient and structure before and after are printed, and how far it moved.
    """
    from landscape.atomic_files import check_writable
    from landscape.points.point import Origin, Outcome
    from landscape.solver.run import CRITICAL, require_solve_memory
    from landscape.solver.run import solve as run

    check_writable(out)
    before: CriticalPoint | None = None
    if Path(start).suffix == ".safetensors":
        others = {"--root": root, "--init-scale": init_scale, "--seed": seed}
        if named := [*model.given, *(name for name, value in others.items() if value is not None)]:
            raise InputError(f"expected no {named[0]} with --start {start}: the saved point has its own problem and start")
        before = loaded(Path(start), device)
        problem, theta = before.problem, before.theta
        origin = Origin(before.origin.start, before.origin.methods, before.origin.seed)
        methods = _methods(method or "ptc", learning_rate, max_steps)
    else:
        problem = model.build()
        methods = _methods(method or ("ptc" if start == "random" else "newton"), learning_rate, max_steps)
        require_solve_memory(problem, methods)
        theta, origin = _start(problem, start, root, init_scale, seed or 0)
    theta = theta.to(checked_device(device))
    with descent_progress(f"{start} seed {origin.seed}" if before is None else start) as watch:
        point = run(problem, theta, methods, origin, CRITICAL if tolerance is None else tolerance, watch)
    diverged = point.outcome is Outcome.DIVERGED
    if not diverged:
        point.save(out)
    _print(point, before, None if diverged else out, json)
    if point.outcome is Outcome.CONVERGED:
        return DONE
    warn(f"not critical: {point.outcome.value}; {'nothing was saved' if diverged else f'it is saved in {out}'}")
    return NOT_AS_ASKED


def _start(problem: "Problem", start: str, root: RootChoice | None, init_scale: str | None, seed: int) -> tuple["Tensor", "Origin"]:
    from landscape.model.logit_form import write_parameters
    from landscape.points.point import Origin
    from landscape.solver.starts import Random, random_start
    from landscape.structures.analytic import logit_form
    from landscape.structures.names import name
    from landscape.structures.notation import parse_scales, parse_structure

    if start == "random":
        if root is not None:
            raise InputError("expected --root only with an analytic start, got it with --start random")
        weight_scale, feature_scale = parse_scales(init_scale or "1,1")
        words = f"random, c_W={weight_scale:g}, c_H={feature_scale:g}"
        return random_start(problem, Random(weight_scale, feature_scale, seed)), Origin(words, seed=seed)
    if init_scale is not None:
        raise InputError(f"expected --init-scale only with --start random, got it with --start {start}")
    structure = parse_structure(start, root or "large")
    return write_parameters(problem, logit_form(problem, structure), seed), Origin(f"analytic {name(structure)}", seed=seed)


def _methods(method: SolveMethod, learning_rate: float, max_steps: int | None) -> "tuple[Method, ...]":
    from dataclasses import replace

    from landscape.solver.methods import LBFGS, GradientDescent, Newton, PseudoTransient, SoftplusContinuation

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

    from landscape.solver.moved import Move

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
