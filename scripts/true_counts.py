"""Every count that is stated for random problems, beside the inertia of the full Hessian in mpmath (`full_inertia.py`).

A case is a problem (K up to 6, uneven classes, both losses, L up to 4, at most 400 parameters, decays from 1e-9 to beside the fold,
some above it, a third of them unequal) and a structure with mixed roots. Four answers are compared: that of the structure, of a row
of the atlas, of a saved point in a random gauge, and of one in float32. Rows are added as they are found; a second run goes on.
Beside a fold double precision has the scale to half its digits, so a saved point lies between two critical points: a box proof
about one of them is compared with the inertia at its own centre.

    python scripts/true_counts.py [cases]
    python scripts/true_counts.py --answers [cases]

With --answers nothing is added: the answers alone are computed again and what differs from the table is printed. The truths have no
code in common with them and take nearly all of the time.
"""

import csv
import math
import random
import sys
import time
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

import mpmath as mp
import torch

sys.path.insert(0, str(Path(__file__).parent))
from full_inertia import Model, Truth, largest_decay, near_core, truth

from landscape.catalogue.row import Scales, partition_row
from landscape.degeneracy.analysis import analyse
from landscape.degeneracy.judgement import Verdict
from landscape.degeneracy.proved import Wanted
from landscape.errors import InputError
from landscape.model.logit_form import LogitForm, write_parameters
from landscape.model.problem import LossName, Problem
from landscape.model.reduced_point import Core
from landscape.points.point import CriticalPoint, Origin
from landscape.proof.scales import Group, GroupRoot
from landscape.structures.analytic import block_form
from landscape.structures.blocks import Simplex
from landscape.structures.scale_equation import mode_equation, simplex_equation
from landscape.studies.tables import read_table

CASES = 500
LARGEST = 400  # parameters
TABLE = Path(__file__).resolve().parent.parent / "figures" / "data" / "true_counts.csv"
FAR = 1e-6  # relative distance of the decay from folds and thresholds beyond which at most 5 % may be undecided


@dataclass(frozen=True)
class Case:
    """One random problem with one of its structures."""

    problem: Problem
    groups: tuple[Group, ...]

    @property
    def model(self) -> Model:
        """The same for the oracle."""
        p = self.problem
        return Model(p.class_sizes, p.width, p.depth, p.decays, p.loss)

    @property
    def parts(self) -> list[tuple[int, int, str]]:
        """The same for the oracle."""
        return [(group.size, group.samples, group.root) for group in self.groups]


@dataclass(frozen=True)
class Row:
    """One answer beside the truth; counts are -1 where none is stated or nothing exists."""

    case: int
    loss: str
    sizes: str
    width: int
    depth: int
    decays: str
    structure: str
    source: str
    nullity: int
    index: int
    proved: int
    doubt: str
    true_nullity: int
    true_index: int
    far: int

    @property
    def stated(self) -> bool:
        """Whether counts were stated."""
        return self.nullity >= 0

    @property
    def right(self) -> bool:
        """Whether what was stated is true."""
        return (self.nullity, self.index) == (self.true_nullity, self.true_index)


def draw(seed: int) -> Case:
    """Returns the case of a seed."""
    dice = random.Random(seed)
    while True:
        loss: LossName = dice.choice(("ce", "ce", "mse"))
        depth = dice.randint(1, 4)
        groups = _groups(dice, loss, depth)
        sizes = tuple(group.samples for group in groups for _ in range(group.size))
        rank = sum(group.size - (loss == "ce") for group in groups if group.root != "off")
        width = max(1, rank) + dice.choice((0, 0, 1, 2))
        problem = Problem(sizes, width, depth, 1e-3, loss)
        if problem.parameters <= LARGEST:
            return Case(replace(problem, decay=_decays(dice, problem, groups)), groups)


def _groups(dice: random.Random, loss: str, depth: int) -> tuple[Group, ...]:
    """Returns a random structure that is not zero; modes of squared error may be off, and a group of one class is."""
    left, groups = dice.randint(2, 6), []
    while left:
        size = 1 if loss == "mse" else dice.randint(1, left)
        on: tuple[GroupRoot, ...] = ("large",) if depth == 1 else ("large", "large", "small")
        root: GroupRoot = dice.choice((*on, "off") if loss == "mse" else on) if size > 1 or loss == "mse" else "off"
        groups.append(Group(size, dice.choice((1, 1, 2, 3)), root))
        left -= size
    if all(group.root == "off" for group in groups):
        return _groups(dice, loss, depth)
    return tuple(groups)


def _decays(dice: random.Random, problem: Problem, groups: tuple[Group, ...]) -> float | tuple[float, ...]:
    """Returns decays between 1e-9 and the smallest fold of the groups, beside it for a third of the cases, or just above."""
    model = Model(problem.class_sizes, problem.width, problem.depth, problem.decays, problem.loss)
    with mp.workprec(53):  # the draw must not depend on the precision that a caller left
        fold = min(float(largest_decay(model, g.size, g.samples)) for g in groups if g.root != "off")
    kind = dice.random()
    if kind < 0.65:
        mean = math.exp(dice.uniform(math.log(1e-9), math.log(fold)))
    else:
        mean = fold * (1 - 10 ** dice.uniform(-15, -1)) if kind < 0.93 else fold * (1 + 10 ** dice.uniform(-15, -1))
    if dice.random() < 2 / 3:
        return mean
    steps = [dice.uniform(-2.5, 2.5) for _ in range(problem.depth + 1)]
    return tuple(mean * math.exp(step - math.fsum(steps) / len(steps)) for step in steps)


def form_of(case: Case) -> LogitForm | None:
    """Returns the logits of the structure in double precision; None where a scale does not exist."""
    problem = case.problem
    scales: list[float] = []
    for group in case.groups:
        if group.root == "off":
            scales.append(0.0)
            continue
        mode = problem.loss == "mse"
        equation = mode_equation(problem, group.samples) if mode else simplex_equation(problem, group.size, group.samples)
        found = equation.root(group.root)
        if found is None:
            return None
        scales.append(found)
    if problem.loss == "ce":
        return block_form(problem, [Simplex(group.size) for group in case.groups], scales)
    on = [c for c, scale in enumerate(scales) if scale]
    basis = torch.eye(problem.classes, dtype=torch.float64)[:, on]
    values = torch.tensor([scales[c] * math.sqrt(problem.class_sizes[c]) for c in on], dtype=torch.float64)
    return LogitForm(basis, values, basis)


def answers(case: Case, seed: int) -> dict[str, Verdict | InputError]:
    """Returns what is said of the structure, of its row in the atlas, and of saved points that hold it."""
    form, problem = form_of(case), case.problem
    if form is None:
        return {}
    found: dict[str, Verdict | InputError] = {}
    found["structure"] = analyse(Core.from_form(problem, form), wanted=Wanted("doubtful", case.groups)).verdict
    if problem.loss == "ce":
        blocks = [(Simplex(g.size), g.samples, "large" if g.root == "off" else g.root) for g in case.groups]
        found["atlas"] = partition_row(problem, blocks, Scales(problem)).verdict
    theta = write_parameters(problem, form, gauge=seed)
    for name, weights in (("saved", theta), ("float32", theta.float().double())):
        try:
            found[name] = analyse(CriticalPoint.at(problem, weights, Origin("scripts/true_counts.py"))).verdict
        except InputError as error:
            found[name] = error
    return found


def _far(case: Case, exact: Truth | None) -> bool:
    """Whether the counts are the same at decays that are FAR away on both sides."""
    decays = case.problem.decays
    return all(
        truth(replace(case.model, decays=tuple(decay * (1 + step) for decay in decays)), case.parts) == exact
        for step in (-FAR, FAR)
    )


def rows_of(seed: int) -> list[Row]:
    """Returns the answers to one case beside the truth."""
    case = draw(seed)
    p, exact = case.problem, truth(case.model, case.parts)
    found = answers(case, seed)
    far = all(isinstance(verdict, Verdict) and verdict.certain for verdict in found.values()) or _far(case, exact)
    structure = " ".join(f"{g.size}x{g.samples}:{g.root}" for g in case.groups)
    common = (
        seed,
        p.loss,
        "+".join(map(str, p.class_sizes)),
        p.width,
        p.depth,
        " ".join(decay.hex() for decay in p.decays),
        structure,
    )
    true = (-1, -1) if exact is None else (exact.nullity, exact.index)
    if not found:
        return [Row(*common, "none", -1, -1, 0, "no scale", *true, int(far))]
    return [Row(*common, source, *_stated(verdict), *_true_at(case, verdict, true), int(far)) for source, verdict in found.items()]


def _true_at(case: Case, verdict: Verdict | InputError, true: tuple[int, int]) -> tuple[int, int]:
    """Returns the true counts of what a verdict is about: of the structure, or of the point that a box proof encloses."""
    proof = verdict.proof if isinstance(verdict, Verdict) else None
    if proof is None or proof.kind != "point" or (proof.nullity, proof.index) == true:
        return true
    with mp.workdps(60):
        centre = [mp.mpf(int(mantissa)) * mp.mpf(2) ** int(exponent) for mantissa, exponent in proof.data["centre"]]
        found = near_core(case.model, proof.rank, centre, 1e-13)
    return found.nullity, found.index


def _stated(verdict: Verdict | InputError) -> tuple[int, int, int, str]:
    if isinstance(verdict, InputError):
        return -1, -1, 0, "refused"
    if verdict.nullity is None or verdict.index is None:
        return -1, -1, 0, verdict.doubt.name.lower() if verdict.doubt else ""
    return verdict.nullity, verdict.index, int(verdict.proof is not None), ""


def read() -> list[Row]:
    """Returns the committed table."""
    return read_table(TABLE, Row)


def summary(table: list[Row]) -> str:
    """Returns how many answers are wrong and how many undecided, by source; a point that does not exist cannot be decided."""
    lines = []
    for source in dict.fromkeys(row.source for row in table):
        rows = [row for row in table if row.source == source]
        there = [row for row in rows if row.true_nullity >= 0]
        away = [row for row in there if row.far]
        wrong, proved = sum(row.stated and not row.right for row in rows), sum(row.proved for row in rows)
        lines.append(
            f"{source}: {len(rows)} answers, {wrong} wrong, {proved} proved, undecided {sum(not row.stated for row in there)} of "
            f"{len(there)}, far from folds and thresholds {sum(not row.stated for row in away)} of {len(away)}"
        )
    return "\n".join(lines)


def main(cases: int) -> None:
    """Adds the cases that the table does not have yet."""
    done = read() if TABLE.exists() else []
    known, began = {row.case for row in done}, time.monotonic()
    with TABLE.open("a", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        if not done:
            writer.writerow([column.name for column in fields(Row)])
        for seed in range(cases):
            if seed in known:
                continue
            new = rows_of(seed)
            writer.writerows([astuple(row) for row in new])
            handle.flush()
            done += new
            wrong = [row for row in new if row.stated and not row.right]
            words = f"{seed + 1}/{cases}  {time.monotonic() - began:.0f} s" + "".join(f"\nWRONG {row}" for row in wrong)
            print(words, flush=True)
    print(summary(done))


def compare(cases: int) -> int:
    """Computes the answers again, prints the rows that say something else, and returns how many there are."""
    table, changed, began = read(), 0, time.monotonic()
    for seed in range(cases):
        rows = {row.source: row for row in table if row.case == seed and row.source != "none"}
        found = {source: _stated(verdict) for source, verdict in answers(draw(seed), seed).items()}
        if missing := rows.keys() ^ found.keys():
            print(f"case {seed}: {sorted(missing)} on one side only", flush=True)
        for source in rows.keys() & found.keys():
            before = (rows[source].nullity, rows[source].index, rows[source].proved, rows[source].doubt)
            if found[source] != before:
                changed += 1
                print(f"case {seed}, {source}: {before} -> {found[source]}, true {rows[source].true_nullity}", flush=True)
        changed += len(missing)
    print(f"{cases} cases, {changed} answers changed, {time.monotonic() - began:.0f} s")
    return changed


if __name__ == "__main__":
    torch.set_num_threads(1)
    given = [word for word in sys.argv[1:] if word != "--answers"]
    number = int(given[0]) if given else CASES
    if "--answers" in sys.argv:
        raise SystemExit(bool(compare(number)))
    main(number)
