"""Second step of `analyse`: the count of zero and negative eigenvalues at the located point, in double precision."""

from dataclasses import dataclass

from landscape.curvature.counting.zeros import Nullity
from landscape.curvature.spectra.spectrum import Spectrum
from landscape.degeneracy.judgement import counted
from landscape.degeneracy.locate import Located
from landscape.degeneracy.methods import Plan, gradient_radius, measure
from landscape.degeneracy.reduction import Reduction, reduce


@dataclass(frozen=True)
class Count:
    """Count of the first method, with the spectrum or the reduction that it came from.

    Attributes:
        zeros: Count with its evidence, which still has to be judged.
        spectrum: Complete spectrum, or None if the method only counts.
        gauss_newton: Frobenius norm and trace of the data part of the Gauss-Newton matrix, with the spectrum.
        reduction: Reduction that the count, or only its smallest eigenvalue, came from; None where it was not needed.
        smallest: Smallest size among the non-zero eigenvalues, where the method has only a bound for it.
    """

    zeros: Nullity
    spectrum: Spectrum | None = None
    gauss_newton: tuple[float, float] | None = None
    reduction: Reduction | None = None
    smallest: float | None = None


def count(place: Located, plan: Plan) -> Count | None:
    """Returns the count of the plan's first method at the critical point; None where nothing can be counted.

    Raises:
        InputError: If memory is too small for the method.
    """
    if place.orbital is None:
        return None
    radius = gradient_radius(place.gradient_norm, place.orbital)
    if plan.first == "reduction" and place.core is not None:
        reduction = reduce(place.core)
        spectrum = reduction.spectrum
        return Count(counted(spectrum, radius), spectrum, reduction.gauss_newton_norms, reduction)
    assert place.nearest is not None  # `analyse` lets cores through to the reduction alone
    measured = measure(place.problem, place.nearest, plan.first, place.tolerance, radius)
    zeros = measured.zeros
    if zeros is None:
        assert measured.spectrum is not None
        zeros = counted(measured.spectrum, radius)
    if zeros.sharp or place.core is None:
        return Count(zeros, measured.spectrum, measured.gauss_newton)
    reduction = reduce(place.core)
    smallest = counted(reduction.spectrum, zeros.gradient).smallest_nonzero
    return Count(zeros, measured.spectrum, measured.gauss_newton, reduction, smallest)
