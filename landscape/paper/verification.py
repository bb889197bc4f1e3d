"""All claims of Garrod and Keating, arXiv:2410.23169, checked one after the other with numbers computed now.

Derivations of everything that differs from the paper: docs/paper.md, one section per claim.
"""

from collections.abc import Callable, Iterator

from landscape.paper.claims import cause, curvature, frequency, optimality, rank, rectified
from landscape.paper.claims.finding import Assessment, Claim, Finding, Verified


def _claim(name: str, stated: Assessment, check: Callable[[bool], Finding]) -> Claim:
    return Claim(name, (check.__doc__ or "").splitlines()[0], stated, check)


CLAIMS = (
    _claim("Lemma 1", "holds", optimality.lemma_1),
    _claim("Theorem 1", "holds", optimality.theorem_1),
    _claim("Theorem 1, odd K", "holds with a correction", optimality.odd_classes),
    _claim("Theorem 1, K=4 and L=2", "holds with a correction", optimality.four_classes_two_layers),
    _claim("Theorem 1, K=5 and L=2", "holds with a correction", optimality.five_classes_two_layers),
    _claim("Theorem 2", "holds", rank.theorem_2),
    _claim("Theorem 3", "holds", rank.theorem_3),
    _claim("Theorem 4", "holds", curvature.theorem_4),
    _claim("Theorem 4, proof", "holds with a correction", curvature.proof_of_theorem_4),
    _claim("Theorem 5", "holds with a correction", curvature.theorem_5),
    _claim("Theorem 6", "holds", curvature.theorem_6),
    _claim("Theorem 7", "holds", rectified.theorem_7),
    _claim("Theorem A1", "holds", rank.appendix_1),
    _claim("Theorem A2", "holds", rank.appendix_2),
    _claim("Theorem A3", "holds", rank.appendix_3),
    _claim("Figure 1", "holds", frequency.figure_1),
    _claim("Figure 2", "holds", frequency.figure_2),
    _claim("Figure 5", "holds", frequency.figure_5),
    _claim("Figure 6", "holds", rectified.figure_6),
    _claim("DNC is found because it is more degenerate", "does not hold as stated", cause.more_degenerate),
)


def verify(fast: bool, claims: tuple[Claim, ...] = CLAIMS) -> Iterator[Verified]:
    """Yields every claim with what its check finds now.

    Args:
        fast: Fewer settings, starts and seeds: under two minutes on one core instead of half an hour.
        claims: Which, in this order.
    """
    for claim in claims:
        yield Verified(claim, claim.check(fast))
