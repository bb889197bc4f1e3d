"""A proof has one canonical text, which holds every double bit for bit; what reads it is the checker (test_checker.py)."""

import json

import pytest

from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.proof.box import prove_point
from landscape.proof.certificate import to_json
from landscape.proof.statement import Proof
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Partition


def proof_of(problem: Problem, groups: tuple[int, ...]) -> Proof:
    core = Core.from_form(problem, logit_form(problem, Partition(groups)))
    result = prove_point(problem, core.rank, core.theta.tolist())
    assert isinstance(result, Proof)
    return result


@pytest.fixture(scope="module")
def text() -> str:
    return to_json(proof_of(Problem.balanced(4, 2, 6, 2, 0.005), (2, 2)))


@pytest.mark.parametrize("decay", [0.005, (0.004, 0.005, 0.006)])
def test_the_text_is_canonical_and_exact(decay: float | tuple[float, ...]) -> None:
    proof = proof_of(Problem.balanced(4, 2, 6, 2, decay), (2, 2))
    text = to_json(proof)
    fields = json.loads(text)
    assert text == json.dumps(fields, sort_keys=True, separators=(",", ":"))
    assert (fields["core"], fields["rank"], fields["nullity"], fields["index"]) == (
        proof.data,
        proof.rank,
        proof.nullity,
        proof.index,
    )
    assert tuple(map(float.fromhex, fields["loss"])) == proof.loss
    assert tuple(map(float.fromhex, fields["problem"]["decays"])) == proof.problem.decays
    assert float.fromhex(fields["distance"]) == proof.distance


def test_a_structure_has_its_name() -> None:
    problem = Problem.balanced(4, 2, 6, 2, 0.005)
    groups = [{"size": 4, "samples": 2, "root": "large", "scale": [(1.0).hex(), (1.5).hex()]}]
    proof = Proof("structure", problem, 3, 24, 0, (0.1, 0.2), 53, "partition 4", data={"groups": groups})
    fields = json.loads(to_json(proof))
    assert (fields["kind"], fields["name"], fields["groups"]) == ("structure", "partition 4", groups)
    assert not {"core", "distance"} & set(fields)


def test_the_file_has_what_the_checker_needs(text: str) -> None:
    fields = json.loads(text)
    assert fields["format"] == "landscape-proof/1"
    assert set(fields["core"]) == {"given", "centre", "radius", "fixed", "basis", "inverse", "nullity", "index"}
    size = len(fields["core"]["given"])
    free = size - len(fields["core"]["fixed"])
    assert len(fields["core"]["centre"]) == size == 20
    assert [len(row) for row in fields["core"]["basis"]] == [free] * free
    assert "near_zero" not in fields
