"""The one question, how many eigenvalues are zero, and the protocol that every counting method follows.

Each method is a frozen settings class with a `count` method; `nullity` checks the operator and asks one of them.
"""

from dataclasses import replace
from typing import Protocol, runtime_checkable

from landscape.curvature.checks import require_radius, require_symmetric
from landscape.curvature.counting.dense_and_inertia import Measured
from landscape.curvature.counting.zeros import Nullity
from landscape.curvature.operators.counted import Counted
from landscape.curvature.operators.operator import SymmetricOperator


@runtime_checkable
class Counting(Protocol):
    """A way to count zero eigenvalues: settings that know how to run."""

    def count(self, operator: SymmetricOperator, gradient_radius: float) -> Nullity:
        """Counts the eigenvalues of size at most the rounding radius plus `gradient_radius`."""
        ...


def nullity(operator: SymmetricOperator, method: Counting, gradient_radius: float | None = None) -> Nullity:
    """Counts the zero eigenvalues of an operator.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> hessian = ls.hessian(ls.place(problem, ls.Collapse()))
        >>> count = ls.nullity(hessian, ls.Dense(), gradient_radius=1e-14)
        >>> count.count, count.negative, count.resolved
        (24, 0, True)

    Args:
        operator: Symmetric; this is checked on random vectors, which costs four products.
        method: `Dense`, `Inertia`, `QuotientCholesky`, `Deflated`, `LowRank` or `BlockLanczos`.
        gradient_radius: How far from zero a null eigenvalue may lie because the point is not exactly critical. None for what the
            operator measures (`ModuleHessian`: the norm of the gradient), and 0 where it measures nothing.

    Returns:
        The count; its `products` include those of the check. Not resolved where its own evidence contradicts it.

    Raises:
        InputError: If any product is not finite, the operator is not symmetric, or the radius is negative or not finite.
    """
    if gradient_radius is None:
        gradient_radius = operator.measured_radius() if isinstance(operator, Measured) else 0.0
    require_radius(gradient_radius)
    counted = Counted.of(operator)
    before = counted.products
    require_symmetric(counted)
    checked = counted.products - before
    result = method.count(counted, gradient_radius)
    counted.require_finite()
    return replace(result, products=result.products + checked).checked(operator.size)
