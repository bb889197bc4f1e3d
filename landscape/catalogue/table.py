"""The periodic table of a landscape: every known kind of critical point of a problem, with its exact degeneracy.

Analytic points (partitions, polygons, prisms, codes, apex, zero) and what a search at width K finds; nothing is solved at width d.
The table is complete in its families, not in the world: a landscape has critical points that no family holds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

from landscape.catalogue.free_energy import free_energy
from landscape.catalogue.row import AtlasRow, Scales, at_temperature, core_row, partition_row, relabellings
from landscape.catalogue.search import Searched, search
from landscape.degeneracy.judgement import Doubt
from landscape.degeneracy.partition_spectrum import Screen
from landscape.degeneracy.proved import Effort
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.structures.analytic import find_blocks
from landscape.structures.blocks import Simplex, codes_of_size, size_of
from landscape.structures.enumeration import block_lists, partitions, prism_lists
from landscape.structures.few_scalars import find_apex
from landscape.structures.kinds import Marked, Root
from landscape.structures.scale_equation import simplex_equation

RootsTaken = Literal["large", "both"]
_SLACK = 1e-9  # of the decay: what the screen lets pass for the full count to judge
_MOST_PROVED = 150  # partitions that are proved unasked: 2 ms each, beside the 2 s of the command
_MOST_BLOCKS, _MOST_PRISMS = 60, 12  # polygon and code structures: each takes a dense core, a tenth of a second at K = 10


@dataclass(frozen=True)
class Atlas:
    """The known critical points of a problem, in the order of their loss.

    Attributes:
        problem: The model whose critical points are listed.
        entries: Critical points, in the order of their loss.
        starts: Number of starts that the search made; 0 without a search.
        lost: Number of starts of the search that reached no critical point.
        omitted: Families of structures left out because they are too many, in words.
        left: Number of starts that an interrupted search did not make.
    """

    problem: Problem
    entries: tuple[AtlasRow, ...]
    starts: int = 0
    lost: int = 0
    omitted: tuple[str, ...] = ()
    left: int = 0

    def __repr__(self) -> str:
        minima = sum(entry.index == 0 for entry in self.entries)
        return f"Atlas({len(self.entries)} points, {minima} of them minima; {self.problem})"


@dataclass(frozen=True)
class AtlasOptions:
    """Settings of an atlas: which structures are listed, how many starts search for others, and what is proved.

    Attributes:
        roots: Roots of the scale equation that are taken: "large", or "both" to take each group at its small root too (saddles).
        groups: Partitions to list, by their group sizes; empty for all of them.
        index: Morse index that a point must have to be listed; None lists all.
        starts: Number of starts of the search at width K; 0 makes no search.
        seed: Seed of the first start of the search.
        temperature: Temperature T of the free energies; None computes none.
        effort: Which counts are proved; "named" proves partitions up to 150 of them.
        device: Device on which the search follows its starts: cpu or cuda.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> table = ls.atlas(problem, ls.AtlasOptions(groups=((4,), (2, 2))))
        >>> [row.structure for row in table.entries]
        ['pairs', 'DNC']
    """

    roots: RootsTaken = "large"
    groups: tuple[tuple[int, ...], ...] = ()
    index: int | None = None
    starts: int = 0
    seed: int = 0
    temperature: float | None = None
    effort: Effort = "doubtful"
    device: str = "cpu"


def atlas(problem: Problem, options: AtlasOptions | None = None) -> Atlas:
    """Returns all known kinds of critical points of a problem, each with its loss, index, nullity, copies and orbit volume.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> [(row.structure, row.nullity) for row in ls.atlas(problem, ls.AtlasOptions(index=0)).entries]
        [('pairs', 18), ('DNC', 24), ('zero', 0)]

    Args:
        problem: The model, linear and under cross-entropy.
        options: Settings of the atlas; None lists all partitions at their large root, without a search.

    Raises:
        InputError: If the model is not linear with cross-entropy, a family that was asked for is too large, no group has a
            critical scale at this decay, or the temperature is not positive.
    """
    options = options or AtlasOptions()
    if not problem.is_linear or problem.loss != "ce":
        raise InputError(f"expected linear layers and loss ce for an atlas, got {problem.activation} and {problem.loss}")
    if options.temperature is not None:
        free_energy(0.0, options.temperature, 0, 0.0, 0.0, 0.0)  # refuses bad temperatures before the work
    lists = [_assigned(problem, groups, "large") for groups in options.groups] or list(partitions(problem, options.roots))
    scales = Scales(problem)
    missing = [blocks for blocks in lists if not scales.all_exist(blocks)]
    known = [blocks for blocks in lists if blocks not in missing]
    if options.index == 0:
        screen, slack = Screen(problem), _SLACK * min(problem.decays)
        known = [blocks for blocks in known if screen.passes(scales.groups(blocks), slack)]
    effort: Effort = "doubtful" if options.effort == "named" and len(known) > _MOST_PROVED else options.effort
    rows = [(blocks, partition_row(problem, blocks, scales, effort)) for blocks in known]
    missing += [blocks for blocks, entry in rows if entry.verdict.doubt is Doubt.NO_POINT]  # above the fold by the last places
    entries = [entry for _, entry in rows if entry.verdict.doubt is not Doubt.NO_POINT]
    omitted: list[str] = []
    if not options.groups:
        entries += [*_coded(problem, options, omitted), *_apex(problem, options), _zero(problem)]
        if len(missing) == len(lists) and len(entries) == 1:
            largest = max(simplex_equation(problem, g, n).largest_decay for g, n in _group_sizes(problem))
            raise InputError(
                f"no partition point exists at decay {problem.mean_decay:g}: the largest decay that has one is {largest:.6g}"
            )
    elif missing:
        raise InputError(_no_scale(problem, missing[0]))
    ended = search(problem, options.starts, options.seed, device=options.device)
    entries = _with_found(entries, ended, options) if options.starts else entries
    chosen = [entry for entry in entries if options.index is None or entry.index == options.index]
    if options.temperature is not None:
        chosen = [at_temperature(problem, entry, options.temperature) for entry in chosen]
    ordered = tuple(sorted(chosen, key=lambda entry: (entry.loss, -entry.rank)))
    return Atlas(problem, ordered, ended.starts, ended.lost, tuple(omitted), ended.left)


def _group_sizes(problem: Problem) -> list[tuple[int, int]]:
    sizes = {n: problem.class_sizes.count(n) for n in problem.class_sizes}
    return [(g, n) for n, times in sizes.items() for g in {2, times} if 2 <= g <= times]


def _assigned(problem: Problem, groups: tuple[int, ...], root: Root) -> list[Marked]:
    """Turns sizes into blocks of the classes in their order; `analytic` words the errors."""
    if sum(groups) != problem.classes or min(groups, default=0) < 1:
        raise InputError(f"expected groups of at least 1 that sum to {problem.classes} classes, got {','.join(map(str, groups))}")
    blocks: list[Marked] = []
    start = 0
    for group in groups:
        sizes = set(problem.class_sizes[start : start + group])
        if len(sizes) > 1:
            raise InputError(f"expected equal class sizes within each group, got {sorted(sizes)} in a group of {group}")
        blocks.append((Simplex(group), sizes.pop(), root))
        start += group
    return blocks


def _no_scale(problem: Problem, blocks: Sequence[Marked]) -> str:
    equations = [(simplex_equation(problem, size_of(block), n), block) for block, n, _ in blocks if size_of(block) > 1]
    largest, block = min(((equation.largest_decay, block) for equation, block in equations), key=lambda pair: pair[0])
    return (
        f"no group of {size_of(block)} classes has a critical scale at decay {problem.mean_decay:g}: "
        f"the largest decay that has one is {largest:.6g}"
    )


def _coded(problem: Problem, options: AtlasOptions, omitted: list[str]) -> Iterable[AtlasRow]:
    """Polygon structures, prisms with groups and whole-K codes, of balanced problems."""
    if not problem.is_balanced:
        omitted.append("polygons, prisms and codes (classes of unequal size)")
        return
    samples, chosen = problem.class_sizes[0], ("large", "small") if options.roots == "both" else ("large",)
    lists: list[list[Marked]] = [[(code, samples, cast(Root, root))] for code in codes_of_size(problem.classes) for root in chosen]
    lists += block_lists(problem.classes, samples, _MOST_BLOCKS, omitted)
    lists += prism_lists(problem.classes, samples, _MOST_PRISMS, omitted)
    for blocks in lists:
        form = find_blocks(problem, blocks)
        if form is not None and form.rank <= problem.width:
            yield core_row(Core.from_form(problem, form), relabellings(blocks), effort=options.effort)


def _apex(problem: Problem, options: AtlasOptions) -> Iterable[AtlasRow]:
    form = find_apex(problem)
    if form is not None and form.rank <= problem.width:
        yield core_row(Core.from_form(problem, form), effort=options.effort)


def _zero(problem: Problem) -> AtlasRow:
    return partition_row(problem, [(Simplex(1), n, "large") for n in problem.class_sizes])


def _with_found(entries: list[AtlasRow], ended: Searched, options: AtlasOptions) -> list[AtlasRow]:
    """Marks the entries that the search ended at and adds those that it alone has found."""
    entries = [replace(entry, found=0 if entry.rank else ended.zero) for entry in entries]
    for item in ended.found:
        places = [i for i, entry in enumerate(entries) if entry.fingerprint.matches(item.fingerprint)]
        if places:
            entries[places[0]] = replace(entries[places[0]], found=item.times)
        else:
            entries.append(core_row(item.core, found=item.times, effort=options.effort))
    return entries
