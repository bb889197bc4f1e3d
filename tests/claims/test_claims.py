"""Every verdict against the page, and the checks against closed forms, broken theories and a page that states something else."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from scipy.optimize import minimize_scalar

from landscape import claims
from landscape.claims import CLAIMS, curvature, rectified
from landscape.claims.comparison import best_known, loss_of, low_rank
from landscape.claims.finding import Finding, assess
from landscape.claims.rank import step_sizes
from landscape.cli import run
from landscape.problem import Problem
from landscape.structures import Apex, Collapse, Pairs, Partition
from landscape.theory import dnc_decay

PAGE = (Path(__file__).parents[2] / "docs" / "paper.md").read_text()
QUICK = ["Theorem 1, K=4 and L=2", "Theorem 4", "Theorem 6"]


def test_the_page_has_a_section_and_a_verdict_for_every_claim() -> None:
    sections = dict(re.findall(r"^## (.+?)\n\n\*\*Verdict: (.+?)\.\*\*", PAGE, flags=re.MULTILINE))
    assert sections == {claim.name: claim.stated for claim in CLAIMS}


def test_links_are_those_of_the_rendered_page() -> None:
    links = {claim.name: claim.link for claim in CLAIMS}
    assert links["Theorem 1, K=4 and L=2"] == "docs/paper.md#theorem-1-k4-and-l2"
    assert links["Theorem A1"] == "docs/paper.md#theorem-a1"


@pytest.mark.parametrize(
    ("stated", "corrected", "verdict"),
    [
        (True, False, "holds"),
        (True, True, "holds"),
        (False, True, "holds with a correction"),
        (False, False, "does not hold as stated"),
        (None, True, "not testable"),
    ],
)
def test_verdicts(stated: bool | None, corrected: bool, verdict: str) -> None:
    assert assess(stated, corrected) == verdict


@pytest.mark.parametrize("name", QUICK)
def test_quick_claims_come_out_as_the_page_says(name: str) -> None:
    claim = next(claim for claim in CLAIMS if claim.name == name)
    assert claim.check(True).verdict == claim.stated


@pytest.mark.slow
def test_all_claims_come_out_as_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "--fast", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["claim"] for row in rows] == [claim.name for claim in CLAIMS]
    assert all(row["numbers"] for row in rows)


@pytest.mark.slow
def test_another_dimension_changes_the_verdict_of_theorem_5(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curvature, "orbit_dimension", lambda rank, width, depth: depth * rank * (width - rank))
    assert curvature.theorem_5(True).verdict == "does not hold as stated"


def test_a_negative_hessian_changes_the_verdict_of_theorem_4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curvature, "_index", lambda problem: 1)
    assert curvature.theorem_4(True).verdict == "does not hold as stated"


def gauss_newton_limits(K: int, n: int, L: int) -> tuple[float, float]:
    """The limits that docs/paper.md derives, Frobenius and trace, DNC over pairs."""
    m, unit = K // 2, 2 * K / (K - 2)
    triangle, diagonal = (K - 1) * (K - 2) / 2, K * (K - 3) / 2
    trace = (L + 1) * (triangle + diagonal + K) + (K - 1) * ((L + 1) * (K - 1) + 2) + K * (n - 1) * (K - 2) + K**2 * (n - 1)
    square = (L + 1) ** 2 * (triangle + diagonal + K**2) + K * (n - 1) * (K - 2) + K**3 * (n - 1)
    square += (K - 1) * (((L + 1) * (K - 1) + 2) ** 2 - 2 * (L + 1) * K)
    other = 2 * (L + 1) * m * (m - 1) + 2 * m * (m - 2) + 2 * m**2 + 2 * K * (n - 1) * (m - 1)
    others = (L + 1) ** 2 * m**2 * (m - 1) + 2 * m * (m - 2) + m * ((K - 1) ** 2 + 1) + K * (n - 1) * m * (m - 1)
    return math.sqrt(square / others) / unit, trace / other / unit


@pytest.mark.parametrize(("K", "n", "L"), [(10, 5, 2), (6, 1, 3), (8, 2, 4)])
def test_the_flatness_ratios_tend_to_the_derived_limits(K: int, n: int, L: int) -> None:
    limits = gauss_newton_limits(K, n, L)
    gaps = []
    for power in (-100, -400):
        problem = Problem.balanced(K, n, K, L, 2.0**power)
        one, other = (curvature._norms(problem, structure, "gauss_newton") for structure in (Collapse(), Pairs()))
        ratios = (one["Frobenius"] / other["Frobenius"], one["trace"] / other["trace"], one["spectral"] / other["spectral"])
        gaps.append([abs(a - b) for a, b in zip(ratios, (*limits, 1.0), strict=True)])
    assert max(gaps[1]) < 5e-3
    assert all(late < early / 2 for early, late in zip(*gaps, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(("K", "L", "n"), [(6, 3, 1), (10, 5, 2), (8, 4, 3)])
def test_the_best_relu_construction_is_what_the_page_derives(K: int, L: int, n: int) -> None:
    problem = Problem.balanced(K, n, K + 1, L, 1e-4, activation="relu")

    def best(log_c: float) -> float:
        c = math.exp(log_c)
        fit = math.log(1 + math.exp(-2 * c) + (K - 2) * math.exp(-c))
        product = (2 * K) ** 3 * (2 * K + 4) ** (L - 2) * (c * math.sqrt(n) / 2 ** (L - 1)) ** 2
        return fit + problem.mean_decay * (L + 1) / 2 * product ** (1 / (L + 1))

    closed = minimize_scalar(best, bounds=(0.0, 4.0), method="bounded", options={"xatol": 1e-10}).fun
    assert rectified.lowest_construction(problem) == pytest.approx(closed, rel=1e-8)


def test_losses_of_the_page_for_four_classes() -> None:
    rows = re.findall(r"^\| (0\.\d+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", PAGE, flags=re.MULTILINE)
    assert len(rows) == 2
    for decay, alpha, beta, collapsed, paired in (map(float, row) for row in rows):
        assert alpha ** (1 / 3) * math.exp(-alpha) / (1 + 3 * math.exp(-alpha)) == pytest.approx(decay, rel=1e-6)
        far = math.exp(-beta / 2)
        assert beta ** (1 / 3) / 2 * (far**2 + far) / (1 + far**2 + 2 * far) == pytest.approx(decay, rel=1e-6)
        assert math.log(1 + 3 * math.exp(-alpha)) + 4.5 * decay * alpha ** (2 / 3) == pytest.approx(collapsed, abs=1e-6)
        assert math.log(1 + far**2 + 2 * far) + 3 * decay * beta ** (2 / 3) == pytest.approx(paired, abs=1e-6)
        problem = Problem.balanced(4, 1, 4, 2, decay)
        assert loss_of(problem, Collapse()) == pytest.approx(collapsed, abs=1e-6)
        assert loss_of(problem, Pairs()) == pytest.approx(paired, abs=1e-6)


@pytest.mark.slow
def test_the_best_known_point_of_the_notes() -> None:
    best = best_known(Problem.balanced(5, 2, 5, 2, 1e-3), 8)
    assert best.rank == 3
    assert best.loss == pytest.approx(0.030945360, abs=1e-9)
    assert best.collapsed == pytest.approx(0.031144096, abs=1e-9)


def test_the_decay_of_a_scale_is_that_of_its_root() -> None:
    alpha = 7.25
    problem = Problem.balanced(9, 1, 9, 3, dnc_decay(9, 1, 3, alpha))
    loss = loss_of(problem, Collapse())
    fit = math.log(1 + 8 * math.exp(-alpha)) + problem.mean_decay * 2 * 8 * alpha**0.5
    assert loss == pytest.approx(fit, rel=1e-12)


def test_rivals_and_step_sizes() -> None:
    assert low_rank(8) == (Pairs(),)
    assert low_rank(7) == (Partition((3, 2, 2)), Apex())
    assert step_sizes(6, 4, 1 / 3) == (4, 4, 4, 4, 1, 1)
    assert loss_of(Problem.balanced(4, 1, 4, 2, 1.0), Collapse()) is None


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "--fast", "--claim", "theorem 4, proof"]) == 0
    out = capsys.readouterr().out
    assert "holds with a correction" in out
    assert "docs/paper.md#theorem-4-proof" in out
    assert run(["verify", "--claim", "Theorem 9"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    other = replace(CLAIMS[0], check=lambda fast: Finding({"x": 1}, "not testable"))
    monkeypatch.setattr(claims, "CLAIMS", (other,))
    assert run(["verify", "--fast", "--claim", "Lemma 1"]) == 1
    assert "Lemma 1: not testable, but the page states: holds" in capsys.readouterr().err
