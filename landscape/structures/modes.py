"""Modes of squared error: which of them are on at a critical point, and what the rotations of equal classes add to its orbit."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from landscape.model.dimensions import equal_classes, orbit_dimension
from landscape.model.problem import Problem
from landscape.structures.kinds import Root


def orbit_dimension_at(problem: Problem, singular: Sequence[float]) -> int:
    """Returns the dimension of the orbit of a linear critical point under the gauge group and the data symmetry together.

    The critical points with given logits are one gauge orbit, so the whole orbit is a bundle of gauge orbits over the orbit of
    the logits: the dimensions add (docs/mathematics.md, "The symmetry of the data").

    Args:
        problem: The model, which must be linear.
        singular: The non-zero singular values of the class-mean logits times sqrt(class size), as `paper_dimension_at` takes them.
            Values that belong to no critical point are read as the nearest modes: compare with the rank of the generators.
    """
    gauge = orbit_dimension(len(singular), problem.width, problem.depth)
    return gauge + sum(count.turns for count in mode_counts(problem, singular))


@dataclass(frozen=True)
class ModeCount:
    """How many modes of the classes of one size are on at a critical point under squared error.

    Attributes:
        samples: Number n of samples of each of the classes.
        classes: How many classes have that size; each brings one mode.
        large: Number of modes at the large root of `mode_equation`.
        small: Number of modes at the small root of `mode_equation`.
    """

    samples: int
    classes: int
    large: int
    small: int

    @property
    def off(self) -> int:
        """The number of modes whose singular value is 0."""
        return self.classes - self.large - self.small

    @property
    def turns(self) -> int:
        """The pairs of modes of different kind, m(m-1)/2 - sum mu(mu-1)/2: the rotations of the classes that move the logits."""
        return self.large * self.small + self.large * self.off + self.small * self.off


def mode_of(problem: Problem, singular: float) -> tuple[int, Root]:
    """Returns the class size and the root of a mode, from its singular value at a critical point under squared error.

    The scaled logits share eigenvectors with diag(sqrt n) at every critical point, and s + N decay s^((1-L)/(L+1)) = sqrt n
    (proof: docs/mathematics.md). So s alone tells the class size, and s above or below (L-1)/(2L) sqrt n the root. The decay
    is the geometric mean of the factors' decays.

    Args:
        problem: Linear, with squared error.
        singular: Non-zero, of the class-mean logits times sqrt(class size). Where no mode has it, the nearest one is returned.
    """
    power, peak = (1 - problem.depth) / (1 + problem.depth), (problem.depth - 1) / (2 * problem.depth)
    drive = singular + problem.total_samples * problem.mean_decay * singular**power
    samples = min(problem.class_sizes, key=lambda n: abs(drive - math.sqrt(n)))
    return samples, "small" if singular < peak * math.sqrt(samples) else "large"


def mode_counts(problem: Problem, singular: Sequence[float]) -> tuple[ModeCount, ...]:
    """Returns the modes that are on at a critical point with these singular values, for every set in `equal_classes`.

    Args:
        problem: The model; one without `equal_classes` has no counts.
        singular: As for `mode_of`.
    """
    sets = equal_classes(problem)
    found = Counter(mode_of(problem, value) for value in singular) if sets else Counter()
    sizes = [(problem.class_sizes[members[0]], len(members)) for members in sets]
    return tuple(ModeCount(n, times, found[n, "large"], found[n, "small"]) for n, times in sizes)
