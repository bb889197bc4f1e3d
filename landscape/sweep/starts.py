"""Which starts fit which problems, by counting alone: a known structure needs certain numbers of classes, class sizes and a width.

Whether it exists at a decay is for its job to find. Imports nothing heavy, so that a grid is read without torch.
"""

import re
from collections.abc import Iterator

from landscape.archive.job import Job

_NUMBERS = 10**10  # in one matrix or vector of a job: 80 GB, beyond what fits anywhere, and within what torch can count
_WHOLE = "[1-9][0-9]{0,5}"  # one text for one number: the text is part of the identity of a job
_BLOCK = re.compile(rf"({_WHOLE})|polygon({_WHOLE})|T({_WHOLE})|H([1-9][0-9]?)x({_WHOLE})")
_SMALL = "-small"  # marks a name or a group at the small root, as `landscape.structures.names` writes it
_START = re.compile(rf"random|(dnc|DNC|pairs)({_SMALL})?|apex|zero|partition:{_WHOLE}({_SMALL})?(,{_WHOLE}({_SMALL})?)*|blocks:.+")


def checked_start(text: str) -> str:
    """Returns the text of a start; DNC is written dnc, since the text is part of the identity of a job.

    Raises:
        ValueError: If it is none, whatever the problem.
    """
    if not _START.fullmatch(text) or (text.startswith("blocks:") and None in _blocks(text, 0)):
        raise ValueError("expected random, DNC, pairs, apex, zero, partition:6,2,2 or blocks:polygon5+3+2")
    return f"dnc{text[3:]}" if text[:3] == "DNC" else text


def misfit(job: Job) -> tuple[tuple[str, ...], str] | None:
    """Returns the setting that does not fit the others of a job, and what was expected; None if they fit."""
    if isinstance(job.decay, tuple) and len(job.decay) != job.depth + 1:
        expected = f"expected one decay, or {job.depth + 1} of them (H_1, W_1 .. W_{job.depth}), got {len(job.decay)}"
        return ("problem", "decay"), expected
    numbers = job.parameters if job.is_random else len(job.class_sizes) * max(sum(job.class_sizes), len(job.class_sizes))
    if numbers > _NUMBERS:
        return ("problem",), f"expected at most {_NUMBERS} {'parameters' if job.is_random else 'logits'}, got {numbers}"
    fault = None if job.is_random else next(_faults(job), None)
    return None if fault is None else (("start", "kind"), fault)


def _faults(job: Job) -> Iterator[str]:
    """Yields why the problem of a job has no such structure, as `analytic.logit_form` says it."""
    sizes, classes = job.class_sizes, len(job.class_sizes)
    if job.activation != "linear" and job.depth > 1:
        yield "expected linear layers"
    if job.loss != "ce" and job.start.removesuffix(_SMALL) not in ("dnc", "zero"):
        yield "expected loss ce"
    if job.start == "apex":
        if classes % 2 == 0 or len(set(sizes)) > 1:
            yield "expected an odd number of equal classes"
        rank = (classes + 1) // 2
    elif job.start == "zero":
        rank = 0
    elif job.loss != "ce":
        rank = classes
    else:
        blocks, begin = [block for block in _blocks(job.start, classes) if block], 0
        if sum(size for size, _ in blocks) != classes:
            yield f"expected groups that sum to {classes} classes"
        for size, _ in blocks:
            if len(set(sizes[begin : begin + size])) > 1:
                yield "expected equal class sizes within each group"
            begin += size
        rank = sum(rank for _, rank in blocks)
    if rank > job.width:
        yield f"expected width >= {rank}, the rank of the structure"
    if rank and (job.root == "small" or _SMALL in job.start) and job.depth == 1:
        yield "expected depth >= 2 for the small root"


def _blocks(start: str, classes: int) -> list[tuple[int, int] | None]:
    """Returns classes and rank of every group of a structure; None for what is no group."""
    kind, _, groups = start.partition(":")
    match kind.removesuffix(_SMALL):
        case "dnc":
            return [(classes, classes - 1)]
        case "pairs":
            return [(2, 1)] * ((classes + 1) // 2)  # one class too many where they are odd
        case "partition":
            return [(size, size - 1) for size in (int(part.removesuffix(_SMALL)) for part in groups.split(","))]
        case _:
            return [_block(part.removesuffix(_SMALL)) for part in groups.split("+")]


def _block(text: str) -> tuple[int, int] | None:
    """Returns classes and rank of a block, as `blocks.parse_block` reads it."""
    found = _BLOCK.fullmatch(text)
    size, corners, points, length, letters = (int(part) if part else 0 for part in found.groups()) if found else (0,) * 5
    if size:
        return size, size - 1
    if corners >= 5:
        return corners, 2
    if points >= 5:
        return points * (points - 1) // 2, points - 1
    if length >= 2 and letters >= 2 and (letters > 2 or length > 2):
        return letters**length, length * (letters - 1)
    return None
