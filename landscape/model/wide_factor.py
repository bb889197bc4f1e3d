"""Singular values of a factor with many columns, without the rounding that grows with their number.

LAPACK's own reduction sums over all columns one after the other. At 3e5 equal columns a singular value 0 came out as 6e-12 of the
largest, which is no longer rounding of the parameters. In a tree the error grows with the logarithm of the number of columns.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

_SMALLEST = 64  # columns of a leaf: fewer would be many tiny decompositions


def shortened(factor: Float[Tensor, "d m"]) -> Float[Tensor, "d q"]:
    """Returns a matrix with the same left singular vectors and singular values, of at most twice as many columns as rows, or 64.

    By QR decompositions of blocks of columns in a tree (Demmel, Grigori, Hoemmen and Langou, SIAM J. Sci. Comput. 34 (2012)),
    section 2. A factor that is short enough comes back as it is.
    """
    leaf = max(2 * len(factor), _SMALLEST)
    while factor.shape[1] > leaf:
        blocks = pad(factor, (0, -factor.shape[1] % leaf)).unflatten(1, (-1, leaf)).movedim(1, 0)
        triangles = torch.linalg.qr(blocks.mT, mode="r")[1]
        factor = triangles.mT.movedim(0, 1).flatten(1)
    return factor
