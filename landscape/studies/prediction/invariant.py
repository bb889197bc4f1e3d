"""Starts that are the same under relabelling, except for one pair of classes: the flow in three tiny blocks.

A start invariant under S_2 x S_(K-2) stays so. On class means the logits are then z_q on the contrasts of the K - 2 other classes,
z_p on p = (e_i - e_j) / sqrt 2, and a row (z_1, z_u) from u = 1_ij / 2 - 1_rest / (K - 2) to the constant direction and u. The
factors fall into the same blocks: q and p of one dimension, u of one on the side of the logits and two on that of the features.
"""

import math
from dataclasses import dataclass

import numpy as np

from landscape.errors import InputError
from landscape.model.problem import Problem

_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 5.0  # of Dormand and Prince's step control (Hairer, Norsett and Wanner 1993, II.4)
_TOLERANCE = 1e-7  # of a step, relative and absolute
_STEPS = 20_000  # more than ten times what the stiffest setting that was tried needs
# Dormand and Prince (1980): coefficients of the stages, weights of order 5, and the difference to those of order 4
_STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)


@dataclass(frozen=True)
class InvariantBlock:
    """One family of directions of invariant starts.

    Attributes:
        name: Name of the block: "q", "p" or "u".
        copies: How often the block occurs in a start.
        rows: Dimension of the block on the side of the logits.
        columns: Dimension of the block on the side of the features.
    """

    name: str
    copies: int
    rows: int
    columns: int


@dataclass(frozen=True)
class Entry:
    """One coordinate of an invariant start: an entry of a Bartlett factor or of a Gaussian block.

    Attributes:
        block: Index of the block: 0 for q, 1 for p, 2 for u.
        factor: Factor that the entry belongs to: "features", "middle" or "weights".
        place: Row and column of the entry in that factor.
        copies: How often the block occurs in a start.
        diagonal: Whether the entry is on the diagonal of a Bartlett factor, where the mean is 1; elsewhere it is 0.
    """

    block: int
    factor: str
    place: tuple[int, int]
    copies: int
    diagonal: bool


@dataclass(frozen=True)
class InvariantModel:
    """The flow of invariant starts of a model of two layers under cross-entropy.

    Attributes:
        problem: The model, balanced and with K >= 4.
        weight_scale: Scale c_W of the weights at the start.
        feature_scale: Scale c_H of the features at the start.
        groups: Groups of directions that are kept (T).
    """

    problem: Problem
    weight_scale: float
    feature_scale: float
    groups: int = 4

    def __post_init__(self) -> None:
        problem = self.problem
        if not problem.is_linear or problem.depth != 2 or problem.loss != "ce" or not problem.is_balanced:
            raise InputError(f"expected a linear balanced model of depth 2 with loss ce for the formula, got the {problem}")
        if problem.classes < 4:
            raise InputError(f"expected at least 4 classes for the formula, got {problem.classes}")
        if isinstance(problem.decay, tuple) and len(set(problem.decay)) > 1:
            raise InputError(f"expected one decay for all factors for the formula, got {problem.decay}")
        if not (self.weight_scale > 0 and self.feature_scale > 0):
            raise InputError(f"expected two scales c_W,c_H > 0 for the formula, got {self.weight_scale:g},{self.feature_scale:g}")

    @property
    def blocks(self) -> tuple[InvariantBlock, ...]:
        """The three blocks with their multiplicities."""
        return InvariantBlock("q", self.problem.classes - 3, 1, 1), InvariantBlock("p", 1, 1, 1), InvariantBlock("u", 1, 1, 2)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The coordinates of invariant starts; 48 of them for four groups."""
        found = []
        for index, block in enumerate(self.blocks):
            down, across = self._groups(block)
            triangles = [("features", 0, 0, block.columns, False), ("weights", 0, 0, block.rows, True)]
            squares = []
            for i in range(self.groups):
                squares.append((down[i], across[i], down[i + 1] - down[i], across[i + 1] - across[i]))
                if i:
                    triangles.append(("middle", down[i - 1], across[i], down[i] - down[i - 1], True))
                    triangles.append(("middle", down[i], across[i - 1], across[i] - across[i - 1], False))
            for factor, top, left, size, lower in triangles:
                for a in range(size):
                    for b in range(a + 1):
                        place = (top + a, left + b) if lower else (top + b, left + a)
                        found.append(Entry(index, factor, place, block.copies, a == b))
            for top, left, rows, columns in squares:
                places = [(top + a, left + b) for a in range(rows) for b in range(columns)]
                found += [Entry(index, "middle", place, block.copies, False) for place in places]
        return tuple(found)

    def _groups(self, block: InvariantBlock) -> tuple[list[int], list[int]]:
        down, across = [0], [0]
        for i in range(self.groups):
            one, other = (block.rows, block.columns) if i % 2 == 0 else (block.columns, block.rows)
            down.append(down[-1] + one)
            across.append(across[-1] + other)
        return down, across

    def corner(self, block: int, row: int, column: int) -> tuple[int, int]:
        """Returns where a group of rows meets a group of columns in the middle factor of a block.

        Args:
            block: Index of the block.
            row: Group on the side of the logits.
            column: Group on the side of the features.
        """
        down, across = self._groups(self.blocks[block])
        return down[row], across[column]

    @property
    def mean(self) -> np.ndarray:
        """The coordinates of the mean start, which is symmetric in all classes."""
        return np.array([1.0 if entry.diagonal else 0.0 for entry in self.entries])

    @property
    def size(self) -> int:
        """Directions of the largest block at either interface."""
        return max(max(self._groups(block)[0][-1], self._groups(block)[1][-1]) for block in self.blocks)

    def starts(self, points: np.ndarray) -> np.ndarray:
        """Returns the parameters of the starts with these coordinates, one row per start.

        A coordinate of 1 stands for the mean of a Bartlett diagonal, which grows like the root of the width.
        """
        size = self.size
        features = np.zeros((len(points), 3, size, 2))
        middle = np.zeros((len(points), 3, size, size))
        weights = np.zeros((len(points), 3, 1, size))
        for index, entry in enumerate(self.entries):
            target = {"features": features, "middle": middle, "weights": weights}[entry.factor]
            target[:, entry.block, entry.place[0], entry.place[1]] = points[:, index]
        features *= self.feature_scale * math.sqrt(self.problem.width)
        return np.concatenate(
            [features.reshape(len(points), -1), *(self.weight_scale * part.reshape(len(points), -1) for part in (middle, weights))],
            axis=1,
        )

    def logits(self, parameters: np.ndarray) -> np.ndarray:
        """Returns z_q, z_p, z_1 and z_u of class-mean logits times the root of the class size, one row per start."""
        features, middle, weights = self._split(parameters)
        z = (weights @ (middle @ features))[:, :, 0]
        return np.stack([z[:, 0, 0], z[:, 1, 0], z[:, 2, 0], z[:, 2, 1]], axis=1)

    def _split(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        size, count = self.size, len(parameters)
        cuts = np.cumsum([3 * size * 2, 3 * size * size])
        features, middle, weights = np.split(parameters, cuts, axis=1)
        return features.reshape(count, 3, size, 2), middle.reshape(count, 3, size, size), weights.reshape(count, 3, 1, size)

    def velocity(self, parameters: np.ndarray) -> np.ndarray:
        """Returns minus the gradient per unit of decay, so that time is counted in lambda t."""
        features, middle, weights = self._split(parameters)
        forward = middle @ features
        backward = weights @ middle
        pull = self._pull((weights @ forward)[:, :, 0])[:, :, None, :]
        parts = [
            backward.transpose(0, 1, 3, 2) @ pull,
            weights.transpose(0, 1, 3, 2) @ (pull @ features.transpose(0, 1, 3, 2)),
            pull @ forward.transpose(0, 1, 3, 2),
        ]
        gradient = np.concatenate([part.reshape(len(parameters), -1) for part in parts], axis=1)
        return -gradient / self.problem.mean_decay - parameters

    def _pull(self, z: np.ndarray) -> np.ndarray:
        """Returns the derivative of the fit by the block's logits (block, feature direction)."""
        K, root = self.problem.classes, math.sqrt(self.problem.class_sizes[0])
        rest, norm = K - 2, math.sqrt(K / (2 * (K - 2)))
        u_pair, u_rest = 1 / (2 * norm), -1 / (rest * norm)  # entries of the unit vector u
        z_q, z_p, z_1, z_u = z[:, 0, 0], z[:, 1, 0], z[:, 2, 0], z[:, 2, 1]
        # what u sends to a column of the pair and to one of the others
        to_pair, to_rest = z_1 / math.sqrt(K) + z_u * u_pair, z_1 / math.sqrt(K) + z_u * u_rest
        pair_own, pair_other, pair_rest = u_pair * to_pair + z_p / 2, u_pair * to_pair - z_p / 2, u_rest * to_pair
        rest_own, rest_other = u_rest * to_rest + z_q * (1 - 1 / rest), u_rest * to_rest - z_q / rest
        rest_pair = u_pair * to_rest
        # probabilities of one wrong class each, relative to the right one, so that nothing cancels
        wrong_other, wrong_rest = np.exp((pair_other - pair_own) / root), np.exp((pair_rest - pair_own) / root)
        total = 1 + wrong_other + rest * wrong_rest
        a, b = wrong_other / total, wrong_rest / total
        wrong_same, wrong_pair = np.exp((rest_other - rest_own) / root), np.exp((rest_pair - rest_own) / root)
        total = 1 + (rest - 1) * wrong_same + 2 * wrong_pair
        c, e = wrong_same / total, wrong_pair / total
        own_pair, own_rest = -(a + rest * b), -((rest - 1) * c + 2 * e)
        scale = 1 / (K * root)
        # u' g for a column g of either kind
        u_of_pair = u_pair * (own_pair + a) + rest * u_rest * b
        u_of_rest = u_rest * (own_rest + (rest - 1) * c) + 2 * u_pair * e
        pull = np.zeros_like(z)
        pull[:, 0, 0] = scale * (own_rest - c)
        pull[:, 1, 0] = scale * (own_pair - a)
        pull[:, 2, 0] = scale * (2 * u_of_pair + rest * u_of_rest) / math.sqrt(K)
        pull[:, 2, 1] = scale * (2 * u_pair * u_of_pair + rest * u_rest * u_of_rest)
        return pull

    def flow(self, parameters: np.ndarray, time: float) -> np.ndarray:
        """Returns the parameters after a time lambda t: explicit Runge-Kutta of order 5, one step size for all starts.

        Raises:
            InputError: If the flow needs more steps than `_STEPS`, as for scales far from 1.
        """
        now, step, first = 0.0, 1e-3 * self.problem.mean_decay, self.velocity(parameters)
        for _ in range(_STEPS):
            step = min(step, time - now)
            slopes = [first]
            for stage in _STAGES:
                moved = parameters + step * sum(c * slope for c, slope in zip(stage, slopes, strict=True) if c)
                slopes.append(self.velocity(moved))
            gap = step * sum(c * slope for c, slope in zip(_ERROR, slopes, strict=True) if c)
            allowed = _TOLERANCE * (1 + np.maximum(np.abs(parameters), np.abs(moved)))
            error = float(np.abs(gap / allowed).max())
            if error <= 1:
                now, parameters, first = now + step, moved, slopes[-1]
                if now >= time:
                    return parameters
            step *= min(_GROW, max(_SHRINK, _SAFETY * max(error, 1e-10) ** -0.2)) if math.isfinite(error) else _SHRINK
        raise InputError(f"expected scales nearer 1 for the formula: the flow of {self.problem} is not done after {_STEPS} steps")
