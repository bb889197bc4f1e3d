"""Relabelled copies against brute force."""

import itertools

import pytest
import torch

from landscape.structures.blocks import parse_block
from landscape.structures.relabelling import copies_of_blocks, copies_of_logits


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1, 1), (2, 2, 1, 1, 1)])
def test_copies_by_brute_force(sizes: tuple[int, ...]) -> None:
    logits = torch.zeros(5, 5, dtype=torch.float64)
    logits[:2, :2] = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    logits[2:, 2:] = 2 * torch.eye(3, dtype=torch.float64) - 0.5
    seen = set()
    for order in itertools.permutations(range(5)):
        if all(sizes[order[i]] == sizes[i] for i in range(5)):
            seen.add(tuple(logits[list(order)][:, list(order)].flatten().tolist()))
    assert copies_of_logits(logits, sizes) == len(seen)
    blocks = [(parse_block("2"), "large"), (parse_block("3"), "large")]
    assert copies_of_blocks(blocks, [sizes[0], sizes[2]]) == len(seen)
