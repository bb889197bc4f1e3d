"""Signs of the eigenvalues of a symmetric ball matrix: how many are negative, for every symmetric matrix in it, or no answer.

Rows that dominate (Gershgorin) are decided by their diagonal; the rest by the Schur complement of those rows (E. Haynsworth, Linear
Algebra Appl. 1, 1968) and LDL' with the largest pivot. A zero eigenvalue is never claimed: it leaves a pivot whose sign is open.
"""

import numpy as np
from flint import arb, arb_mat

from landscape.proof.balls import matrix, midpoints, sign


def enclosed_inertia(balls: arb_mat) -> int | None:
    """Returns the number of negative eigenvalues; None where some sign cannot be decided at the working precision."""
    rows = balls.tolist()
    strong, weak = _dominant(rows)
    negative = sum(sign(rows[i][i]) == -1 for i in strong)
    if not weak:
        return negative
    if strong:
        rest = _schur(rows, strong, weak)
        if rest is None:
            return None
    else:
        rest = rows
    below = _eliminated(rest)
    return None if below is None else negative + below


def rotated_inertia(balls: arb_mat) -> int | None:
    """Returns what `enclosed_inertia` returns, of the congruent matrix in approximate eigenvectors, whose signs are the same."""
    centre = midpoints(balls)
    if not np.isfinite(centre).all():
        return None
    try:
        basis = matrix(np.linalg.eigh((centre + centre.T) / 2)[1])
    except np.linalg.LinAlgError:
        return None
    return enclosed_inertia(basis.transpose() * balls * basis)


def _dominant(rows: list[list[arb]]) -> tuple[list[int], list[int]]:
    """Splits the rows into those whose diagonal exceeds the sum of the rest, and the others."""
    strong: list[int] = []
    weak: list[int] = []
    for i, row in enumerate(rows):
        rest = arb(0)
        for j, value in enumerate(row):
            if j != i:
                rest += value.abs_upper()
        (strong if row[i].abs_lower() > rest else weak).append(i)
    return strong, weak


def _schur(rows: list[list[arb]], strong: list[int], weak: list[int]) -> list[list[arb]] | None:
    """Returns the Schur complement of the strong rows, which by their dominance are a regular block."""
    block = arb_mat([[rows[i][j] for j in strong] for i in strong])
    side = arb_mat([[rows[i][j] for j in weak] for i in strong])
    corner = arb_mat([[rows[i][j] for j in weak] for i in weak])
    try:
        return (corner - side.transpose() * block.solve(side)).tolist()
    except ZeroDivisionError:
        return None


def _eliminated(rows: list[list[arb]]) -> int | None:
    """Counts negative pivots of LDL' on the diagonal, the largest lower bound first."""
    rows, negative = [list(row) for row in rows], 0
    while rows:
        pivot = max(range(len(rows)), key=lambda i: _size(rows[i][i]))
        value = rows[pivot][pivot]
        if not (value > 0 or value < 0):
            return None
        negative += bool(value < 0)
        line = [entry / value for j, entry in enumerate(rows[pivot]) if j != pivot]
        kept = [i for i in range(len(rows)) if i != pivot]
        column = [rows[i][pivot] for i in kept]
        rows = [[rows[i][j] - column[a] * line[b] for b, j in enumerate(kept)] for a, i in enumerate(kept)]
    return negative


def _size(value: arb) -> arb:
    """Lower bound of the absolute value, -1 for NaN, so that it is chosen last."""
    return arb(-1) if value.is_nan() else value.abs_lower()
