"""The singular value decomposition, to rounding on every device."""

import torch
from jaxtyping import Float
from torch import Tensor


def singular_vectors(
    matrix: Float[Tensor, "*batch n m"], full: bool = False
) -> tuple[Float[Tensor, "*batch n k"], Float[Tensor, "*batch r"], Float[Tensor, "*batch l m"]]:
    """Returns left singular vectors as columns, singular values in descending order and right singular vectors as rows.

    CUDA devices compute them by QR iteration. Torch's default there, Jacobi's method, left frames orthonormal to 1e-12 only, and
    the null space of an orbit null to 2e-13 instead of 6e-16 (width 512, torch 2.11 on an H200).

    Args:
        matrix: Matrix to decompose; r is the smaller of its sides.
        full: Whether the vectors are a basis of the whole space; otherwise there are r of them.
    """
    return torch.linalg.svd(matrix, full_matrices=full, driver="gesvd" if matrix.is_cuda else None)
