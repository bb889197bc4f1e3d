"""The signs of the Hessian of a structure, block by block, from the scales of its groups alone.

Notation of `landscape.proof.scales`: group i has g_i classes, n_i samples, scale a_i, singular value s_i = a_i sqrt(n_i), and t_i
= a_i / q_i. The L + 1 factors are numbered 0 (H_1) to L; lambda is the geometric mean of the decays.

Lemma 3 (coordinates). By balance factor l is tau_l s_i^(1/(L+1)) on group i, tau_l = sqrt(lambda / decay_l). A change of factor l
is written tau_l times the coordinate, and the Hessian is divided by lambda. This is a congruence with a positive diagonal: signs
and zeros do not change, and every block below depends on the scales alone. Stationarity reads lambda N = s^((L-1)/(L+1)) sqrt(n)
q, thus s^(2L/(L+1)) / (N lambda) = t, and the pull of the data on the group is -lambda s^(-(L-1)/(L+1)).

The interface spaces are the sum of the V_i, V_i the contrasts of group i (dimension g_i - 1; a mode that is on under squared
error: dimension 1); inputs and outputs have besides the constants 1_i of every group. The Hessian of the core commutes with the
permutations of classes inside groups and of equal groups (under squared error: with sign changes of single modes), so that it is
a sum of the following blocks (Schur's lemma). L r (r-1)/2 null vectors, the rotations of the L interfaces, are taken out exactly.

Lemma 4 (inside a group, factors V_i -> V_i, L + 1 coordinates, all ones vector 1). Different groups share neither columns nor
products, so that their trivial blocks do not meet.

- Trivial, once: 2 - 1 1' + E 1 1'. Eigenvalues 2 (L times) and (L+1)(E - k), k = (L-1)/(L+1), that is -(L+1) psi' of
  `landscape.proof.scales`: negative exactly at the small root.
- Antisymmetric, (g-1)(g-2)/2 times: (1 + t near) 1 1': L rotations, and one positive eigenvalue (entry 0 is kept).
- Symmetric with zero diagonal, g(g-3)/2 times for g >= 4: 2 - 1 1' + t near 1 1': 2 (L times) and (L+1) t near - (L-1).

Lemma 5 (between groups i and j, (g_i-1)(g_j-1) times). Coordinates x_0..x_L of V_j -> V_i and y_0..y_L of V_i -> V_j. With c =
(s_i / s_j)^(1/(L+1)): 1 on the diagonal, t_i far_j u u' on x with u_l = c^-l, t_j far_i v v' on y with v_l = c^l, and for p > l
the coupling -c^-(p-l-1) of x_p with y_l and -c^(p-l-1) of y_p with x_l. The rotation of the interface between factors l and l + 1
is x_l = 1, x_(l+1) = -c, y_l = -c, y_(l+1) = 1: on x_1..x_L the L rotations are bidiagonal and regular, so the block is L zeros
and its part on x_0, y_0..y_L. There y has 1 + t_j far_i v v' > 0, and the Schur complement of x_0 times 1 + t_j far_i S+ > 0 is

    D = 1 - S + t_i far_j + t_j far_i R^L + t_i t_j far_i far_j S+,
    R = (s_i / s_j)^(2/(L+1)),  S = 1 + R + .. + R^(L-1),  S+ = S + R^L.

So the index is 1 if D < 0 and 0 if D > 0. For equal scales D = (1 + t far)((L+1) t far - (L-1)).

Lemma 6 (standard part of group i, g_i - 1 times for each group of the kind). Coordinates: for g >= 3 one per factor, on the
matrices S diag(v) S, v in V_i (normalised); rows R of W_L, V_i -> 1_t, and columns C of H_1, 1_t -> V_i, for every group t. Among
the factors only their sum Z = 1'x / sqrt(L+1) meets the data and the others; across it the block is 2, L times. Equal groups t
other than i are replaced by their normalised sum; their differences are Lemma 7. With m_t = g_t times the number of groups in the
sum (the group i itself stands alone), far = far_i, near = near_i, and linear forms

    shape = sqrt((L+1) g / (g-2)) Z (0 for g = 2),  along = -shape/g + R_i/sqrt(g),  across = -shape/g + C_i/sqrt(g),
    inside = -shape - across,  gap_t = R_t - sqrt(m_t) (shape + along + across)   (t other than i)
    mean = near ((g-1) inside - across) + far sum_t sqrt(m_t) gap_t

the block is the quadratic form

    (1-L) Z^2 + |R|^2 + |C|^2 + 2 sum_(t,j) R_t C_j sqrt(n_j / n_i) (far_j / q_i) (sqrt(m_t m_j) - K [t = j])
    + t_i ( near ((g-1)(inside^2 + across^2) - 2 inside across) + far sum_t gap_t^2 - mean^2 + sum_t far_t C_t^2 ).

Lemma 7 (equal groups t moved against each other, (g_i - 1)(number - 1) times). R and C alone: [[1 + t_i far_i, -p], [-p, 1 + t_i
far_t]], p = K sqrt(n_t / n_i) far_t / q_i. Its trace is positive, its determinant decides.

Lemma 8 (squared error). The data are 1/(2N) |Z - Y|^2, Y = diag(sqrt n_c), Z = diag(s_c). Lemma 4 (trivial) and Lemma 5 hold with
near = far = 1, q = 1 - a. Between modes that are on with equal n and different roots D = 0 exactly: the symmetry Z -> U Z U'
turns one into the other, its tangent moves Z, rotations do not, and y is positive: L + 1 zeros, index 0. A mode i that is on and
one j that is off meet in W_L (j,i) and H_1 (i,j): eigenvalues of [[1 + t_i, -p], [-p, 1 + t_i]] with p = sqrt(n_j / n_i) / (1 -
a_i), and 1 + t_i = 1 / (1 - a_i): the sign of 1 + t_i - p is that of n_i - n_j, in whole numbers; zero if equal (the same
symmetry).

Lemma 9 (unused directions, c = d - r of them). For L >= 2 all signs are known: L r c rotations, the rest positive. For L = 1 the
unused rows of H_1 and columns of W_1 meet in [[1, G], [G', 1]] on the constants, G_tj = sqrt(n_j) far_j (sqrt(m_t m_j) - K [t =
j]) / (N lambda), equal groups again as sums, and their differences 1 - (K sqrt(n_t) far_t / (N lambda))^2; c copies. Squared
error: one mode that is off at a time, decay_0 decay_1 N^2 - n in whole numbers. Without any group G is rational: `zero_signs`.
Moves of the samples of one class against each other are positive.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from flint import arb

from landscape.display import brief
from landscape.model.problem import Problem
from landscape.proof.balls import exact, sign
from landscape.proof.scales import EnclosedGroup

CountedGroups = Sequence[tuple[EnclosedGroup, int]]


@dataclass(frozen=True)
class Signs:
    """What is known of one block.

    Attributes:
        name: Name of the block's representation.
        size: Number of rows of the block.
        zeros: Number of eigenvalues that are exactly zero.
        negative: Number of negative eigenvalues; None where the precision does not decide them.
        multiplicity: How often the block occurs in the full Hessian.
    """

    name: str
    size: int
    zeros: int
    negative: int | None
    multiplicity: int

    __repr__ = brief


def core_signs(problem: Problem, kinds: CountedGroups) -> list[Signs]:
    """Returns the blocks of the core: sizes times multiplicities sum to (L-1) r^2 + 2 K r.

    Args:
        problem: The model of the structure.
        kinds: Distinct groups with how often each occurs.
    """
    present = [(kind, times) for kind, times in kinds if kind.group.root != "off"]
    found = [*_inner(problem, present), *_between(problem, present)]
    found += _on_off(problem, kinds) if problem.loss == "mse" else _standard(problem, kinds)
    return [signs for signs in found if signs.multiplicity]


def unused_signs(problem: Problem, kinds: CountedGroups, copies: int) -> list[Signs]:
    """Returns the blocks of the unused directions of a single layer whose signs are not known beforehand.

    Args:
        problem: The model; with L >= 2 there are none.
        kinds: Distinct groups with how often each occurs.
        copies: d - r.
    """
    if problem.depth > 1 or not copies:
        return []
    if problem.loss == "mse":
        bound = Fraction(problem.decays[0]) * Fraction(problem.decays[1]) * problem.total_samples**2
        off = [(kind.group.samples, times) for kind, times in kinds if kind.group.root == "off"]
        return [Signs("unused, off", 2, int(bound == n), int(bound < n), copies * times) for n, times in off]
    if all(kind.group.root == "off" for kind, _ in kinds):
        return zero_signs(problem, copies)
    shares = unused_shares(problem, kinds)
    rows = unused(problem, kinds)
    found = [Signs("unused, sums", len(rows), 0, negatives(rows), copies)]
    for (kind, times), share in zip(kinds, shares, strict=True):
        apart = negative(1 - (problem.classes * share) ** 2)
        found.append(Signs(f"unused, differences n={kind.group.samples}", 2, 0, apart, copies * (times - 1)))
    return [signs for signs in found if signs.multiplicity]


def unused_shares(problem: Problem, kinds: CountedGroups) -> list[arb]:
    """Returns sqrt(n) far / (N lambda) of every kind, for a single layer."""
    decay = (exact(problem.decays[0]) * exact(problem.decays[1])).sqrt() * problem.total_samples
    return [arb(kind.group.samples).sqrt() * kind.far / decay for kind, _ in kinds]


def unused(problem: Problem, kinds: CountedGroups) -> list[list[arb]]:
    """Returns [[1, G], [G', 1]] of Lemma 9, equal groups as sums: the unused rows of H_1 and columns of W_1 of a single layer."""
    table = pull(problem, [kind.group.size * times for kind, times in kinds], unused_shares(problem, kinds))
    eye = [[arb(int(i == j)) for j in range(len(kinds))] for i in range(len(kinds))]
    top = [[*eye[i], *table[i]] for i in range(len(kinds))]
    return top + [[*(row[i] for row in table), *eye[i]] for i in range(len(kinds))]


def zero_signs(problem: Problem, copies: int) -> list[Signs]:
    """Returns the blocks of the zero point of a single layer under cross-entropy, decided in rationals.

    There G'G = diag(x) - y y' with entries that become rational when row and column of class c are divided by sqrt(n_c):
    decay_0 decay_1 - G'G turns into diag(decay_0 decay_1 / n_c - 1/N^2) + 1 1' / (K N^2). Classes with equal n split off their
    differences; what is left is a diagonal f plus c 1 1', whose signs are those of f corrected by the sign of 1/c + sum 1/f.
    """
    first, last = map(Fraction, problem.decays)
    square = Fraction(1, problem.total_samples**2)
    counts = Counter(problem.class_sizes)
    level = {n: first * last / n - square for n in counts}
    found = [
        Signs(f"unused, differences n={n}", 2, int(level[n] == 0), int(level[n] < 0), copies * (times - 1))
        for n, times in counts.items()
        if times > 1
    ]
    diagonal = [level[n] / times for n, times in counts.items()]
    below = sum(value < 0 for value in diagonal)
    if 0 in diagonal:  # at most once; with the border it is a hyperbolic pair
        zeros, negative_ones = 0, below
    else:
        border = problem.classes / square + sum(1 / value for value in diagonal)
        zeros, negative_ones = int(border == 0), below - int(border <= 0)
    return [*found, Signs("unused, sums", 2 * len(counts), zeros, negative_ones, copies)]


def negative(value: arb) -> int | None:
    """Returns whether a ball is negative, as a count; None where that is not decided, or it may be zero."""
    return {1: 0, -1: 1}.get(sign(value) or 0)


def negatives(rows: list[list[arb]]) -> int | None:
    """Returns the negative eigenvalues of every symmetric matrix in a ball matrix by LDL', None where a pivot is not decided.

    Sylvester's law of inertia; the pivot is the diagonal entry that is surely largest.
    """
    rows, found = [list(row) for row in rows], 0
    while rows:
        place = max(range(len(rows)), key=lambda i: float(rows[i][i].abs_lower().log()) if rows[i][i].abs_lower() > 0 else -1e300)
        pivot = sign(rows[place][place])
        if not pivot:
            return None
        found += pivot < 0
        line = rows.pop(place)
        head = line.pop(place)
        for row in rows:
            factor = row.pop(place) / head
            for j, entry in enumerate(line):
                row[j] -= factor * entry
    return found


def _inner(problem: Problem, present: CountedGroups) -> Iterator[Signs]:
    layers = problem.depth
    for kind, times in present:
        g = kind.group.size
        yield Signs("trivial", layers + 1, 0, int(kind.group.root == "small"), times)
        yield Signs("antisymmetric", layers + 1, layers, 0, times * (g - 1) * (g - 2) // 2)
        if g > 3:
            bent = (layers + 1) * kind.ratio * kind.near - (layers - 1)
            yield Signs("symmetric, zero diagonal", layers + 1, 0, negative(bent), times * g * (g - 3) // 2)


def _between(problem: Problem, present: CountedGroups) -> Iterator[Signs]:
    size = 2 * (problem.depth + 1)
    dimension = [kind.group.size - (problem.loss == "ce") for kind, _ in present]
    for i, (one, times) in enumerate(present):
        for j, (other, others) in enumerate(present[i:], i):
            number = times * (times - 1) // 2 if i == j else times * others
            if not number:
                continue
            symmetric = problem.loss == "mse" and i != j and one.group.samples == other.group.samples
            below = 0 if symmetric else negative(between_groups(problem, one, other))
            yield Signs("between groups", size, problem.depth + symmetric, below, number * dimension[i] * dimension[j])


def between_groups(problem: Problem, one: EnclosedGroup, other: EnclosedGroup) -> arb:
    """Returns a ball around a positive multiple of D of Lemma 5."""
    layers = problem.depth
    if one is other:
        return (layers + 1) * one.ratio * one.far - (layers - 1)
    logs = 2 * (one.scale / other.scale).log() + (arb(one.group.samples) / other.group.samples).log()
    ratio = (logs / (layers + 1)).exp()
    total, power = arb(0), arb(1)
    for _ in range(layers):
        total, power = total + power, power * ratio
    first, second = one.ratio * other.far, other.ratio * one.far
    return 1 - total + first + second * power + first * second * (total + power)


def _on_off(problem: Problem, kinds: CountedGroups) -> Iterator[Signs]:
    for kind, times in kinds:
        for other, others in kinds:
            if kind.group.root != "off" and other.group.root == "off":
                difference = kind.group.samples - other.group.samples
                yield Signs("on and off", 2, int(difference == 0), int(difference < 0), times * others)


def _standard(problem: Problem, kinds: CountedGroups) -> Iterator[Signs]:
    for kind, times in kinds:
        if kind.group.root == "off":
            continue
        others = [(other, count - (other is kind)) for other, count in kinds if count - (other is kind)]
        number = times * (kind.group.size - 1)
        rows = standard(problem, kind, others)
        across = problem.depth if kind.group.size > 2 else 0
        yield Signs("standard", across + len(rows), 0, negatives(rows), number)
        for other, count in others:
            if count > 1:
                yield Signs("standard, differences", 2, 0, _difference(problem, kind, other), number * (count - 1))


def _difference(problem: Problem, kind: EnclosedGroup, other: EnclosedGroup) -> int | None:
    (first, across), (_, second) = difference(problem, kind, other)
    return negative(first * second - across**2)


def difference(problem: Problem, kind: EnclosedGroup, other: EnclosedGroup) -> list[list[arb]]:
    """Returns the matrix of Lemma 7, in the order R, C."""
    across = -problem.classes * (arb(other.group.samples) / kind.group.samples).sqrt() * other.far / kind.pull
    return [[1 + kind.ratio * kind.far, across], [across, 1 + kind.ratio * other.far]]


def pull(problem: Problem, weights: Sequence[int], shares: Sequence[arb]) -> list[list[arb]]:
    """Returns shares_j (sqrt(m_t m_j) - K [t = j]), row t, column j."""
    roots = [arb(weight).sqrt() for weight in weights]
    table = [[share * root * other for other, share in zip(roots, shares, strict=True)] for root in roots]
    for i, share in enumerate(shares):
        table[i][i] = share * (weights[i] - problem.classes)
    return table


def standard(problem: Problem, kind: EnclosedGroup, others: CountedGroups) -> list[list[arb]]:
    """Returns the matrix of Lemma 6 in the order Z (for g >= 3), R_i, R_t .., C_i, C_t ...

    Args:
        problem: The model of the structure.
        kind: Group i with its enclosed scale.
        others: The other groups, equal ones together; the kind of i itself again, one less often.
    """
    g, layers, own = kind.group.size, problem.depth, int(kind.group.size > 2)
    count = 1 + len(others)
    size = own + 2 * count
    root = arb(g).sqrt()
    row = [_form(size, {own + i: arb(1)}) for i in range(count)]
    column = [_form(size, {own + count + i: arb(1)}) for i in range(count)]
    shape = _form(size, {0: (arb((layers + 1) * g) / (g - 2)).sqrt()} if own else {})
    along, across = _sum((-arb(1) / g, shape), (1 / root, row[0])), _sum((-arb(1) / g, shape), (1 / root, column[0]))
    one = arb(1)
    inside, diagonal = _sum((-one, shape), (-one, across)), _sum((one, shape), (one, along), (one, across))
    weights = [arb(other.group.size * times).sqrt() for other, times in others]
    gaps = [_sum((one, row[1 + i]), (-weight, diagonal)) for i, weight in enumerate(weights)]
    terms = [(kind.near * (g - 1), inside), (-kind.near, across)]
    mean = _sum(*terms, *((kind.far * weight, gap) for weight, gap in zip(weights, gaps, strict=True)))
    # (g-1)(inside^2 + across^2) - 2 inside across, as squares
    squares = [(kind.near * (g - 2), inside), (kind.near * (g - 2), across), (kind.near, _sum((one, inside), (-one, across)))]
    squares += [(kind.far, gap) for gap in gaps] + [(-one, mean)]
    squares += [(other.far, column[1 + i]) for i, (other, _) in enumerate(others)]
    table = [[arb(int(i == j)) for j in range(size)] for i in range(size)]
    if own:
        table[0][0] = arb(1 - layers)
    for weight, form in squares:
        for i, entry in enumerate(form):
            if not entry.is_zero():
                scaled = kind.ratio * weight * entry
                table[i] = [old + scaled * new for old, new in zip(table[i], form, strict=True)]
    everyone = [(kind, 1), *others]
    shares = [(arb(other.group.samples) / kind.group.samples).sqrt() * other.far / kind.pull for other, _ in everyone]
    for i, line in enumerate(pull(problem, [other.group.size * times for other, times in everyone], shares)):
        for j, entry in enumerate(line):
            table[own + i][own + count + j] += entry
            table[own + count + j][own + i] += entry
    return table


def _form(size: int, entries: dict[int, arb]) -> list[arb]:
    return [entries.get(place, arb(0)) for place in range(size)]


def _sum(*terms: tuple[arb, list[arb]]) -> list[arb]:
    total = [arb(0)] * len(terms[0][1])
    for factor, form in terms:
        total = [old + factor * new for old, new in zip(total, form, strict=True)]
    return total
