"""Claims about the Hessian at DNC and how flat it is: Theorems 4, 5 and 6."""

import math
from dataclasses import replace
from itertools import pairwise

import torch

from landscape.curvature.operators.operator import Hessian
from landscape.curvature.spectra.spectrum import Spectrum, eigenvalues
from landscape.decomposition import singular_vectors
from landscape.degeneracy.judgement import judge_spectrum
from landscape.degeneracy.partition_spectrum import ScaledGroup, partition_reduction
from landscape.degeneracy.proved import judge_partition, partition_group
from landscape.degeneracy.reduction import reduce
from landscape.model import dimensions
from landscape.model.dimensions import orbit_dimension, paper_dimension
from landscape.model.logit_form import write_parameters
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.paper.claims.comparison import paper_setting
from landscape.paper.claims.finding import Finding, assess
from landscape.structures.analytic import logit_form
from landscape.structures.dnc import dnc_decay, stability_threshold
from landscape.structures.kinds import Collapse, Pairs, Structure
from landscape.structures.scale_equation import simplex_equation

_CRITICAL = 1e-12  # gradient norm
_ASIDE = 1e-4  # relative distance from the threshold at which the index is taken on either side
_LIMIT = 5e-3  # a ratio of norms has settled once doubling log(1/lambda) moves it by less


def theorem_4(fast: bool) -> Finding:
    """DNC is critical, and for lambda small enough its Hessian has no negative eigenvalue."""
    settings = [(4, 2), (6, 3), (10, 2)] if fast else [(K, L) for K in (3, 4, 5, 6, 8, 10, 12) for L in (2, 3, 4)]
    gradient, negative = 0.0, 0
    for K, L in settings:
        for power in (-14, -20, -40):
            problem = Problem.balanced(K, 2, K + 2, L, 2.0**power)
            theta = write_parameters(problem, logit_form(problem, Collapse()), gauge=0)
            gradient = max(gradient, float(Objective.of(problem).gradient(theta).norm()))
            negative = max(negative, _index(problem))
    sides, exact = 0, 0
    for K in (8, 12, 16) if fast else range(6, 41, 2):
        for L in (2, 3, 4):
            for factor, index in ((1 + _ASIDE, 0), (1 - _ASIDE, K * (K - 3) // 2)):
                problem = Problem.balanced(K, 1, K, L, dnc_decay(K, 1, L, factor * stability_threshold(K, L)))
                sides += 1
                exact += _index(problem) == index
    numbers: dict[str, float | int | str] = {
        "largest gradient norm": gradient,
        "largest index, lambda = 2^-14 and below": negative,
        "index at K=16, L=3, n=1, lambda=1e-3 (alpha 7.94 < 8)": _index(Problem.balanced(16, 1, 16, 3, 1e-3)),
        "sides of alpha = K (L-1)/(L+1) looked at": sides,
        "of these with index K (K-3)/2 below and 0 above": exact,
    }
    return Finding(numbers, assess(gradient < _CRITICAL and negative == 0))


def _index(problem: Problem) -> int:
    """Counts the negative eigenvalues at DNC, from the representations of its symmetry."""
    alpha = simplex_equation(problem, problem.classes, problem.class_sizes[0]).root("large")
    assert alpha is not None
    spectrum = partition_reduction(problem, [ScaledGroup(problem.classes, problem.class_sizes[0], alpha)]).spectrum
    return _stated(judge_partition(problem, [partition_group(problem.classes, problem.class_sizes[0], "large")], spectrum).index)


def _stated(count: int | None) -> int:
    """Returns a count that the judge states; the settings of the claims are far from every threshold."""
    assert count is not None
    return count


def proof_of_theorem_4(fast: bool) -> Finding:
    """In the proof only the upper K x K block of every factor enters beside the decay, and the Hessian is not negative."""
    coupling, low, high, negative = 0.0, math.inf, -math.inf, 0.0
    for K, d, L in ((4, 6, 2), (3, 5, 3)) if fast else ((4, 6, 2), (3, 5, 3), (5, 8, 2), (4, 7, 3)):
        problem = Problem.balanced(K, 1, d, L, 1e-3)
        theta = write_parameters(
            problem, logit_form(problem, Collapse())
        )  # the range of every factor stands in the first coordinates
        hessian = torch.func.hessian(Objective.of(problem).loss)(theta)
        upper, lower = _cross_changes(problem, theta)
        block = torch.cat([upper, lower])
        values = torch.linalg.eigvalsh(block @ hessian @ block.mT) / problem.mean_decay
        coupling = max(coupling, float((upper @ hessian @ lower.mT).abs().max()) / problem.mean_decay)
        low, high = min(low, float(values[0])), max(high, float(values[-1]))
        negative = min(negative, float(torch.linalg.eigvalsh(hessian)[0]) / problem.mean_decay)
    numbers: dict[str, float | int | str] = {
        "largest coupling of the parts outside that block / lambda": coupling,
        "their smallest eigenvalue / lambda": low,
        "their largest eigenvalue / lambda": high,
        "smallest eigenvalue of the whole Hessian / lambda": negative,
    }
    return Finding(numbers, assess(coupling < 1e-9, low > -1e-9 and negative > -1e-9))


def _cross_changes(problem: Problem, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns unit changes of W_L's unused columns and of W_{L-1}'s unused rows, a row for each (direction, unused coordinate)."""
    rank, width = problem.classes - 1, problem.width
    factors = Objective.of(problem).split(theta)
    left = singular_vectors(factors[-1], full=True)[0][:, :rank]
    upper, lower = [], []
    for direction in range(rank):
        # the right singular vector that belongs to this left one: W_L' u / s
        along = factors[-1].mT @ left[:, direction]
        along = along / along.norm()
        source = factors[-2].mT @ along  # where W_{L-1} takes it from
        source = source / source.norm()
        for unused in range(rank, width):
            change = [torch.zeros_like(factor) for factor in factors]
            change[-1][:, unused] = left[:, direction]
            upper.append(torch.cat([part.flatten() for part in change]))
            change = [torch.zeros_like(factor) for factor in factors]
            change[-2][unused] = source
            lower.append(torch.cat([part.flatten() for part in change]))
    return torch.stack(upper), torch.stack(lower)


def theorem_5(fast: bool) -> Finding:
    """DNC spans L (K-1)(d-K+1) dimensions; over those of rank r the ratio grows with d, from below 1 to (K-1)/r."""
    dense = [(4, 2, 6, 2)] if fast else [(4, 2, 6, 2), (5, 1, 7, 2), (6, 1, 8, 2), (4, 1, 6, 3)]
    numbers: dict[str, float | int | str] = {}
    ours = theirs = True
    for K, n, d, L in dense:
        problem = Problem.balanced(K, n, d, L, 1e-3)
        theta = write_parameters(problem, logit_form(problem, Collapse()), gauge=0)
        nullity = _stated(judge_spectrum(eigenvalues(Hessian(Objective.of(problem).loss, theta)), None).nullity)
        name = f"K={K}, n={n}, d={d}, L={L}"
        numbers |= {f"{name}: dense nullity": nullity, f"{name}: paper": paper_dimension([K - 1], d, L)}
        ours &= nullity == orbit_dimension(K - 1, d, L)
        theirs &= nullity == paper_dimension([K - 1], d, L)
    ratios, counted = [], []
    for d in (10, 20, 70, 700, 70_000):
        problem = paper_setting(d)
        collapse, pairs = (_nullity(problem, structure) for structure in (Collapse(), Pairs()))
        ratios.append(collapse / pairs)
        counted.append(paper_dimension([9], d, 2) / paper_dimension([5], d, 2))
        numbers |= {f"d={d}: measured ratio": ratios[-1], f"d={d}: ratio of the paper's formula": counted[-1]}
        ours &= (collapse, pairs) == (orbit_dimension(9, d, 2), orbit_dimension(5, d, 2))
    rising = all(one < other for one, other in pairwise(ratios)) and abs(ratios[-1] - 9 / 5) < 1e-3
    return Finding(numbers, assess(theirs and rising and ratios[0] < 1, ours and rising))


def _nullity(problem: Problem, structure: Structure) -> int:
    form = logit_form(problem, structure)
    spectrum = reduce(Core.from_form(problem, form)).spectrum
    return _stated(judge_spectrum(spectrum, dimensions.orbit_dimension(form.rank, problem.width, problem.depth)).nullity)


def theorem_6(fast: bool) -> Finding:
    """The ratio of the flatness norms of DNC and of pairs tends to a constant as lambda falls."""
    powers = (-10, -50, -100, -200) if fast else (-10, -25, -50, -100, -200, -400)
    data: dict[str, list[float]] = {"spectral": [], "Frobenius": [], "trace": []}
    whole: dict[str, list[float]] = {"spectral": [], "Frobenius": [], "trace": []}
    for power in powers:
        for target, parts in ((data, "gauss_newton"), (whole, "blocks")):
            norms = [_norms(replace(paper_setting(), decay=2.0**power), structure, parts) for structure in (Collapse(), Pairs())]
            for name in target:
                target[name].append(norms[0][name] / norms[1][name])
    numbers: dict[str, float | int | str] = {}
    for name in data:
        numbers |= {f"lambda=2^{p}, {name}, data part": value for p, value in zip(powers, data[name], strict=True)}
        numbers |= {f"lambda=2^{p}, {name}, whole Hessian": value for p, value in zip(powers, whole[name], strict=True)}
    settled = all(abs(values[-1] - values[-2]) < _LIMIT for values in data.values())
    # lambda I is a fixed share of the whole Hessian over log(1/lambda): it closes in on the data part's ratio, but slowly
    gaps = {name: [abs(a - b) for a, b in zip(whole[name], data[name], strict=True)] for name in data}
    closing = all(row[-1] < max(row[0], 1e-9) for row in gaps.values())
    return Finding(numbers, assess(settled and closing))


def _norms(problem: Problem, structure: Structure, parts: str) -> dict[str, float]:
    reduction = reduce(Core.from_form(problem, logit_form(problem, structure)))
    blocks = reduction.gauss_newton if parts == "gauss_newton" else reduction.blocks
    spectrum = Spectrum.merge(((block.values, block.multiplicity) for block in blocks), reduction.error)
    return {"spectral": spectrum.norm, "Frobenius": spectrum.frobenius, "trace": spectrum.trace}
