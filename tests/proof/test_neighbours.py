"""Counts a few last places away: none far from a threshold, all of a block at one."""

from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.proof.box import prove_point
from landscape.proof.neighbours import near_zero_of_point
from landscape.proof.statement import Proof, Unproved
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Partition
from landscape.structures.scale_equation import simplex_equation


def dnc(problem: Problem) -> Proof:
    core = Core.from_form(problem, logit_form(problem, Partition((problem.classes,))))
    result = prove_point(problem, core.rank, core.theta.tolist())
    assert isinstance(result, Proof)
    return result


def test_nothing_changes_far_from_thresholds() -> None:
    assert near_zero_of_point(dnc(Problem.balanced(5, 2, 6, 2, 0.005))) == 0
    assert near_zero_of_point(dnc(Problem.balanced(5, 2, 6, 2, (0.005, 0.004, 0.006)))) == 0


def test_the_threshold_of_stability_is_within_reach() -> None:
    """K(K-3)/2 eigenvalues vanish together where alpha = K (L-1)/(L+1); the decay lies 8 to 40 last places away from that."""
    assert near_zero_of_point(dnc(Problem.balanced(5, 3, 6, 4, 0.06443059911283797)), places=40) == 5


def test_a_fold_is_not_proved() -> None:
    top = simplex_equation(Problem.balanced(3, 2, 6, 2, 0.01), 3, 2).largest_decay
    result = near_zero_of_point(dnc(Problem.balanced(3, 2, 6, 2, top * (1 - 1e-13))), places=10_000)
    assert isinstance(result, Unproved)
    assert "10000 last places above the decay" in result.reason


def test_a_decay_at_the_end_of_the_doubles() -> None:
    zero = prove_point(Problem.balanced(3, 1, 3, 2, 1e-323), 0, [])
    assert isinstance(zero, Proof)
    result = near_zero_of_point(zero, places=4)
    assert isinstance(result, Unproved)
    assert "not a positive double" in result.reason
