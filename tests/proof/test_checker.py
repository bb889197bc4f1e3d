"""The checker of proof files: it accepts real proofs, and rejects what is false, incomplete or not a proof, in one line."""

import ast
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from flint import ctx

from landscape.model.problem import LossName, Problem
from landscape.proof import checker
from landscape.proof.box import prove_point
from landscape.proof.certificate import to_json
from landscape.proof.checker import check
from landscape.proof.scales import Group, GroupRoot
from landscape.proof.statement import Proof
from landscape.proof.structures import prove_structure
from tests.proof.tamperings import EITHER, OF_POINTS, OF_STRUCTURES, POINTS, STRUCTURES, Claims, core_of, padded, scaled, tampered


@pytest.fixture(scope="module")
def points() -> dict[str, str]:
    found = {}
    for name, (problem, start, root, nullity, index) in POINTS.items():
        core = core_of(problem, start, root)
        proof = prove_point(core.problem, core.rank, core.theta.tolist())
        assert isinstance(proof, Proof), name
        assert (proof.nullity, proof.index) == (nullity, index)
        found[name] = to_json(proof)
    return found


@pytest.fixture(scope="module")
def structures() -> dict[str, str]:
    found = {}
    for name, (sizes, width, depth, decay, loss, groups) in STRUCTURES.items():
        proof = prove_structure(Problem(sizes, width, depth, decay, loss), [Group(*group) for group in groups])
        assert isinstance(proof, Proof), name
        found[name] = to_json(proof)
    return found


def reason(text: str) -> str:
    """Returns the one line with which a text is rejected; fails if it is accepted or anything else is raised."""
    with pytest.raises(ValueError, match=r".") as caught:
        check(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    return str(caught.value)


# ----------------------------------------------------------------------------------------------------------------- accepted


def test_a_barely_contracting_map_is_not_written_since_other_code_encloses_wider() -> None:
    """At rank 1 and depth 4 the prover's map contracted by 0.986 at 53 bits, and the checker's bound of it was 1.97."""
    core = [
        -0.010140886494738174, 0.27659963658297576, -3.980913122772298, 0.010140886494738167, -0.27659963658297765,
        -0.010140886494738176, 0.010140886494738153, 3.980913122772304, 5.643470975415103, 5.643470975415103, 5.643470975415103,
        -1.9387021467730094, 2.0463748628825016, -2.0541665506804963, 1.9387021467731655, -2.046374862882345, -1.9387021467730094,
        1.9387021467731655, 2.054166550680653,
    ]  # fmt: skip
    proof = prove_point(Problem.balanced(8, 3, 9, 4, 2.0**-10), 1, core)
    assert isinstance(proof, Proof)
    assert (proof.nullity, proof.index) == (32, 0)
    assert "exactly 32 zero and 0 negative" in check(to_json(proof))


def test_real_proofs_are_accepted(points: dict[str, str], structures: dict[str, str]) -> None:
    for name, text in points.items():
        problem, _, _, nullity, index = POINTS[name]
        said = check(text)
        assert f"exactly {nullity} zero and {index} negative eigenvalues among {Problem.parse(problem).parameters}" in said
        assert "exactly one critical point in the box" in said
        assert not any(word in said for word in ("DNC", "pairs", "partition")), "a box proof carries no name"
        assert said.count(". ") == 1, "two sentences"
    for text in structures.values():
        claims = json.loads(text)
        said = check(text)
        assert f"the critical point {claims['name']}, of rank {claims['rank']}. " in said
        assert f"exactly {claims['nullity']} zero and {claims['index']} negative" in said


def test_two_derivations_agree_on_random_structures() -> None:
    """Blocks with a row for each factor (the prover) and the reduced loss on matrices of one rank (the checker)."""
    draw, counted = Random(7), 0
    for _ in range(120):
        losses: list[LossName] = ["ce", "ce", "mse"]
        loss, depth = draw.choice(losses), draw.choice([1, 2, 3, 4])
        roots: list[GroupRoot] = ["large"] if depth == 1 else ["large", "small"]
        groups = [
            Group(draw.choice([1, 2, 3, 4]) if loss == "ce" else 1, draw.choice([1, 2, 3]), draw.choice(roots))
            for _ in range(draw.choice([2, 3, 4]))
        ]
        sizes = tuple(group.samples for group in groups for _ in range(group.size))
        decays = tuple(10 ** draw.uniform(-6, -2) for _ in range(depth + 1))
        proof = prove_structure(Problem(sizes, len(sizes) + draw.choice([0, 2]), depth, decays, loss), groups)
        if isinstance(proof, Proof):
            counted += 1
            assert f"exactly {proof.nullity} zero and {proof.index} negative" in check(to_json(proof))
    assert counted > 60


def test_known_integers_are_what_is_proved(structures: dict[str, str]) -> None:
    assert "exactly 35964000 zero and 498500 negative" in check(structures["many"])
    assert "exactly 18 zero and 3 negative" in check(structures["faint"])
    assert "and 9 negative" in check(structures["threshold"])


def test_the_width_stands_in_the_statement(points: dict[str, str]) -> None:
    assert "At width 7" in check(points["shallow"])
    assert "for every width" not in check(points["shallow"])
    assert "(for every width d >= 3: nullity 6 (d - 3) + 6, index 0)" in check(points["dnc"])


@pytest.mark.parametrize(
    ("sizes", "decay", "loss", "nullity", "index"),
    [
        ((1,) * 4, 0.25, "ce", 9, 0),  # decay^2 K^2 n = 1 exactly
        ((1,) * 4, math.nextafter(0.25, 0), "ce", 0, 9),
        ((1,) * 4, math.nextafter(0.25, 1), "ce", 0, 0),
        ((1,) * 4, 0.25, "mse", 12, 0),
        ((2, 1, 3), 0.1, "ce", 0, 6),
        ((2, 2, 3), 0.2, "mse", 0, 9),
    ],
)
def test_the_zero_point_of_one_layer(sizes: tuple[int, ...], decay: float, loss: LossName, nullity: int, index: int) -> None:
    proof = prove_point(Problem(sizes, 3, 1, decay, loss), 0, [])
    assert isinstance(proof, Proof)
    pull = np.diag(np.sqrt(sizes)) / sum(sizes)
    pull = (np.ones((len(sizes),) * 2) / len(sizes) - np.eye(len(sizes))) @ pull if loss == "ce" else -pull
    eye = decay * np.eye(len(sizes))
    values = np.linalg.eigvalsh(np.block([[eye, pull], [pull.T, eye]]))
    assert (3 * int((abs(values) < 1e-14).sum()), 3 * int((values < -1e-14).sum())) == (nullity, index) or nullity == 0 == index % 9
    assert f"exactly {nullity} zero and {index} negative" in check(to_json(proof))


def test_the_precision_of_the_caller_is_kept(points: dict[str, str]) -> None:
    before = ctx.prec
    check(points["pairs"])
    reason("{}")
    assert ctx.prec == before


def test_it_imports_flint_and_three_modules_of_the_standard_library() -> None:
    source = Path(checker.__file__).read_text()
    tree = ast.parse(source)
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names == {"json", "math", "fractions", "flint"}
    assert len(source.splitlines()) <= 400


def test_it_runs_alone(points: dict[str, str], tmp_path: Path) -> None:
    """In an interpreter that never sees this package."""
    (tmp_path / "alone.py").write_text(Path(checker.__file__).read_text())
    (tmp_path / "proof.json").write_text(points["pairs"])
    code = "import sys, alone; print(alone.check(open('proof.json').read()))"
    code += "; assert not {'landscape', 'torch', 'numpy'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={"PATH": ""}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "exactly 18 zero" in done.stdout


# ------------------------------------------------------------------------------------------------- changes that leave a proof


def radius_doubled(claims: Claims) -> None:
    claims["core"]["radius"] = scaled(claims["core"]["radius"], 2)


def radius_halved(claims: Claims) -> None:
    claims["core"]["radius"] = scaled(claims["core"]["radius"], 0.5)


def more_bits(claims: Claims) -> None:
    claims["bits"] *= 2


def distance_doubled(claims: Claims) -> None:
    claims["distance"] = scaled(claims["distance"], 2)


def wider_loss(claims: Claims) -> None:
    claims["loss"] = [scaled(claims["loss"][0], 0.5), scaled(claims["loss"][1], 2)]


def other_inverse(claims: Claims) -> None:
    claims["core"]["inverse"] = [[1, 2], "whatever"]


def scaled_basis(claims: Claims) -> None:
    claims["core"]["basis"] = [[scaled(entry, 0.5) for entry in row] for row in claims["core"]["basis"]]
    claims["core"]["radius"] = scaled(claims["core"]["radius"], 2)


def one_place_up(claims: Claims) -> None:
    """The decays' next doubles, with the bounds that go with them: the box still holds one point."""
    claims["problem"]["decays"] = [math.nextafter(float.fromhex(d), 1).hex() for d in claims["problem"]["decays"]]
    claims["distance"] = (1e-12).hex()
    claims["loss"] = [scaled(claims["loss"][0], 1 - 1e-14), scaled(claims["loss"][1], 1 + 1e-14)]
    claims["core"]["radius"] = (1e-10).hex()


@pytest.mark.parametrize(
    "change",
    [radius_doubled, radius_halved, more_bits, distance_doubled, wider_loss, other_inverse, scaled_basis, one_place_up],
)
def test_changes_that_leave_a_valid_proof(change: Callable[[Claims], None], points: dict[str, str]) -> None:
    for name in ("dnc", "pairs", "modes", "shallow"):
        claims = json.loads(points[name])
        change(claims)
        assert f"exactly {claims['nullity']} zero and {claims['index']} negative" in check(json.dumps(claims))


def test_another_width_with_its_own_counts_is_a_valid_proof(points: dict[str, str], structures: dict[str, str]) -> None:
    for text in (points["dnc"], structures["dnc"]):
        claims = json.loads(text)
        claims["problem"]["width"], claims["nullity"], claims["parameters"] = 10, 6 * 7 + 6, 10 * (8 + 4 + 10)
        assert "At width 10 its Hessian has exactly 48 zero and 0 negative" in check(json.dumps(claims))


def test_layout_and_order_of_keys_do_not_matter(points: dict[str, str]) -> None:
    claims = json.loads(points["pairs"])
    assert check(json.dumps(dict(reversed(claims.items())), indent=3)) == check(points["pairs"])


# ------------------------------------------------------------------------------------------------------------- made false


def test_two_hundred_tampered_proofs_are_rejected(points: dict[str, str], structures: dict[str, str]) -> None:
    cases = tampered(points, EITHER + OF_POINTS, 1) + tampered(structures, EITHER + OF_STRUCTURES, 2)
    assert len(cases) >= 200
    for name, text in cases:
        print(name)  # shown if it is accepted
        reason(text)


# ------------------------------------------------------------------------------------------- what is not a proof file at all


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "hello",
        "null",
        "[]",
        "{}",
        "1",
        '"proof"',
        "{" * 100_000,
        "[" * 15_000,
        "[" * 15_000 + "]" * 15_000,
        '{"a":' * 9_000 + "1" + "}" * 9_000,
        '{"format":"landscape-proof/1"}',
        '{"format":"landscape-proof/1","kind":"point"}',
        '{"format":"landscape-proof/1","kind":["point"]}',
        '{"format":"landscape-proof/1","kind":"point","kind":"point"}',
        '{"format":"landscape-proof/2","kind":"point"}',
        "9" * 10_000,
        '{"format":NaN,"kind":Infinity}',
        "\ud800",
        "\x00",
        '"\\ud800"',
        "[]," * 10_000_000,
    ],
)
def test_other_texts_are_refused_in_one_line(text: str) -> None:
    reason(text)


@pytest.mark.parametrize("text", [None, 3, b"{}", ["{}"]])
def test_what_is_not_text_is_a_mistake_of_the_caller(text: Any) -> None:
    with pytest.raises(Exception, match=r"."):
        check(text)


def test_a_text_that_is_cut_anywhere_is_refused(points: dict[str, str], structures: dict[str, str]) -> None:
    draw = Random(5)
    for text in (points["pairs"], structures["mixed"]):
        for place in [0, 1, len(text) - 1, *(draw.randrange(len(text)) for _ in range(60))]:
            reason(text[:place])


def test_a_key_that_stands_twice_is_refused(points: dict[str, str]) -> None:
    text = points["pairs"]
    assert "object" in reason(text.replace('"index":0', '"index":0,"index":0', 1))
    assert "object" in reason(text[:-1] + ',"rank":2}')


def test_random_damage_is_refused_or_harmless(points: dict[str, str], structures: dict[str, str]) -> None:
    """Any character changed: refused in one line, or accepted with the same integers."""
    draw = Random(6)
    for text in (points["shallow"], points["pairs"], structures["mixed"], structures["modes"]):
        claims = json.loads(text)
        counts = f"exactly {claims['nullity']} zero and {claims['index']} negative eigenvalues among {claims['parameters']}"
        for _ in range(150):
            place = draw.randrange(len(text))
            damaged = text[:place] + draw.choice('0123456789abcdefxp+-.,:[]{}" \\eEn') + text[place + draw.choice([0, 1, 1, 2]) :]
            try:
                said = check(damaged)
            except ValueError:
                reason(damaged)
            else:
                assert counts in said


@pytest.mark.parametrize("key", ["width", "depth"])
def test_huge_sizes_allocate_nothing(key: str, points: dict[str, str], structures: dict[str, str]) -> None:
    for text in (points["pairs"], structures["dnc"]):
        for size in (10**9, 10**15, 10**60, 10**4000):
            claims = json.loads(text)
            claims["problem"][key] = size
            claims["parameters"] = size
            reason(json.dumps(claims))


def test_huge_cores_groups_and_exponents_allocate_nothing(points: dict[str, str], structures: dict[str, str]) -> None:
    claims = json.loads(structures["dnc"])
    claims["groups"][0]["size"] = 10**12
    reason(json.dumps(claims))
    claims = json.loads(structures["dnc"])
    claims["problem"]["class_sizes"], claims["rank"] = [1] * 9_999, 6
    reason(json.dumps(claims))
    claims = json.loads(points["pairs"])
    claims["problem"]["width"] = claims["rank"] = 4
    claims["problem"]["class_sizes"] = [1] * 5_000
    assert "too many" in reason(json.dumps(claims))
    for pair in (
        ["1", "99999999999"],
        ["1", "99999"],
        ["9" * 3_000, "0"],
        ["1" * 2_000, "-99999"],
        ["", ""],
        ["1.5", "0"],
        ["1"],
        [1, 0],
    ):
        claims = json.loads(points["pairs"])
        claims["core"]["centre"][0] = pair
        reason(json.dumps(claims))
    for bits in (0, 1, 10**6, 10**9):
        claims = json.loads(points["pairs"])
        claims["bits"] = bits
        reason(json.dumps(claims))
    for value in ("inf", "nan", "0x1p+1023", "-0x1.8p+1", "0x0.0p+0", "1e5", "0x1.8P+1", " 0x1.8000000000000p+1"):
        claims = json.loads(points["pairs"])
        claims["core"]["given"][0] = claims["core"]["basis"][0][0] = value
        reason(json.dumps(claims))


# -------------------------------------------------------------------------------------------------- a core one width too wide


def test_a_core_that_is_too_wide_is_refused_by_the_rank_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    text = padded()
    assert "rank below 3" in reason(text)
    regular = checker._is_regular
    monkeypatch.setattr(checker, "_is_regular", lambda balls: balls.nrows() == 3 or regular(balls))
    assert "exactly 24 zero" in check(text), "without the rank a wrong integer is proved: the truth is 18"
