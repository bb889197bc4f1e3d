"""A proof as JSON text and back: canonical, every double in hexadecimal, every dyadic in decimal integers, nothing rounded.

The text is what another program checks; `near_zero`, which is not part of the theorem, is not in it.
"""

import json
import math
from pathlib import Path
from typing import Any

from landscape.atomic_files import atomic_write
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.plain_file import Missing, read_ordinary
from landscape.proof.checker import LONGEST_TEXT
from landscape.proof.checker import check as checked
from landscape.proof.statement import Proof

FORMAT = "landscape-proof/1"
_COUNTS = ("rank", "nullity", "index", "bits")
_OTHERS = {"format", "kind", "problem", "parameters", "loss"}
_OWN = {"point": {"core", "distance"}, "structure": {"name", "groups"}}
_MODEL = {"class_sizes", "width", "depth", "loss", "decays"}


def save_proof(proof: Proof, path: Path | str) -> None:
    """Writes a proof as a file that `check` and `landscape check` read, whole or not at all.

    Example:
        >>> import landscape as ls
        >>> import tempfile
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ls.save_proof(ls.prove(problem, ls.Collapse()), f"{folder}/dnc.json")
        ...     theorem = ls.check(f"{folder}/dnc.json")
        >>> "exactly 24 zero and 0 negative eigenvalues" in theorem
        True

    Raises:
        InputError: If the file cannot be written.
    """
    with atomic_write(Path(path)) as temporary:
        temporary.write_text(to_json(proof), encoding="utf-8")


def check(proof: Proof | Path | str) -> str:
    """Returns what a proof proves, in two sentences, after a check that shares no code with what made it.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> theorem = ls.check(ls.prove(problem, ls.Collapse()))
        >>> "its Hessian has exactly 24 zero and 0 negative eigenvalues among 108" in theorem
        True

    Args:
        proof: A proof, its text (which begins with a brace), or the path of its file.

    Raises:
        InputError: If it is no valid proof; the line says what is wrong.
    """
    if isinstance(proof, Proof):
        text = to_json(proof)
    elif isinstance(proof, str) and proof.lstrip().startswith("{"):
        text = proof
    else:
        text = _text_of(Path(proof))
    try:
        return checked(text)
    except ValueError as error:
        raise InputError(str(error)) from None


def _text_of(path: Path) -> str:
    try:
        return read_ordinary(path, LONGEST_TEXT).decode()
    except Missing as error:
        raise InputError(f"no such file: {path}") from error
    except ValueError as error:  # damaged, or not UTF-8
        raise InputError(f"expected a proof, got {path}, which cannot be read as text ({error})") from error


def to_json(proof: Proof) -> str:
    """Returns the canonical text of a proof: sorted keys, one line."""
    problem = proof.problem
    fields: dict[str, Any] = {
        "format": FORMAT,
        "kind": proof.kind,
        "problem": {
            "class_sizes": list(problem.class_sizes),
            "width": problem.width,
            "depth": problem.depth,
            "loss": problem.loss,
            "decays": [decay.hex() for decay in map(float, problem.decays)],
        },
        "parameters": problem.parameters,
        "loss": [bound.hex() for bound in proof.loss],
        **{name: getattr(proof, name) for name in _COUNTS},
    }
    if proof.kind == "point":
        fields |= {"core": proof.data, "distance": float(proof.distance or 0.0).hex()}
    else:
        fields |= {"name": proof.name, "groups": proof.data["groups"]}
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)


def from_json(text: str) -> Proof:
    """Returns the proof that a text claims; whether it is one is for the checker to say.

    Raises:
        InputError: If the text is not JSON, or fields are missing, unknown, of another type or out of range.
    """
    try:
        fields = json.loads(text, object_pairs_hook=_without_repeats)
        kind = fields["kind"]
        if fields["format"] != FORMAT or set(fields) != {*_COUNTS, *_OTHERS, *_OWN[kind]} or set(fields["problem"]) != _MODEL:
            raise ValueError("the fields are not those of a proof")
        problem = _problem(fields["problem"])
        if fields["parameters"] != problem.parameters:
            raise ValueError(f"{fields['parameters']} parameters where the problem has {problem.parameters}")
        lower, upper = map(_double, fields["loss"])
        rank, nullity, index, bits = (_count(fields[name]) for name in _COUNTS)
        if kind == "point":
            name, distance, data = None, _double(fields["distance"]), dict(fields["core"])
        else:
            name, distance, data = str(fields["name"]), None, {"groups": list(fields["groups"])}
        return Proof(kind, problem, rank, nullity, index, (lower, upper), bits, name, distance, data)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"expected a proof in the format {FORMAT}, got other text ({reason}): write it with prove") from error


def _problem(fields: dict[str, Any]) -> Problem:
    decays = tuple(_double(value) for value in fields["decays"])
    decay = decays[0] if len(set(decays)) == 1 and len(decays) == fields["depth"] + 1 else decays
    named = {name: fields[name] for name in ("class_sizes", "width", "depth", "loss")}
    return Problem.from_dict(named | {"decay": decay, "activation": "linear"})


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _double(text: Any) -> float:
    if not isinstance(text, str):
        raise TypeError(f"{text!r} is not a hexadecimal double")
    value = float.fromhex(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not finite")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{value!r} is not a count")
    return value
