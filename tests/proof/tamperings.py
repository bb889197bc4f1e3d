"""Proofs for the tests of the checker, and the changes that make them false or incomplete; every draw is seeded."""

import copy
import json
import math
import sys
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import torch

from landscape.model.gauge import generators
from landscape.model.problem import LossName, Problem
from landscape.model.reduced_point import Core
from landscape.proof.scales import GroupRoot as GroupRoot
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Root
from landscape.structures.notation import parse_structure

Claims = dict[str, Any]
POINTS: dict[str, tuple[str, str, Root, int, int]] = {  # problem, start, root, nullity, index
    "dnc": ("K=4,n=2,d=6,L=2,decay=1e-2", "dnc", "large", 24, 0),
    "pairs": ("K=4,n=2,d=6,L=2,decay=1e-2", "pairs", "large", 18, 0),
    "small": ("K=4,n=2,d=6,L=2,decay=1e-3", "pairs", "small", 18, 3),
    "shallow": ("K=4,n=1,d=7,L=1,decay=0.02", "partition:2,1,1", "large", 6, 13),
    "deep": ("K=4,n=2,d=5,L=3,decay=1e-2", "partition:3,1", "large", 21, 2),
    "uneven": ("sizes=3:3:2:2,d=4,L=2,decay=1e-3:2e-3:4e-3", "partition:2,2", "large", 10, 0),
    "modes": ("K=3,n=2,d=5,L=2,decay=1e-3,loss=mse", "dnc", "large", 18, 0),
    "polygon": ("K=5,n=2,d=6,L=2,decay=1e-3", "blocks:polygon5", "large", 18, 0),
}
Sizes = tuple[int, ...]
Groups = list[tuple[int, int, GroupRoot]]
Settings = tuple[Sizes, int, int, float | tuple[float, ...], LossName, Groups]
STRUCTURES: dict[str, Settings] = {  # sizes, width, depth, decay, loss, groups (size, samples, root)
    "dnc": ((2,) * 4, 6, 2, 1e-2, "ce", [(4, 2, "large")]),
    "threshold": ((2,) * 6, 8, 3, 0.058060360421295205, "ce", [(6, 2, "large")]),
    "faint": ((2,) * 4, 6, 2, 1e-7, "ce", [(2, 2, "small")] * 2),
    "mixed": ((1, 1, 1, 2, 2, 3), 7, 3, (1e-3, 2e-3, 1e-3, 3e-3), "ce", [(3, 1, "large"), (2, 2, "small"), (1, 3, "off")]),
    "shallow": ((1,) * 4, 7, 1, 0.02, "ce", [(2, 1, "large"), (1, 1, "off"), (1, 1, "off")]),
    "many": ((100,) * 1000, 5000, 8, 1e-5, "ce", [(1000, 100, "large")]),
    "pairs": ((5,) * 1000, 1100, 2, 1e-5, "ce", [(2, 5, "large")] * 500),
    "modes": ((2, 2, 3), 4, 2, 1e-3, "mse", [(1, 2, "large"), (1, 2, "small"), (1, 3, "off")]),
}


def core_of(problem: str, start: str, root: Root) -> Core:
    model = Problem.parse(problem)
    return Core.from_form(model, logit_form(model, parse_structure(start, root)))


def padded() -> str:
    """The pairs of K = 4, of rank 2, in a core of width 3: every step but that of the rank holds, and the integers are wrong."""
    core = core_of("K=4,n=2,d=6,L=2,decay=1e-2", "pairs", "large")
    features, middle, top = core.objective.split(core.theta)
    wide = [
        torch.nn.functional.pad(features, (0, 0, 0, 1)),
        torch.nn.functional.pad(middle, (0, 1, 0, 1)),
        torch.nn.functional.pad(top, (0, 1)),
    ]
    point = Core(core.problem, 3, torch.cat([factor.flatten() for factor in wide]))
    tangents = generators(Problem((1,) * 4, 3, 2, 1e-2), point.theta).numpy()
    size, held = tangents.shape
    rows: list[int] = []
    for _ in range(held):  # coordinates whose rows of the generators are as independent as they can be
        volumes = [-1.0 if i in rows else float(np.linalg.svd(tangents[[*rows, i]], compute_uv=False)[-1]) for i in range(size)]
        rows.append(int(np.argmax(volumes)))
    assert float(np.linalg.svd(tangents[rows], compute_uv=False)[-1]) > 0.1, "the generators do not show that the core is too wide"
    free = [i for i in range(size) if i not in rows]
    hessian = torch.func.hessian(point.objective.loss)(point.theta).numpy()[np.ix_(free, free)]
    values, basis = np.linalg.eigh(hessian)
    assert abs(values).min() > 1e-4, "nor does the Hessian on the slice"
    parts = [value.as_integer_ratio() for value in point.theta.tolist()]
    evidence = {
        "given": [value.hex() for value in point.theta.tolist()],
        "centre": [[str(top), str(1 - bottom.bit_length())] for top, bottom in parts],
        "radius": (1e-9).hex(),
        "fixed": sorted(rows),
        "basis": [[float(value).hex() for value in row] for row in basis],
        "inverse": None,
        "nullity": held,
        "index": int((values < 0).sum()),
    }
    claims = {
        "format": "landscape-proof/1",
        "kind": "point",
        "problem": {"class_sizes": [2] * 4, "width": 6, "depth": 2, "loss": "ce", "decays": [(1e-2).hex()] * 3},
        "rank": 3,
        "nullity": 2 * 3 * 3 + held,
        "index": int((values < 0).sum()),
        "parameters": 108,
        "loss": [(0.0).hex(), (1.0).hex()],
        "bits": 53,
        "core": evidence,
        "distance": (1e-9).hex(),
    }
    return json.dumps(claims)


def scaled(value: object, factor: float) -> str:
    return (float.fromhex(str(value)) * factor).hex()


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
    claims["name"] = draw.choice(["", "DNC " + str(claims["name"]), f"{claims['name']}-small", "partition:9,1"])


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


Change = Callable[[Claims, Random], None]
EITHER: list[Change] = [
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
OF_POINTS: list[Change] = [
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
OF_STRUCTURES: list[Change] = [another_name, group_changed, scale_moved]


def tampered(proofs: dict[str, str], changes: list[Change], seed: int) -> list[tuple[str, str]]:
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
