"""The names of structures: what is printed is what `--start` reads, and `parse(name(kind)) == kind` for every kind.

A mark `-small` after a name or a group stands for the small root: `DNC-small`, `partition:6,2-small,2`.
"""

from typing import Literal, assert_never, cast

from landscape.errors import InputError
from landscape.numbers import parse_sizes
from landscape.structures.blocks import block_in_words, label, parse_block
from landscape.structures.kinds import Apex, Blocks, Collapse, Kind, Modes, Pairs, Partition, Root, Unnamed, Zero

NOT_CRITICAL = "not critical"  # stands where a name would, since only critical points have a structure
_SMALL, _OFF, _UNNAMED = "-small", "-off", "unnamed rank "
_EXPECTED = "DNC, pairs, apex, zero, partition:6,2,2 or blocks:polygon5+3+2, with -small for a small root"


def name(kind: Kind | None) -> str:
    """Returns the name of a kind, as every command, table and picture prints it; None is a point that is not critical."""
    match kind:
        case None:
            text = NOT_CRITICAL
        case Collapse(root):
            text = f"DNC{_mark(root)}"
        case Pairs(root):
            text = f"pairs{_mark(root)}"
        case Apex():
            text = "apex"
        case Zero():
            text = "zero"
        case Partition(groups):
            text = f"partition:{','.join(f'{size}{_mark(root)}' for size, root in zip(groups, kind.roots, strict=True))}"
        case Blocks(blocks):
            text = f"blocks:{'+'.join(f'{label(one)}{_mark(root)}' for one, root in zip(blocks, kind.roots, strict=True))}"
        case Modes(large, small, off):
            counts = ((large, ""), (small, _SMALL), (off, _OFF))
            text = f"modes:{','.join(f'{count}{mark}' for count, mark in counts if count)}"
        case Unnamed(rank):
            text = f"{_UNNAMED}{rank}"
        case _:
            assert_never(kind)
    return text


def in_words(kind: Kind | None) -> str:
    """Returns the name of a kind as a picture prints it, for readers who do not know how `--start` is typed."""
    match kind:
        case Partition(groups):
            return "groups " + ", ".join(f"{size}{_mark(root)}" for size, root in zip(groups, kind.roots, strict=True))
        case Blocks(blocks):
            return " + ".join(f"{block_in_words(one)}{_mark(root)}" for one, root in zip(blocks, kind.roots, strict=True))
        case Apex():
            return "pairs and an apex"
        case _:
            return name(kind)


def parse(text: str, root: Root = "large") -> Kind:
    """Returns the kind of a name.

    Args:
        text: What `name` wrote or a user typed; `dnc` is DNC.
        root: Root of the groups that carry no mark.

    Raises:
        InputError: If the text is no name of a kind.
    """
    family, separator, rest = text.partition(":")
    if separator and family == "partition":
        parts = rest.split(":" if ":" in rest else ",")
        return Partition(parse_sizes(",".join(part.strip().removesuffix(_SMALL) for part in parts)), _roots(parts, root))
    if separator and family == "blocks":
        parts = rest.split("+")
        return Blocks(tuple(parse_block(part.strip().removesuffix(_SMALL)) for part in parts), _roots(parts, root))
    if separator and family == "modes":
        return _modes(text, rest.split(","))
    words: dict[str, Kind] = {"DNC": Collapse(root), "pairs": Pairs(root), "apex": Apex(), "zero": Zero()}
    words |= {f"DNC{_SMALL}": Collapse("small"), f"pairs{_SMALL}": Pairs("small")}
    known = words.get(f"DNC{text[3:]}" if text[:3] == "dnc" else text)
    if known is not None:
        return known
    rank = text.removeprefix(_UNNAMED)
    if rank != text and rank.isdecimal():
        return Unnamed(*parse_sizes(rank))
    raise InputError(f"expected {_EXPECTED}, got {text!r}")


def known_name(text: str) -> Kind | None:
    """Returns the kind of a name in a table; None for what is no name, as of a point that is not critical or did not converge."""
    try:
        return parse(text)
    except InputError:
        return None


def _mark(root: Root) -> str:
    return _SMALL if root == "small" else ""


def _roots(parts: list[str], root: Root) -> tuple[Root, ...]:
    return tuple("small" if part.strip().endswith(_SMALL) else root for part in parts)


def _modes(text: str, parts: list[str]) -> Modes:
    """Reads `2,1-small,3-off`; each kind of modes stands once at most."""
    counts: dict[Literal["", "-small", "-off"], int] = {"": 0, "-small": 0, "-off": 0}
    for part in parts:
        digits = part.partition("-")[0]
        mark = cast(Literal["", "-small", "-off"], part[len(digits) :])
        if counts.get(mark, 1) or not digits.isdecimal() or parse_sizes(digits) == (0,):
            raise InputError(f"expected modes such as modes:2,1-small,3-off, got {text!r}")
        counts[mark] = parse_sizes(digits)[0]
    return Modes(counts[""], counts["-small"], counts["-off"])
