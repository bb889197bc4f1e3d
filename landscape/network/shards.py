"""Data spread over the ranks of a process group of torch.distributed: what every rank computes from its shard is added up.

Every rank takes the same decisions, since each sees the same sums to the last digit. What fails on one rank is raised on all of
them, so that none waits for an answer that does not come.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributed import ProcessGroup, ReduceOp, all_reduce, broadcast, get_rank

from landscape.errors import InputError


def summed(group: ProcessGroup | None, work: Callable[[], Tensor], like: Tensor) -> Tensor:
    """Returns the sum over the ranks of what each of them computes, on every rank; without a group what is computed here.

    Args:
        group: Whose ranks all call this; None for one process.
        work: Computes this rank's part, without calls to other ranks.
        like: A tensor of the shape, type and device of the part.

    Raises:
        InputError: If the work of another rank fails. What the work itself raises is raised here.
    """
    if group is None:
        return work()
    failure: Exception | None = None
    part = torch.zeros_like(like)
    try:
        part = work().detach()
    except Exception as error:  # raised below, after the other ranks know
        failure = error
    failed = part.new_full((1,), float(failure is not None))
    packed = torch.cat([part.reshape(-1), failed])
    all_reduce(packed, group=group)
    if failure is not None:
        raise failure
    if not float(packed[-1]) == 0:
        raise InputError("expected every rank to do its part, got an error on another rank: see what that rank says")
    return packed[:-1].view(like.shape)


def of_first(group: ProcessGroup | None, work: Callable[[], Tensor], like: Tensor) -> Tensor:
    """Returns on every rank what the first rank computes: random draws that depend on the shard must not differ between ranks.

    Raises:
        InputError: If the work of the first rank fails.
    """
    here = group is None or get_rank(group) == 0
    return summed(group, lambda: work() if here else torch.zeros_like(like), like)


def together(group: ProcessGroup | None, work: Callable[[], None], at: Tensor) -> None:
    """Does the same kind of work on every rank; what fails on one is raised on all.

    Raises:
        InputError: If the work of another rank fails. What the work itself raises is raised here.
    """

    def part() -> Tensor:
        work()
        return at.new_zeros(())

    summed(group, part, at.new_zeros(()))


def smallest(group: ProcessGroup | None, values: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Returns the smallest of each value over the ranks."""
    if group is not None:
        values = values.clone()
        all_reduce(values, ReduceOp.MIN, group=group)
    return values


def require_one_point(group: ProcessGroup | None, theta: Float[Tensor, " p"], decays: Float[Tensor, " p"]) -> None:
    """Compares point and decays with those of the first rank.

    Raises:
        InputError: If they differ in size or by one digit.
    """
    if group is None:
        return
    here = torch.cat([theta, decays]).detach()
    sizes = theta.new_tensor([here.numel(), -here.numel()])
    all_reduce(sizes, ReduceOp.MIN, group=group)
    same = int(sizes[0]) == -int(sizes[1])
    if same:
        first = here.clone()
        broadcast(first, group=group, group_src=0)
        same = torch.equal(first, here)
    rank = get_rank(group)

    def agree() -> None:
        if not same:
            raise InputError(f"expected one point and one decay on all ranks, got others on rank {rank}: load the same weights")

    together(group, agree, theta)
