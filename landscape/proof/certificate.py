"""A proof as JSON text and back: canonical, every double in hexadecimal, every dyadic in decimal integers, nothing rounded.

The text is what another program checks; `near_zero`, which is not part of the theorem, is not in it.
"""

import json
import math
from typing import Any

from landscape.errors import InputError
from landscape.problem import Problem
from landscape.proof.statement import Proof

FORMAT = "landscape-proof/1"
_COUNTS = ("rank", "nullity", "index", "bits")
_OTHERS = {"format", "kind", "problem", "parameters", "loss"}
_OWN = {"point": {"core", "distance"}, "structure": {"name", "groups"}}
_MODEL = {"class_sizes", "width", "depth", "loss", "decays"}


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
