"""What users type: every value comes back as it was written, and nothing else is accepted, quickly."""

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.numbers import parse_decay, parse_number, parse_sizes
from landscape.structures.blocks import Polygon, Simplex
from landscape.structures.kinds import Apex, Blocks, Collapse, Pairs, Partition, Zero
from landscape.structures.notation import parse_scales, parse_structure

NOT_NUMBERS = [
    "",
    " ",
    "abc",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "infinity",
    "1e999",
    "-1e999",
    "__import__('os')",
    "__import__('os').system('true')",
    "9**9**9",
    "9^9^9",
    "10**400",
    "10**9999999999",
    "0**-1",
    "(-8)**0.5",
    "-8**0.5",
    "2**",
    "**2",
    "2*3",
    "1/1024",
    "1e-3.5",
    "0x10",
    "1,5e",
    "1j",
    "2**nan",
    "9" * 400,
    "2**" + "9" * 400,
    "(" * 10_000,
    "1e" + "9" * 10_000,
    "1" + "0" * 100_000 + "x",
]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2**-10", 0.0009765625),
        ("2^-10", 0.0009765625),
        (" 2 ** -10 ", 0.0009765625),
        ("2**-10.0", 0.0009765625),
        ("1e-3", 0.001),
        ("0.001", 0.001),
        (".001", 0.001),
        ("1E-3", 0.001),
        ("10**-3", 0.001),
        ("4**0.5", 2.0),
        ("1e-300", 1e-300),
        ("0.1,2**-3,1e-4", (0.1, 0.125, 1e-4)),
        ("0.1:2^-3:1e-4", (0.1, 0.125, 1e-4)),
        ("3,3", (3.0, 3.0)),
    ],
)
def test_decays_as_typed(text: str, value: float | tuple[float, ...]) -> None:
    assert parse_decay(text) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_survives_its_own_spelling(value: float) -> None:
    assert parse_number(repr(value), "a number") == value


@given(st.lists(st.floats(1e-300, 1e300), min_size=2, max_size=7), st.sampled_from(",:"))
def test_lists_of_decays_survive(values: list[float], separator: str) -> None:
    assert parse_decay(separator.join(map(repr, values))) == tuple(values)


@given(st.integers(-1000, 1000), st.sampled_from(["**", "^", " ** ", " ^ "]))
def test_powers_of_two_are_exact(exponent: int, sign: str) -> None:
    assert parse_decay(f"2{sign}{exponent}") == math.ldexp(1.0, exponent)


@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_what_is_no_number_is_refused_at_once(text: str) -> None:
    started = time.process_time()
    with pytest.raises(InputError, match="expected a decay"):
        parse_number(text, "a decay")
    with pytest.raises(InputError):
        parse_decay(text)
    assert time.process_time() - started < 1


@given(st.text(max_size=30))
def test_no_text_does_more_than_give_a_number_or_be_refused(text: str) -> None:
    try:
        value = parse_number(text, "a number")
    except InputError:
        return
    assert isinstance(value, float)
    assert math.isfinite(value)


@pytest.mark.parametrize("text", ["1e-3,", ",1e-3", "1e-3,,1e-3", "1e-3;1e-3", "1e-3,nan"])
def test_lists_of_decays_with_a_hole_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected a decay such as"):
        parse_decay(text)


@given(st.lists(st.integers(-5, 10**20), min_size=1, max_size=8), st.sampled_from(",:"))
def test_sizes_survive(sizes: list[int], separator: str) -> None:
    assert parse_sizes(separator.join(map(str, sizes))) == tuple(sizes)


@pytest.mark.parametrize("text", ["", "4,", "4,x", "4,1.5", "4 1", "1e2", "4;1", "4,None"])
def test_sizes_that_are_not_whole_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected whole numbers"):
        parse_sizes(text)


def test_scales() -> None:
    assert parse_scales("1,0.1") == (1.0, 0.1)
    assert parse_scales("2**-1,0") == (0.5, 0.0)


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "-1,1", "1,-1", "1,nan", "a,b"])
def test_scales_that_are_not_two_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected two scales"):
        parse_scales(text)


@pytest.mark.parametrize(
    ("text", "structure"),
    [
        ("dnc", Collapse("small")),
        ("pairs", Pairs("small")),
        ("apex", Apex()),
        ("partition:6,2,2", Partition((6, 2, 2), "small")),
        ("partition:6:2:2", Partition((6, 2, 2), "small")),
        ("DNC", Collapse("small")),
        ("zero", Zero()),
        ("blocks:polygon5+3", Blocks((Polygon(5), Simplex(3)), "small")),
    ],
)
def test_structures(text: str, structure: object) -> None:
    assert parse_structure(text, "small") == structure


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Dnc",
        "random",
        "dnc:3",
        "apex-small",
        "DNC-small-small",
        "zero-small",
        "partition",
        "partition 6,2,2",
        "etf",
        "point.safetensors",
    ],
)
def test_unknown_structures_are_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(InputError, match=r"expected DNC, pairs, apex, zero, partition:6,2,2 or blocks:polygon5\+3\+2"):
        parse_structure(text, "large")


@pytest.mark.parametrize("text", ["partition:", "partition:a", "partition:2,,2", "partition:2.5,1.5"])
def test_partitions_of_other_than_whole_numbers_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected whole numbers"):
        parse_structure(text, "large")


@given(
    st.integers(2, 20),
    st.integers(1, 50),
    st.integers(1, 10**6),
    st.integers(1, 9),
    st.floats(1e-12, 1.0),
    st.sampled_from(["ce", "mse"]),
    st.sampled_from(["linear", "relu"]),
    st.randoms(),
)
def test_problems_survive_in_any_order(classes, samples, width, depth, decay, loss, activation, random) -> None:
    items = [
        f"K={classes}",
        f"n={samples}",
        f"d={width}",
        f"L={depth}",
        f"decay={decay!r}",
        f"loss={loss}",
        f" activation = {activation} ",
    ]
    random.shuffle(items)
    problem = Problem.parse(",".join(items))
    assert problem.class_sizes == (samples,) * classes
    assert (problem.width, problem.depth, problem.decay) == (width, depth, decay)
    assert (problem.loss, problem.activation) == (loss, activation)


def test_a_problem_has_defaults_sizes_and_decays() -> None:
    plain = Problem.parse("K=10,n=5,d=20000,L=6,decay=1e-3")
    assert (plain.loss, plain.activation, plain.class_sizes, plain.decay) == ("ce", "linear", (5,) * 10, 1e-3)
    uneven = Problem.parse("sizes=4:1:2,d=5,L=2,decay=2**-3:1e-2:.5,loss=mse")
    assert (uneven.class_sizes, uneven.decay, uneven.loss) == ((4, 1, 2), (0.125, 0.01, 0.5), "mse")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected a problem such as"),
        ("K=4", "expected d, L, decay, n in"),
        ("K=4,n=2,d=6,L=2", "expected decay"),
        ("K=4,d=6,L=2,decay=1e-2", "expected n in the problem"),
        ("n=2,d=6,L=2,decay=1e-2", "expected K in the problem"),
        ("K=4,n=2,d=6,L=2,decay=1e-2,", "expected a problem such as"),
        ("K=4,K=4,n=2,d=6,L=2,decay=1e-2", "got 'K=4'"),
        ("K=4,n=2,d=6,L=2,decay=1e-2,width=3", "got 'width=3'"),
        ("K=4;n=2;d=6;L=2;decay=1e-2", "expected"),
        ("K=4.5,n=2,d=6,L=2,decay=1e-2", "expected K to be a whole number, got '4.5'"),
        ("K=4,n=2,d=6,L=two,decay=1e-2", "expected L to be a whole number, got 'two'"),
        ("K=4,n=2,d=6,L=2,decay=nan", "expected a decay such as"),
        ("K=4,n=2,d=6,L=2,decay=-1", "expected a positive finite decay"),
        ("K=4,n=2,d=6,L=2,decay=1e-2:1e-2", "expected one decay, or 3 of them"),
        ("K=1,n=2,d=6,L=2,decay=1e-2", "expected at least 2 classes, got 1"),
        ("K=-4,n=2,d=6,L=2,decay=1e-2", "expected at least 2 classes, got -4"),
        ("K=4,n=0,d=6,L=2,decay=1e-2", "expected class sizes >= 1"),
        ("K=4,n=2,d=0,L=2,decay=1e-2", "expected width >= 1"),
        ("K=4,n=2,d=6,L=0,decay=1e-2", "expected depth from 1 to 1000"),
        ("K=4,n=2,d=6,L=2,decay=1e-2,loss=hinge", "expected loss ce or mse"),
        ("K=4,n=2,d=6,L=2,decay=1e-2,activation=gelu", "expected activation linear or relu"),
        ("K=3,sizes=4:1:2,d=5,L=2,decay=1e-3", "either sizes or K and n"),
        ("n=3,sizes=4:1:2,d=5,L=2,decay=1e-3", "either sizes or K and n"),
        ("sizes=4:x,d=5,L=2,decay=1e-3", "expected whole numbers"),
    ],
)
def test_problems_that_say_too_little_or_too_much_are_refused(text: str, words: str) -> None:
    with pytest.raises(InputError) as refusal:
        Problem.parse(text)
    assert words in str(refusal.value)
