"""Fourth step of `analyse`: a second method, which shares no code with the first, must not contradict a stated count."""

from landscape.curvature.counting.zeros import Nullity
from landscape.degeneracy.count import Count
from landscape.degeneracy.judgement import Verdict, confirmed, is_faint
from landscape.degeneracy.locate import Located
from landscape.degeneracy.methods import Plan, second_method


def confirm(place: Located, found: Count | None, verdict: Verdict, plan: Plan) -> tuple[Verdict, Nullity | None]:
    """Returns the verdict after the plan's second method, and what that method counts; None where it did not run.

    It does not run where double precision had to be helped by a proof: there it can say nothing.

    Args:
        place: Where the count was made.
        found: The first count.
        verdict: The verdict on it.
        plan: Methods that count first and second.
    """
    if plan.second is None or not verdict.certain or found is None or place.orbital is None:
        return verdict, None
    zeros = found.zeros
    if is_faint(zeros) or (zeros.count, zeros.negative) != (verdict.nullity, verdict.index):
        return verdict, None
    theta = place.nearest
    if theta is None:
        assert place.core is not None
        theta = place.core.written_out(place.problem.width)
    second = second_method(place.problem, theta, plan.second, place.tolerance, place.orbital)
    return confirmed(verdict, zeros, plan.first, second), second
