"""A proof as JSON text: canonical, every double in hexadecimal, every dyadic in decimal integers, nothing rounded.

The text is what another program checks; `near_zero`, which is not part of the theorem, is not in it.
"""

import json
from pathlib import Path
from typing import Any

from landscape.atomic_files import atomic_write
from landscape.errors import InputError
from landscape.plain_file import Missing, read_ordinary
from landscape.proof.checker import LONGEST_TEXT
from landscape.proof.checker import check as checked
from landscape.proof.statement import Proof

FORMAT = "landscape-proof/1"
_COUNTS = ("rank", "nullity", "index", "bits")


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
