"""Why eigenvalues of a network's Hessian are zero: by a symmetry of the network, by the data, or by neither.

Named symmetries and shifts are tangents at the point, verified to rounding. What is null beyond them is classified without any
ansatz, by the Gauss-Newton matrix J'BJ, whose product with v is zero where the outputs do not change along v to first order: on
random inputs (a symmetry without a name), on the data alone, or on neither. The last are moduli: flat to second order for no reason
that is known. This classification is as exact as the null vectors, to gradient norm over eigenvalue: a symmetry that is broken by
1e-9 looks like one. So it explains nothing to the judge, and a count with zeros that have no name is not stated.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.krylov import seeded, without
from landscape.decomposition import singular_vectors
from landscape.errors import InputError
from landscape.network.operators import ModuleGaussNewton
from landscape.network.orbit import NetworkOrbit
from landscape.network.probes import Draw, random_inputs
from landscape.network.symmetries import Symmetries

_DRAWS = 3
_UNSEEN = 1e-6  # of the Gauss-Newton matrix: products below are zero; a null vector is known to gradient norm over eigenvalue
_OUTSIDE = 0.5  # of a unit null vector: a larger part outside the known tangents is a direction of its own


@dataclass(frozen=True)
class Explanation:
    """Zeros of a Hessian by their cause.

    Attributes:
        symmetry: Zeros by named symmetries: the dimension of the orbit.
        data: Zeros by named shifts without decay that only the data do not see.
        unnamed_symmetry: Null vectors beyond these along which no output changes on random inputs.
        unnamed_data: Null vectors beyond these along which no output changes on the data, but on random inputs.
        moduli: Null vectors along which outputs change on the data.
        unclassified: Zeros beyond the named ones of a count without eigenvectors, or of a loss without outputs.
    """

    symmetry: int
    data: int = 0
    unnamed_symmetry: int = 0
    unnamed_data: int = 0
    moduli: int = 0
    unclassified: int = 0

    @property
    def explained(self) -> int:
        """Zeros with a name. Those without are seen at the point alone, to gradient norm over eigenvalue, and prove nothing."""
        return self.symmetry + self.data

    @property
    def unexplained(self) -> int:
        """Zeros without a name."""
        return self.unnamed_symmetry + self.unnamed_data + self.moduli + self.unclassified


def explanation(found: Symmetries, count: int, null: Float[Tensor, "p m"] | None, draw: Draw | None = None) -> Explanation:
    """Explains the zeros of a count.

    Args:
        found: The symmetries at the point.
        count: Zeros that were counted.
        null: Orthonormal null vectors; None where the count has none.
        draw: Replaces inputs by random ones, as in `symmetries`.
    """
    named = Explanation(found.orbit.rank, found.known.rank - found.orbit.rank)
    beyond = count - named.explained
    if beyond <= 0:
        return named
    if null is None:
        return replace(named, unclassified=beyond)
    outside = beyond_known(null, found.known)
    if outside.shape[1] != beyond:
        return replace(named, unclassified=beyond)
    try:
        random, data = _images(found, outside, draw)
    except InputError:  # a model that computes its loss itself has no outputs to follow
        return replace(named, unclassified=beyond)
    unseen, unseen_on_data = _null_dimension(random), _null_dimension(data)
    symmetry = min(unseen, unseen_on_data)
    return replace(named, unnamed_symmetry=symmetry, unnamed_data=unseen_on_data - symmetry, moduli=beyond - unseen_on_data)


def beyond_known(null: Float[Tensor, "p m"], known: NetworkOrbit) -> Float[Tensor, "p k"]:
    """Returns an orthonormal basis of the part of a null space that is orthogonal to the known tangents."""
    outside = null - known.apply(null)
    left, sizes, _ = singular_vectors(outside)
    return without(left[:, sizes > _OUTSIDE])


def _images(found: Symmetries, vectors: Float[Tensor, "p k"], draw: Draw | None) -> tuple[Tensor, Tensor]:
    """Returns Gauss-Newton products of vectors on random inputs and on the data, as parts of the largest of random vectors."""
    problem = found.problem
    newton = ModuleGaussNewton(problem, keep=False)
    generator = seeded(0, "classification")
    probes = torch.randn(vectors.shape[0], 4, generator=generator, dtype=torch.float64).to(vectors)
    both = torch.cat([vectors, probes], dim=1)
    batch = next(problem.batches())
    random = [newton.on(both, (draw or random_inputs)(batch, generator)) for _ in range(_DRAWS)]
    data = torch.zeros_like(both)
    for each in problem.batches():
        data = data + problem.share(each) * newton.on(both, each)
    count = vectors.shape[1]
    return tuple(torch.cat([_relative(image, count, probes) for image in images]) for images in (random, [data]))  # type: ignore[return-value]


def _relative(image: Float[Tensor, "p k"], count: int, probes: Float[Tensor, "p b"]) -> Float[Tensor, "p j"]:
    """Returns the first columns of products as a part of the size of the matrix that random vectors show."""
    scale = float((image[:, count:].norm(dim=0) / probes.norm(dim=0)).max()) * probes.shape[0] ** 0.5
    return image[:, :count] / (scale or 1.0)


def _null_dimension(images: Float[Tensor, "q k"]) -> int:
    return int((torch.linalg.svdvals(images) <= _UNSEEN).sum())
