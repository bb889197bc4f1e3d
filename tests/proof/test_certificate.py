"""A proof survives its text, bit for bit; other text is refused in one line."""

import json

import pytest

from landscape.errors import InputError
from landscape.problem import Problem
from landscape.proof.box import prove_point
from landscape.proof.certificate import from_json, to_json
from landscape.proof.statement import Proof
from landscape.reduction import Core
from landscape.structures import Partition, analytic


def proof_of(problem: Problem, groups: tuple[int, ...]) -> Proof:
    core = Core.from_form(problem, analytic(problem, Partition(groups)))
    result = prove_point(problem, core.rank, core.theta.tolist())
    assert isinstance(result, Proof)
    return result


@pytest.fixture(scope="module")
def text() -> str:
    return to_json(proof_of(Problem.balanced(4, 2, 6, 2, 0.005), (2, 2)))


@pytest.mark.parametrize("decay", [0.005, (0.004, 0.005, 0.006)])
def test_there_and_back(decay: float | tuple[float, ...]) -> None:
    proof = proof_of(Problem.balanced(4, 2, 6, 2, decay), (2, 2))
    text = to_json(proof)
    assert from_json(text) == proof
    assert to_json(from_json(text)) == text
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


def test_a_structure_has_its_name() -> None:
    problem = Problem.balanced(4, 2, 6, 2, 0.005)
    groups = [{"size": 4, "samples": 2, "root": "large", "scale": [(1.0).hex(), (1.5).hex()]}]
    proof = Proof("structure", problem, 3, 24, 0, (0.1, 0.2), 53, "partition 4", data={"groups": groups})
    assert from_json(to_json(proof)) == proof


def test_the_file_has_what_the_checker_needs(text: str) -> None:
    fields = json.loads(text)
    assert fields["format"] == "landscape-proof/1"
    assert set(fields["core"]) == {"given", "centre", "radius", "fixed", "basis", "inverse", "nullity", "index"}
    size = len(fields["core"]["given"])
    free = size - len(fields["core"]["fixed"])
    assert len(fields["core"]["centre"]) == size == 20
    assert [len(row) for row in fields["core"]["basis"]] == [free] * free
    assert "near_zero" not in fields


@pytest.mark.parametrize(
    "change",
    [
        {"rank": True},
        {"rank": -1},
        {"nullity": 1.0},
        {"bits": "53"},
        {"format": "landscape-proof/2"},
        {"kind": "shape"},
        {"kind": []},
        {"parameters": 7},
        {"loss": [0.1, 0.2]},
        {"loss": ["nan", "nan"]},
        {"loss": ["0x1p0"]},
        {"distance": "inf"},
        {"problem": None},
        {"core": 3},
        {"surplus": 1},
    ],
    ids=str,
)
def test_other_text_is_refused(text: str, change: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"^expected .*, got .*") as refusal:
        from_json(json.dumps(json.loads(text) | change))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("key", ["decays", "class_sizes", "width", "loss"])
def test_a_problem_must_be_whole(text: str, key: str) -> None:
    fields = json.loads(text)
    del fields["problem"][key]
    with pytest.raises(InputError, match="expected"):
        from_json(json.dumps(fields))


@pytest.mark.parametrize("bad", ["", "null", "[]", "7", "{", "{}", "\x00", "[" * 100_000])
def test_what_is_no_proof_at_all(bad: str) -> None:
    with pytest.raises(InputError, match="expected a proof in the format"):
        from_json(bad)


def test_a_key_twice(text: str) -> None:
    with pytest.raises(InputError, match="a key stands twice"):
        from_json(text.replace('"bits":', '"bits":64,"bits":', 1))
