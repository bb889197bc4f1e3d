"""Trace and Frobenius norm from random products, with error bars: Hutch++ (Meyer, Musco, Musco and Woodruff, SOSA 2021).

A sketch Q of the range takes the large eigenvalues out exactly; what is left is averaged over random vectors:

    tr A = tr Q'AQ + E g'(I - QQ')A(I - QQ')g,    ||A||_F^2 = ||AQ||_F^2 + E |A(I - QQ')g|^2.

Both means are unbiased given Q, and their errors over the probes are the error bars (`density.standard_error`). The logarithm of
the pseudo-determinant is not polynomial in A and needs quadrature: `density.Density.log_pdet`.
"""

import math
import statistics
from dataclasses import dataclass

from landscape.curvature.checks import require_symmetric
from landscape.curvature.krylov import orthonormal, random_block, seeded, without
from landscape.curvature.operators.counted import Counted
from landscape.curvature.operators.operator import SymmetricOperator
from landscape.curvature.spectra.density import FEWEST, Estimate, standard_error
from landscape.errors import InputError


@dataclass(frozen=True)
class Sizes:
    """How large an operator is.

    Attributes:
        trace: Estimated trace, with its error.
        frobenius: Estimated Frobenius norm; its error is that of the square over twice the norm.
    """

    trace: Estimate
    frobenius: Estimate


@dataclass(frozen=True)
class HutchPlusPlus:
    """Settings of Hutch++, which estimates trace and Frobenius norm from products with random vectors.

    It takes 2 * sketch + probes products and four that check symmetry; memory: 2 * sketch + 2 * probes vectors.

    Attributes:
        sketch: Columns of the sketch; an operator of rank up to this is measured exactly.
        probes: Random vectors that measure what the sketch leaves over.
        seed: Seed of the sketch and of the probes.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> matrix = ls.Matrix(torch.tensor([0.0, 0.0, 1.0, 2.0], dtype=torch.float64).diag())
        >>> sizes = ls.HutchPlusPlus(sketch=3, probes=3).sizes(matrix)  # rank 2 is below the sketch: exact
        >>> round(sizes.trace.mean, 10), round(sizes.frobenius.mean**2, 10)
        (3.0, 5.0)
    """

    sketch: int = 32
    probes: int = 32
    seed: int = 0

    def sizes(self, operator: SymmetricOperator) -> Sizes:
        """Returns trace and Frobenius norm.

        Raises:
            InputError: If there are too few probes for an error bar, a sketch wider than the space, a product that is not
                finite, or an operator that is not symmetric.
        """
        if not self.probes >= FEWEST or not 1 <= self.sketch <= operator.size:
            raise InputError(
                f"expected at least {FEWEST} probes and a sketch of 1 to {operator.size} columns, "
                f"got {self.probes} and {self.sketch}"
            )
        counted = Counted.of(operator)
        before = counted.products
        require_symmetric(counted, self.seed)
        generator = seeded(self.seed, "trace")
        basis = orthonormal(counted @ random_block(operator, self.sketch, generator))
        image = counted @ basis
        rest = without(random_block(operator, self.probes, generator), basis)
        moved = counted @ rest
        counted.require_finite()
        inner, known = float((basis * image).sum()), float(image.square().sum())
        samples = (rest * moved).sum(0).cpu().double().tolist()
        squares = moved.square().sum(0).cpu().double().tolist()
        products = counted.products - before
        trace = Estimate(inner + statistics.fmean(samples), standard_error(samples), self.probes, products)
        norm = math.sqrt(known + statistics.fmean(squares))
        return Sizes(trace, Estimate(norm, standard_error(squares) / (2 * norm) if norm else 0.0, self.probes, products))


_DEFAULT = HutchPlusPlus()


def trace(operator: SymmetricOperator, settings: HutchPlusPlus = _DEFAULT) -> Estimate:
    """Estimates the trace of an operator, with an error bar.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> point = ls.place(problem, ls.Collapse())
        >>> found = ls.trace(ls.hessian(point))
        >>> abs(found.mean - ls.spectrum(point).trace) < 4 * found.error
        True

    Raises:
        InputError: As `HutchPlusPlus.sizes`.
    """
    return settings.sizes(operator).trace
