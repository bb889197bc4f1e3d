"""The checker of proof files: it accepts real proofs, and rejects what is false, incomplete or not a proof, in one line."""

import ast
import copy
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from flint import ctx

from landscape.notation import parse_problem, parse_structure
from landscape.problem import Problem
from landscape.proof import checker
from landscape.proof.box import prove_point
from landscape.proof.certificate import to_json
from landscape.proof.checker import check
from landscape.proof.scales import Group
from landscape.proof.statement import Proof
from landscape.proof.structures import prove_structure
from landscape.reduction import Core
from landscape.structures import analytic
from landscape.symmetry import generators

Claims = dict[str, object]
POINTS = {  # problem, start, root, nullity, index
    "dnc": ("K=4,n=2,d=6,L=2,decay=1e-2", "dnc", "large", 24, 0),
    "pairs": ("K=4,n=2,d=6,L=2,decay=1e-2", "pairs", "large", 18, 0),
    "small": ("K=4,n=2,d=6,L=2,decay=1e-3", "pairs", "small", 18, 3),
    "shallow": ("K=4,n=1,d=7,L=1,decay=0.02", "partition:2,1,1", "large", 6, 13),
    "deep": ("K=4,n=2,d=5,L=3,decay=1e-2", "partition:3,1", "large", 21, 2),
    "uneven": ("sizes=3:3:2:2,d=4,L=2,decay=1e-3:2e-3:4e-3", "partition:2,2", "large", 10, 0),
    "modes": ("K=3,n=2,d=5,L=2,decay=1e-3,loss=mse", "dnc", "large", 18, 0),
    "polygon": ("K=5,n=2,d=6,L=2,decay=1e-3", "blocks:polygon5", "large", 18, 0),
}
STRUCTURES = {  # sizes, width, depth, decay, loss, groups (size, samples, root)
    "dnc": ((2,) * 4, 6, 2, 1e-2, "ce", [(4, 2, "large")]),
    "threshold": ((2,) * 6, 8, 3, 0.058060360421295205, "ce", [(6, 2, "large")]),
    "faint": ((2,) * 4, 6, 2, 1e-7, "ce", [(2, 2, "small")] * 2),
    "mixed": ((1, 1, 1, 2, 2, 3), 7, 3, (1e-3, 2e-3, 1e-3, 3e-3), "ce", [(3, 1, "large"), (2, 2, "small"), (1, 3, "off")]),
    "shallow": ((1,) * 4, 7, 1, 0.02, "ce", [(2, 1, "large"), (1, 1, "off"), (1, 1, "off")]),
    "many": ((100,) * 1000, 5000, 8, 1e-5, "ce", [(1000, 100, "large")]),
    "pairs": ((5,) * 1000, 1100, 2, 1e-5, "ce", [(2, 5, "large")] * 500),
    "modes": ((2, 2, 3), 4, 2, 1e-3, "mse", [(1, 2, "large"), (1, 2, "small"), (1, 3, "off")]),
}


def core_of(problem: str, start: str, root: str) -> Core:
    model = parse_problem(problem)
    return Core.from_form(model, analytic(model, parse_structure(start, root)))


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


def test_real_proofs_are_accepted(points: dict[str, str], structures: dict[str, str]) -> None:
    for name, text in points.items():
        problem, _, _, nullity, index = POINTS[name]
        said = check(text)
        assert f"exactly {nullity} zero and {index} negative eigenvalues among {parse_problem(problem).parameters}" in said
        assert "exactly one critical point in the box" in said
        assert not any(word in said for word in ("DNC", "pairs", "partition")), "a box proof carries no name"
        assert said.count(". ") == 1, "two sentences"
    for text in structures.values():
        claims = json.loads(text)
        said = check(text)
        assert f"the critical point {claims['name']}, of rank {claims['rank']}. " in said
        assert f"exactly {claims['nullity']} zero and {claims['index']} negative" in said


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
def test_the_zero_point_of_one_layer(sizes: tuple[int, ...], decay: float, loss: str, nullity: int, index: int) -> None:
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
    code = "import sys, alone; print(alone.check(open('proof.json').read())); assert 'landscape' not in sys.modules; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={"PATH": ""}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "exactly 18 zero" in done.stdout


# ------------------------------------------------------------------------------------------------- changes that leave a proof


def scaled(value: object, factor: float) -> str:
    return (float.fromhex(str(value)) * factor).hex()


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


# ------------------------------------------------------------------------------------------ changes that make it false, seeded


def add(key: str) -> Callable[[Claims, Random], None]:
    def change(claims: Claims, draw: Random) -> None:
        claims[key] += draw.choice([-1, 1, 2, 6]) if claims[key] else draw.choice([1, 2, 6])

    return change


def core_counts(claims: Claims, draw: Random) -> None:
    key, more = draw.choice(["nullity", "index"]), draw.choice([1, 2])
    claims["core"][key] += more
    claims[key] += more


def another_decay(claims: Claims, draw: Random) -> None:
    """Beyond the box, or beyond the enclosures of scales and loss."""
    place = draw.randrange(len(claims["problem"]["decays"]))
    factor = 1 + draw.choice([-1, 1]) * 10 ** draw.uniform(-9, -1)
    claims["problem"]["decays"][place] = scaled(claims["problem"]["decays"][place], factor)


def another_loss(claims: Claims, draw: Random) -> None:
    low, high = map(float.fromhex, claims["loss"])
    shift = (1 + draw.choice([-1, 1]) * 10 ** draw.uniform(-14.5, -1)) if high > low else 1.1
    claims["loss"] = [(low * shift).hex(), (high * shift).hex()]
    assert not float.fromhex(claims["loss"][0]) <= (low + high) / 2 <= float.fromhex(claims["loss"][1])


def loss_upside_down(claims: Claims, draw: Random) -> None:
    claims["loss"].reverse()


def another_problem(claims: Claims, draw: Random) -> None:
    problem = claims["problem"]
    match draw.choice(["samples", "width", "depth", "loss", "class", "decays"]):
        case "samples":
            problem["class_sizes"][draw.randrange(len(problem["class_sizes"]))] += draw.choice([1, 5])
        case "width":
            problem["width"] += draw.choice([-1, 1, 10**9])
        case "depth":
            problem["depth"] += draw.choice([-1, 1, 10**9])
        case "loss":
            problem["loss"] = {"ce": "mse", "mse": "ce"}[problem["loss"]]
        case "class":
            problem["class_sizes"].append(1)
        case "decays":
            problem["decays"].append(problem["decays"][0])


def generator_dropped(claims: Claims, draw: Random) -> None:
    """One symmetry less is held: its coordinate joins the free ones, the counts follow."""
    core = claims["core"]
    fixed, basis = core["fixed"], core["basis"]
    freed = fixed.pop(draw.randrange(len(fixed)))
    size, place = len(basis) + 1, freed - sum(held < freed for held in fixed)
    basis.insert(place, [(0.0).hex()] * (size - 1))
    for row in basis:
        row.append((0.0).hex())
    basis[place][-1] = (1.0).hex()
    core["nullity"] -= 1
    claims["nullity"] -= 1


def coordinate_added(claims: Claims, draw: Random) -> None:
    """A foreign coordinate is held, as if there were one symmetry more; the counts follow."""
    core = claims["core"]
    size = len(core["given"])
    free = [place for place in range(size) if place not in core["fixed"]]
    gone = draw.randrange(len(free))
    core["fixed"] = sorted([*core["fixed"], free[gone]])
    kept = [row for place, row in enumerate(core["basis"]) if place != gone]
    matrix = np.array([[float.fromhex(entry) for entry in row] for row in kept])
    core["basis"] = [
        [float(entry).hex() for entry in row] for row in np.linalg.svd(matrix, full_matrices=False)[0] @ np.eye(len(kept))
    ]
    core["nullity"] += 1
    claims["nullity"] += 1


def fixed_disturbed(claims: Claims, draw: Random) -> None:
    fixed = claims["core"]["fixed"]
    match draw.choice(["twice", "order", "range", "missing"]) if len(fixed) > 1 else draw.choice(["range", "missing"]):
        case "twice":
            fixed[1] = fixed[0]
        case "order":
            fixed.reverse()
        case "range":
            fixed.append(len(claims["core"]["given"]))
        case "missing":
            if fixed:
                fixed.pop()
            else:
                fixed.append(0)


def basis_degenerate(claims: Claims, draw: Random) -> None:
    basis, zero = claims["core"]["basis"], (0.0).hex()
    one, other = draw.sample(range(len(basis)), 2)
    match draw.choice(["zero column", "equal columns", "zero row", "all zero", "short", "row gone"]):
        case "zero column":
            for row in basis:
                row[one] = zero
        case "equal columns":
            for row in basis:
                row[one] = row[other]
        case "zero row":
            basis[one] = [zero] * len(basis)
        case "all zero":
            claims["core"]["basis"] = [[zero] * len(basis) for _ in basis]
        case "short":
            basis[one].pop()
        case "row gone":
            basis.pop()


def centre_moved(claims: Claims, draw: Random) -> None:
    """By much more than the radius, in one coordinate; what was given and how far it is move with it."""
    core = claims["core"]
    place = draw.randrange(len(core["given"]))
    value = float.fromhex(core["given"][place]) + draw.choice([-1, 1]) * 10 ** draw.uniform(-6, 0)
    ratio, power = math.frexp(value)
    core["given"][place], core["centre"][place] = value.hex(), [str(int(ratio * 2**53)), str(power - 53)]


def bad_radius(claims: Claims, draw: Random) -> None:
    claims["core"]["radius"] = draw.choice([0.0, -1e-9, 1e-300, 10.0, 1e300]).hex()


def too_close(claims: Claims, draw: Random) -> None:
    claims["distance"] = scaled(claims["distance"], draw.choice([0.0, 0.5, 0.9, -1.0]))


def given_elsewhere(claims: Claims, draw: Random) -> None:
    place = draw.randrange(len(claims["core"]["given"]))
    claims["core"]["given"][place] = (float.fromhex(claims["core"]["given"][place]) + 1e-9).hex()


def another_name(claims: Claims, draw: Random) -> None:
    claims["name"] = draw.choice(["", "DNC " + str(claims["name"]), f"{claims['name']} at the small root", "partition (9,1)"])


def group_changed(claims: Claims, draw: Random) -> None:
    groups = claims["groups"]
    group = groups[draw.randrange(len(groups))]
    match draw.choice(["root", "size", "samples", "gone", "twice"]):
        case "root":
            group["root"] = {"large": "small", "small": "large", "off": "large"}[group["root"]]
        case "size":
            group["size"] += draw.choice([-1, 1, 10**9])
        case "samples":
            group["samples"] += 1
        case "gone":
            groups.remove(group)
        case "twice":
            groups.append(group)


def scale_moved(claims: Claims, draw: Random) -> None:
    """Beside the root, to the other root's side, empty, or zero."""
    group = draw.choice([group for group in claims["groups"] if group["root"] != "off"])
    low, high = map(float.fromhex, group["scale"])
    match draw.choice(["up", "down", "turned", "point", "zero"]):
        case "up":
            ends = [high * (1 + 1e-15), high * (1 + 1e-6)]
        case "down":
            ends = [low * (1 - 1e-6), low * (1 - 1e-15)]
        case "turned":
            ends = [high, low] if high > low else [2 * low, low]
            ends = [high * 1.1, low * 0.9]
        case "point":
            ends = [low, low]
        case "zero":
            ends = [0.0, 0.0]
    group["scale"] = [end.hex() for end in ends]


def key_lost(claims: Claims, draw: Random) -> None:
    place = draw.choice([claims, claims["problem"], claims["core"] if "core" in claims else claims["groups"][0]])
    place.pop(draw.choice(sorted(place)))


def key_added(claims: Claims, draw: Random) -> None:
    place = draw.choice([claims, claims["problem"], claims["core"] if "core" in claims else claims["groups"][0]])
    place["certified"] = True


def key_renamed(claims: Claims, draw: Random) -> None:
    place = claims["core"] if "core" in claims else claims["groups"][0]
    key = draw.choice(sorted(place))
    place[key + "_"] = place.pop(key)


def wrong_type(claims: Claims, draw: Random) -> None:
    place = draw.choice([claims, claims["problem"]])
    key = draw.choice(sorted(place))
    place[key] = draw.choice(
        [True, None, [], {}, -1, 0.5, "1", [[]], {"a": 1}, "0x1p+2000", "nan", float("nan"), 10**70, 10**5000 + 1]
    )


EITHER = [
    add("nullity"),
    add("index"),
    add("parameters"),
    add("rank"),
    another_decay,
    another_loss,
    loss_upside_down,
    another_problem,
]
EITHER += [key_lost, key_added, key_renamed, wrong_type]
OF_POINTS = [
    core_counts,
    generator_dropped,
    coordinate_added,
    fixed_disturbed,
    basis_degenerate,
    centre_moved,
    bad_radius,
    too_close,
]
OF_POINTS += [given_elsewhere]
OF_STRUCTURES = [another_name, group_changed, scale_moved]


def tampered(proofs: dict[str, str], changes: list[Callable[[Claims, Random], None]], seed: int) -> list[tuple[str, str]]:
    found, draw = [], Random(seed)
    for name, text in proofs.items():
        for number, change in enumerate(changes):
            claims = copy.deepcopy(json.loads(text))
            if change is generator_dropped and not claims["core"]["fixed"]:
                continue
            sys.set_int_max_str_digits(0)  # to write the numbers; the checker reads with the limit
            try:
                change(claims, draw)
                written = json.dumps(claims)
            finally:
                sys.set_int_max_str_digits(4300)
            if json.loads(text) != claims and written != text:
                found.append((f"{name}: {getattr(change, '__name__', '')} {number}", written))
    return found


def test_two_hundred_tampered_proofs_are_rejected(points: dict[str, str], structures: dict[str, str]) -> None:
    cases = [case for seed in (1, 2) for case in tampered(points, EITHER + OF_POINTS, seed)]
    cases += [case for seed in (3, 4) for case in tampered(structures, EITHER + OF_STRUCTURES, seed)]
    assert len(cases) >= 400
    accepted = []
    for name, text in cases:
        try:
            accepted.append(f"{name}: {check(text)}")
        except ValueError as error:
            assert "\n" not in str(error)
    assert not accepted, "\n".join(accepted)
