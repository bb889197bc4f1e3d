"""`landscape predict`: how often descent will find DNC, by the law of the width or by a formula."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.applies import Chosen
from landscape.cli.options import NO_PROBLEM, DeviceText, JsonFlag, ProblemOptions, SwapText, checked_device, whole_number, within
from landscape.cli.output import print_json, print_lines, warn
from landscape.cli.progress import progress
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.archive.experiment import Experiment
    from landscape.studies.prediction.counts import LawPrediction
    from landscape.studies.prediction.formula import FormulaPrediction
    from landscape.studies.prevalence import Prevalence

_LAW = Chosen("--method", ("law", "both"))
GroupsNumber = Annotated[
    int | None,
    Parameter(converter=whole_number, validator=within(1), help="T, groups of directions (default 2; 4 for small features)."),
    _LAW,
]


def predict(
    *,
    model: ProblemOptions = NO_PROBLEM,
    init_scale: Annotated[str, Parameter(help="c_W,c_H of the random starts.")] = "1,1",
    starts: Annotated[
        int, Parameter(converter=whole_number, validator=within(1), help="Reduced starts that are followed."), _LAW
    ] = 200,
    method: Annotated[Literal["law", "formula", "both"], Parameter(help="Count reduced starts, or evaluate a formula.")] = "law",
    groups: GroupsNumber = None,
    swap: SwapText = None,
    out: Annotated[Path | None, Parameter(help="Folder of the records; an interrupted run goes on from it."), _LAW] = None,
    device: DeviceText = "cpu",
    json: JsonFlag = False,
) -> int:
    """Predict where descent from random starts of a width ends.

    The law follows starts in the K + N directions that descent reaches first, drawn with the law of the width: any width costs the
    same. The formula (two layers, balanced, cross-entropy) is an approximation that takes seconds. Exit code 1 if more groups of
    directions would change more than 3 % of the verdicts, or starts did not converge.
    """
    from landscape.archive.experiment import Experiment
    from landscape.solver.methods import Random
    from landscape.structures.notation import parse_scales
    from landscape.studies.prediction.formula import predict_by_formula
    from landscape.studies.starts.swap import altered, class_mean_problem, parse_swap

    problem, device = model.build(), checked_device(device)
    scales = parse_scales(init_scale)
    if not min(scales) > 0:
        raise InputError(f"expected two scales c_W,c_H > 0 for a prediction, got {init_scale!r}: nothing moves from zero")
    changes = None if swap is None else parse_swap(swap)
    given, problem = problem, class_mean_problem(problem, changes)
    answer: dict[str, Any] = {
        "problem": problem.as_dict(),
        "weight_scale": scales[0],
        "feature_scale": scales[1],
        "swap": None if changes is None else changes.as_dict(),
    }
    rows = [("problem", str(problem)), ("scales", f"c_W={scales[0]:g}, c_H={scales[1]:g}")]
    rows += [] if changes is None else [("swapped", changes.describe())]
    if given != problem:
        warn(f"the given features are class means: one sample per class at decay {problem.mean_decay:g} stands for the {given}")
    if method != "law":
        if changes is not None:
            raise InputError("expected --method law with --swap: the formula is for plain starts")
        formula = predict_by_formula(problem, scales)
        answer["formula"] = formula.as_dict()
        rows += _formula_rows(formula)
    law: LawPrediction | None = None
    whole = True
    if method != "formula":
        law, whole = _followed(Experiment(problem, altered(Random(*scales), swap, groups)), starts, out, device)
        answer["law"] = law.as_dict() if whole else law.as_dict() | {"left": starts - len(law.result.ends)}
        rows += _law_rows(law)
    if json:
        print_json(answer)
    else:
        print_lines(rows)
    if law is None:
        return DONE
    return _judged(law) if whole else _interrupted(len(law.result.ends), starts, out)


def _followed(experiment: "Experiment", starts: int, out: Path | None, device: str) -> "tuple[LawPrediction, bool]":
    """Returns what the starts say, and whether that is all of it: after Ctrl-C it is what those say that had arrived."""
    from landscape.studies.prediction.counts import LawPrediction, predict_by_law
    from landscape.studies.prevalence import arrived

    seen: list[Prevalence] = []  # the last of the starts themselves, not of their repetition
    with progress("starts") as shown:

        def watch(so_far: "Prevalence") -> None:
            if not seen or so_far.experiment == seen[0].experiment:
                seen[:] = [so_far]
            shown.update(len(so_far.ends), starts)

        try:
            return predict_by_law(experiment, starts, out, device, watch), True
        except KeyboardInterrupt:
            if not seen:
                raise
    return LawPrediction.of_part(seen[0] if out is None else arrived(seen[0].experiment, starts, out)), False


def _interrupted(have: int, starts: int, out: Path | None) -> int:
    left = f"{starts - have} are left" if have < starts else "which are not repeated with one group more yet"
    if out is None:
        warn(f"interrupted: {have} of {starts} starts had arrived and are not kept: --out DIR keeps them")
    else:
        warn(f"interrupted: {have} of {starts} starts are in {out}, {left}; the same command goes on from there")
    return NOT_AS_ASKED


def _formula_rows(formula: "FormulaPrediction") -> list[tuple[str, str]]:
    return [
        ("formula", f"P(DNC) = {formula.share:.3f}, an approximation"),
        ("  r", f"{formula.r:.4f}, {formula.feature_share:.0%} of r^2 from the features' Gram matrix"),
        ("  effective width", f"{formula.effective_width:g} (0.4 in it is fitted)"),
        ("  exponent", f"r^2 / 2 = {formula.exponent:.4f} per unit of effective width"),
    ]


def _law_rows(law: "LawPrediction") -> list[tuple[str, str]]:
    said = law.as_dict()
    rows = [("law", f"{said['starts']} {said['follows']}" + ("" if law.groups is None else f", T={law.groups}"))]
    for name, (low, high) in said["intervals"].items():
        count = said["counts"][name]
        rows.append((f"  {name}", f"{count}  {count / said['starts']:.3f}  ({low:.3f} .. {high:.3f})"))
    if law.agreement is not None:
        low, high = law.agreement.interval
        share = f"{law.agreement.same} of {law.agreement.repeated} ({low:.3f} .. {high:.3f})"
        rows.append((f"  same verdict at T={(law.groups or 0) + 1}", share))
    return rows


def _judged(law: "LawPrediction") -> int:
    if law.undecided:
        warn(f"undecided: T={law.groups} and one group more disagree too often: raise --groups")
    if law.result.non_converged:
        warn(f"{law.result.non_converged} of {len(law.result.ends)} starts did not converge")
    return NOT_AS_ASKED if law.undecided or law.result.non_converged else DONE
