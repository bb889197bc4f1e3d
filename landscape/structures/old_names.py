"""Names that structures had before 1.0, read as the names of today: for records and tables that were written then."""

import re

from landscape.errors import InputError
from landscape.structures.blocks import parse_block
from landscape.structures.kinds import Marked, Root, kind_of
from landscape.structures.names import name

_OLD = re.compile(r"(DNC|pairs\+apex|pairs|partition \(([\d,]+)\)|blocks (\S+))( with \(([\d,]+)\))?( at the small root)?")


def current_name(text: str) -> str:
    """Returns the name of today for an old one; any other text comes back as it is.

    The old `at mixed roots` did not say which groups are small, so that text stays.
    """
    found = _OLD.fullmatch(text)
    if found is None:
        return text
    word, sizes, codes, _, some, small = found.groups()
    if word == "pairs+apex":
        return "apex"
    if not sizes and not codes:
        return f"{word}-small" if small and not some else text
    try:
        blocks = [parse_block(part) for part in (sizes.split(",") if sizes else codes.split("+"))]
        left = [parse_block(part) for part in some.split(",")] if some else []
    except (InputError, ValueError):
        return text
    marked: list[Marked] = []
    for block in blocks:
        root: Root = "small" if small and (block in left or not some) else "large"
        if block in left:
            left.remove(block)
        marked.append((block, 1, root))
    return name(kind_of(marked))
