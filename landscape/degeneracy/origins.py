"""Where the eigenvalues of a reduced Hessian come from, with the zeros of its core put to the symmetry that explains them."""

import torch

from landscape.degeneracy.reduction import EigenvalueFamily, EigenvalueKind, Reduction


def by_origin(reduction: Reduction, cutoff: float, orbit_dimension: int) -> tuple[EigenvalueFamily, ...]:
    """Returns the families of all eigenvalues, the zeros of the symmetry's orbit under the gauge rotations.

    The zeros of the core are tangents of the orbit as long as these last: the orbit's dimension, less the rotations into unused
    directions that the reduction lists already. What exceeds it stays with the core. Zeros share one eigenspace that contains
    the tangents of the orbit, so the split is one of dimensions and needs no eigenvectors.

    Args:
        reduction: The families as the reduction lists them.
        cutoff: Eigenvalues of at most this size are zeros.
        orbit_dimension: The dimension of the symmetry's orbit through the point.
    """
    families: list[EigenvalueFamily] = []
    left = orbit_dimension - sum(family.multiplicity for family in reduction.blocks if family.kind is EigenvalueKind.GAUGE)
    for family in reduction.blocks:
        zero = family.values.abs() <= cutoff
        times = int(zero.sum()) * family.multiplicity
        if family.kind is not EigenvalueKind.CORE or not times or left <= 0:
            families.append(family)
            continue
        rotations = min(times, left)
        left -= rotations
        none = torch.zeros(1, dtype=family.values.dtype)
        families.append(EigenvalueFamily(EigenvalueKind.GAUGE, none, rotations, family.sector))
        if times > rotations:
            families.append(EigenvalueFamily(EigenvalueKind.CORE, none, times - rotations, family.sector))
        families.append(EigenvalueFamily(EigenvalueKind.CORE, family.values[~zero], family.multiplicity, family.sector))
    return tuple(family for family in families if family.multiplicity and family.values.numel())
