"""`landscape prove` and `landscape check`: a theorem about a critical point, and the verification of a proof file."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.options import NO_PROBLEM, DeviceText, JsonFlag, ProblemOptions, RootText, StartText
from landscape.cli.output import check_output, print_json, warn
from landscape.cli.progress import progress
from landscape.cli.sources import check_source, loaded
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.model.problem import Problem
    from landscape.model.reduced_point import Core
    from landscape.points.point import CriticalPoint
    from landscape.proof.statement import NoPoint, Proof, Unproved

_SAME = 1e-6  # relative distance of class logits up to which a point is that of a proof


def prove(
    point: Annotated[Path | None, Parameter(help="A point saved by landscape.")] = None,
    *,
    model: ProblemOptions = NO_PROBLEM,
    start: StartText = None,
    root: RootText = "large",
    out: Annotated[Path | None, Parameter(help="Where the proof goes (.json), for landscape check.")] = None,
    device: DeviceText = "cpu",
    json: JsonFlag = False,
) -> int:
    """Prove rank, index and nullity of a critical point in ball arithmetic, and write the proof.

    Named partitions (--problem with --start) are proved by small blocks at any size, and carry their name. A saved point and any
    other start are proved by a box around the core: it holds exactly one critical point, up to the symmetries, at a stated
    distance. That theorem has no name, since another critical point may be as close. What is printed has passed the checker.
    Exit code 1: not proved, neither for nor against.
    """
    from landscape.atomic_files import atomic_write
    from landscape.proof.certificate import to_json
    from landscape.proof.checker import check as verified
    from landscape.proof.statement import Proof

    check_source(point, model, start)
    check_output(out, (".json",))
    notes: list[str] = []
    with progress("proof"):
        found = _of_structure(model, str(start), root) if point is None else _of_point(loaded(point, device), notes)
    if not isinstance(found, Proof):
        return _answered(False, found.reason, {}, [], json)
    text = to_json(found)
    try:
        theorem = verified(text)
    except ValueError as error:
        return _answered(False, f"the checker does not accept the proof: {error}", {}, [], json)
    if out is not None:
        with atomic_write(out) as temporary:
            temporary.write_text(text, encoding="utf-8")
    facts = _facts(text) | {"bits": found.bits, "notes": notes, "out": None if out is None else str(out)}
    return _answered(True, theorem, facts, notes, json)


def check(
    proof: Annotated[Path, Parameter(help="A proof written by landscape prove.")],
    point: Annotated[Path | None, Parameter(help="The saved point that the proof should be about.")] = None,
    *,
    model: ProblemOptions = NO_PROBLEM,
    device: DeviceText = "cpu",
    json: JsonFlag = False,
) -> int:
    """Verify a proof file with code of its own, and compare it with the problem or the point that was asked for.

    The checker shares nothing with the prover: it reads every number of the file as a claim and derives the theorem again in ball
    arithmetic. Exit code 1: not a valid proof, or one about another problem, another decay or another point.
    """
    from landscape.plain_file import read_text
    from landscape.proof.checker import LONGEST_TEXT
    from landscape.proof.checker import check as verified

    if point is not None and model.given:
        raise InputError("expected either a point file or --problem to compare with, got both")
    asked = None if point is None else loaded(point, device)
    text = read_text(proof, LONGEST_TEXT, "a proof")
    wanted = asked.problem if asked is not None else (model.build() if model.given else None)
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


def _of_structure(options: ProblemOptions, start: str, root: Any) -> "Proof | Unproved | NoPoint":
    from landscape.degeneracy.proved import prove as proved
    from landscape.structures.notation import parse_structure

    return proved(options.build(), parse_structure(start, root))


def _of_point(saved: "CriticalPoint", notes: list[str]) -> "Proof | Unproved | NoPoint":
    """The box theorem about a saved point; the notes say how far it is from the file, and from a structure that has a name."""
    from landscape.degeneracy.proved import core_of
    from landscape.degeneracy.proved import prove as proved
    from landscape.proof.statement import Proof, Unproved

    compressed = core_of(saved)
    if isinstance(compressed, Unproved):
        return compressed
    core, outside = compressed
    found = proved(core)
    if isinstance(found, Proof):
        away = outside + (found.distance or 0.0)
        notes.append(
            f"The critical point is about {away:.1e} from the saved one, of which {outside:.1e} is the distance of the core."
        )
        notes += _named_structure(core)
    return found


def _named_structure(core: "Core") -> list[str]:
    """One line about the partition structure that a core's logits match, where its blocks prove it, and how far it is from it."""
    from landscape.degeneracy.proved import named_proof
    from landscape.proof.certificate import to_json
    from landscape.proof.checker import check as verified

    named = named_proof(core)
    if named is None:
        return []
    proof, apart = named
    try:
        verified(to_json(proof))
    except ValueError:
        return []
    counts = f"{proof.nullity} zero and {proof.index} negative eigenvalues"
    away = f"Its class logits are {apart:.1e} (relative) from those of the critical point {proof.name}"
    return [f"{away}, which is proved to have {counts}."]


def _core_distance(saved: "CriticalPoint", text: str) -> float:
    """Relative distance of the class logits of a proof's core from those of a saved point; both are free of the gauge."""
    import json

    import torch

    from landscape.model.reduced_point import Core

    claims = json.loads(text)
    given = torch.tensor([float.fromhex(value) for value in claims["core"]["given"]], dtype=torch.float64)
    theirs = Core(saved.problem, claims["rank"], given).class_logits if claims["rank"] else torch.zeros(())
    ours = saved.class_logits.cpu()
    size = float(ours.norm())
    return float((ours - theirs).norm()) / size if size else float(theirs.norm())
