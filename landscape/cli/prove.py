"""`landscape prove` and `landscape check`: a theorem about a critical point, and the verification of a proof file."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.output import check_output, print_json, warn
from landscape.cli.sources import JsonFlag, ProblemText, RootText, StartText, loaded
from landscape.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.point import CriticalPoint
    from landscape.problem import Problem
    from landscape.proof.scales import Group
    from landscape.proof.statement import NoPoint, Proof, Unproved
    from landscape.structures import Structure

_OUTSIDE = 1e-6  # of the norm of a saved point: what it may have outside its core, which the proof is about
_SAME = 1e-6  # relative distance of class logits up to which a structure is worth a line, and a point is that of a proof
_COUPLINGS = (1e-6, 1e-9, 1e-12)  # of the largest logit: what is smaller does not join two classes into a group


def prove(
    point: Annotated[Path | None, Parameter(help="A point saved by landscape.")] = None,
    *,
    problem: ProblemText = None,
    start: StartText = None,
    root: RootText = "large",
    out: Annotated[Path | None, Parameter(help="Where the proof goes (.json), for landscape check.")] = None,
    json: JsonFlag = False,
) -> int:
    """Prove rank, index and nullity of a critical point in ball arithmetic, and write the proof.

    Named partitions (--problem with --start) are proved by small blocks at any size, and carry their name. A saved point and any
    other start are proved by a box around the core: it holds exactly one critical point, up to the symmetries, at a stated
    distance. That theorem has no name, since another critical point may be as close. What is printed has passed the checker.
    Exit code 1: not proved, neither for nor against.
    """
    from landscape.proof.certificate import to_json
    from landscape.proof.checker import check as verified
    from landscape.proof.statement import Proof
    from landscape.store import replacing

    if (point is None) == (problem is None):
        raise InputError("expected either a point file or --problem with --start, got both or neither")
    if (start is None) != (problem is None):
        raise InputError("expected --problem together with --start dnc, pairs, apex or partition:6,2,2")
    check_output(out, (".json",))
    notes: list[str] = []
    found = _of_point(loaded(point, "cpu"), notes) if point is not None else _of_structure(str(problem), str(start), root)
    if not isinstance(found, Proof):
        return _answered(False, found.reason, {}, [], json)
    text = to_json(found)
    try:
        theorem = verified(text)
    except ValueError as error:
        return _answered(False, f"the checker does not accept the proof: {error}", {}, [], json)
    if out is not None:
        with replacing(out) as temporary:
            temporary.write_text(text, encoding="utf-8")
    facts = _facts(text) | {"bits": found.bits, "notes": notes, "out": None if out is None else str(out)}
    return _answered(True, theorem, facts, notes, json)


def check(
    proof: Annotated[Path, Parameter(help="A proof written by landscape prove.")],
    point: Annotated[Path | None, Parameter(help="The saved point that the proof should be about.")] = None,
    *,
    problem: ProblemText = None,
    json: JsonFlag = False,
) -> int:
    """Verify a proof file with code of its own, and compare it with the problem or the point that was asked for.

    The checker shares nothing with the prover: it reads every number of the file as a claim and derives the theorem again in ball
    arithmetic. Exit code 1: not a valid proof, or one about another problem, another decay or another point.
    """
    from landscape.proof.checker import LONGEST_TEXT
    from landscape.proof.checker import check as verified

    if point is not None and problem is not None:
        raise InputError("expected either a point file or --problem to compare with, got both")
    asked = None if point is None else loaded(point, "cpu")
    try:
        if proof.stat().st_size > LONGEST_TEXT:
            raise InputError(f"expected a proof of at most {LONGEST_TEXT} bytes, got {proof.stat().st_size} in {proof}")
        text = proof.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(f"no such file: {proof}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"expected a proof, got {proof}, which cannot be read as text ({error})") from error
    wanted = asked.problem if asked is not None else _parsed(problem)
    try:
        theorem = verified(text)
    except ValueError as error:
        return _answered(False, str(error), {}, [], json)
    facts = _facts(text)
    if wanted is not None and (other := _another(facts["problem"], wanted)):
        return _answered(False, f"the proof is valid but about another problem: {other}", facts, [], json)
    notes = []
    if asked is not None and facts["kind"] == "point":
        apart = _core_distance(asked, text)
        if not apart <= _SAME:
            reason = (
                f"the proof is valid but about another point: its class logits are {apart:.1e} (relative) from those of {point}"
            )
            return _answered(False, reason, facts, [], json)
        notes.append(f"The class logits of its core are within {apart:.1e} (relative) of those of {point}.")
    return _answered(True, theorem, facts | {"notes": notes}, notes, json)


def _answered(proved: bool, words: str, facts: dict[str, Any], notes: Sequence[str], json: bool) -> int:
    if json:
        print_json({"proved": proved, "theorem" if proved else "reason": words, **facts})
    elif proved:
        print("\n".join([words, *notes]))
    if not proved:
        warn(f"not proved: {words.removeprefix('not proved: ')}")
    return DONE if proved else NOT_AS_ASKED


def _facts(text: str) -> dict[str, Any]:
    """The claims of a proof that the checker has accepted, doubles as numbers; without the evidence."""
    import json

    from landscape.proof.checker import SLACK

    claims = json.loads(text)
    facts: dict[str, Any] = {key: claims[key] for key in ("kind", "rank", "nullity", "index", "parameters")}
    facts["problem"] = claims["problem"] | {"decays": [float.fromhex(decay) for decay in claims["problem"]["decays"]]}
    facts["loss"] = [float.fromhex(bound) for bound in claims["loss"]]
    facts["name"] = claims.get("name")
    facts["distance"] = float.fromhex(claims["distance"]) * (1 + SLACK) if "distance" in claims else None
    return facts


def _parsed(problem: str | None) -> "Problem | None":
    if problem is None:
        return None
    from landscape.notation import parse_problem

    return parse_problem(problem)


def _another(claimed: dict[str, Any], wanted: "Problem") -> str:
    """Says in what a problem differs from that of a proof; empty where it does not."""
    if not wanted.is_linear:
        return f"its layers are linear, {wanted.activation} was asked for"
    asked = {
        "class_sizes": list(wanted.class_sizes),
        "width": wanted.width,
        "depth": wanted.depth,
        "loss": wanted.loss,
        "decays": [float(decay) for decay in wanted.decays],
    }
    for key, value in asked.items():
        if claimed[key] != value:
            return (
                f"its {key.replace('_', ' ')} {'are' if key.endswith('s') and key != 'loss' else 'is'} {claimed[key]}, not {value}"
            )
    return ""


def _of_structure(problem: str, start: str, root: Any) -> "Proof | Unproved | NoPoint":
    from landscape.notation import parse_problem, parse_structure
    from landscape.proof.box import prove_point
    from landscape.proof.structures import prove_structure
    from landscape.reduction import Core
    from landscape.structures import analytic

    model, structure = parse_problem(problem), parse_structure(start, root)
    groups = _groups(model, structure)
    if groups is not None:
        return prove_structure(model, groups)
    core = Core.from_form(model, analytic(model, structure))
    return prove_point(model, core.rank, core.theta.tolist())


def _groups(problem: "Problem", structure: "Structure") -> "list[Group] | None":
    """The groups of a partition structure in class order, or None for any other structure."""
    from landscape.proof.scales import Group
    from landscape.structures import Collapse, Pairs, Partition

    sizes: tuple[int, ...]
    match structure:
        case Collapse(root):
            sizes = (problem.classes,) if problem.loss == "ce" else (1,) * problem.classes
        case Pairs(root) if problem.classes % 2 == 0 and problem.loss == "ce":
            sizes = (2,) * (problem.classes // 2)
        case Partition(sizes, root) if problem.loss == "ce":
            pass
        case _:
            return None
    if min(sizes) < 1 or sum(sizes) != problem.classes:
        listed = ",".join(map(str, sizes))
        raise InputError(f"expected groups of at least 1 that sum to {problem.classes} classes, got {listed}")
    places = [sum(sizes[:i]) for i in range(len(sizes))]
    return [Group(g, problem.class_sizes[place], root) for g, place in zip(sizes, places, strict=True)]


def _of_point(saved: "CriticalPoint", notes: list[str]) -> "Proof | Unproved":
    """The box theorem about a saved point; the notes say how far it is from the file, and from a structure that has a name."""
    from landscape.proof.box import prove_point
    from landscape.proof.statement import Proof, Unproved
    from landscape.reduction import compress
    from landscape.solver.newton import rank_tolerance

    if not saved.problem.is_linear:
        raise InputError(f"expected linear layers for a proof, got {saved.problem.activation}: no proof is known for a rectifier")
    try:
        core, frames = compress(saved.problem, saved.theta, rank_tolerance(saved.problem, saved.theta, saved.gradient_norm))
    except InputError as error:
        return Unproved(f"the point has no core ({error})")
    outside = float((core.embed(frames) - saved.theta).norm())
    if not outside <= _OUTSIDE * float(saved.theta.norm()):
        return Unproved(
            f"the point is not critical: {outside:.1e} of it lies outside its core (solve --start FILE goes on from it)"
        )
    found = prove_point(saved.problem, core.rank, core.theta.tolist())
    if isinstance(found, Proof):
        away = outside + (found.distance or 0.0)
        notes.append(
            f"The critical point is about {away:.1e} from the saved one, of which {outside:.1e} is the distance of the core."
        )
        notes += _named_structure(saved.problem, core.class_logits)
    return found


def _named_structure(problem: "Problem", logits: "Tensor") -> list[str]:
    """One line about the partition structure that class logits match, where its blocks prove it, and how far they are from it."""
    from dataclasses import replace

    import torch

    from landscape.proof.certificate import to_json
    from landscape.proof.checker import check as verified
    from landscape.proof.statement import Proof
    from landscape.proof.structures import prove_structure

    for coupling in _COUPLINGS:
        members = _components((logits.abs() > coupling * logits.abs().max()).tolist())
        groups = [_group(problem, logits, classes) for classes in members]
        if any(group is None for group in groups):
            continue
        sizes = tuple(problem.class_sizes[c] for classes in members for c in classes)
        proof = prove_structure(replace(problem, class_sizes=sizes), [group for group in groups if group is not None])
        if not isinstance(proof, Proof) or proof.rank == 0:
            continue
        exact = torch.zeros_like(logits)
        for classes, payload in zip(members, proof.data["groups"], strict=True):
            low, high = (float.fromhex(end) for end in payload["scale"])
            shape = torch.eye(len(classes), dtype=logits.dtype) - (1 / len(classes) if problem.loss == "ce" else 0)
            exact[torch.tensor(classes)[:, None], torch.tensor(classes)] = (low + high) / 2 * shape
        apart = float((exact - logits).norm())
        if apart <= _SAME * float(logits.norm()):
            try:
                verified(to_json(proof))
            except ValueError:
                return []
            counts = f"{proof.nullity} zero and {proof.index} negative eigenvalues"
            return [
                f"Its class logits are {apart:.1e} from those of the critical point {proof.name}, which is proved to have {counts}."
            ]
    return []


def _components(linked: list[list[bool]]) -> list[list[int]]:
    """Connected components of the classes, each ascending, the largest first."""
    left, found = set(range(len(linked))), []
    while left:
        reached = [left.pop()]
        for node in reached:
            new = {other for other in left if linked[node][other] or linked[other][node]}
            left -= new
            reached += sorted(new)
        found.append(sorted(reached))
    return sorted(found, key=lambda classes: (-len(classes), classes))


def _group(problem: "Problem", logits: "Tensor", classes: list[int]) -> "Group | None":
    """The group that some classes form, at the root that is closest to their scale; None if it has none."""
    from landscape.codes import Simplex
    from landscape.proof.scales import Group
    from landscape.structures import scale_equation
    from landscape.theory import mode_equation

    g, samples = len(classes), {problem.class_sizes[c] for c in classes}
    modes = problem.loss == "mse"
    if len(samples) > 1 or (modes and g > 1):
        return None
    n = samples.pop()
    scale = float(sum(logits[c, c] for c in classes)) / (g if modes else max(g - 1, 1))
    if g == 1 and (not modes or abs(scale) <= _SAME * float(logits.abs().max())):
        return Group(1, n, "off")
    equation = mode_equation(problem, n) if modes else scale_equation(problem, Simplex(g), n)
    large = equation.root("large")
    small = equation.root("small")
    if large is None:
        return None
    nearer = small is not None and abs(math.log(max(scale, 1e-300) / small)) < abs(math.log(max(scale, 1e-300) / large))
    return Group(g, n, "small" if nearer else "large")


def _core_distance(saved: "CriticalPoint", text: str) -> float:
    """Relative distance of the class logits of a proof's core from those of a saved point; both are free of the gauge."""
    import json

    import torch

    from landscape.objective import Objective, class_means
    from landscape.reduction import Core

    claims = json.loads(text)
    given = torch.tensor([float.fromhex(value) for value in claims["core"]["given"]], dtype=torch.float64)
    theirs = Core(saved.problem, claims["rank"], given).class_logits if claims["rank"] else torch.zeros(())
    ours = class_means(saved.problem, Objective.of(saved.problem, saved.theta).logits(saved.theta))
    size = float(ours.norm())
    return float((ours - theirs).norm()) / size if size else float(theirs.norm())
