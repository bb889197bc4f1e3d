"""Counting zeros when nothing is known: thick-restarted block Lanczos that locks what has converged.

A Krylov space from a block of b random columns meets at most b independent null vectors, however long it grows. So null
vectors are locked as they converge, and the search goes on without them from a fresh random block, until one finds nothing.
That proves nothing; the Lanczos certificate of `deflation` does, on what is left.

Thick restarts (Wu and Simon, SIAM J. Matrix Anal. Appl. 22, 2000) keep the Ritz vectors closest to zero, which bounds the
memory by `basis` vectors plus what is locked. Convergence inside the spectrum is slow where eigenvalues crowd around zero.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from landscape.atomic_files import atomic_write
from landscape.curvature.checks import require_bound, require_positive
from landscape.curvature.counting.deflation import INDEPENDENT, Deflated, unsettled
from landscape.curvature.counting.quotient import Quotient
from landscape.curvature.counting.zeros import UNDECIDED_FACTOR, Nullity
from landscape.curvature.krylov import eigenpairs, extend, noise_floor, orthonormal, random_block, seeded
from landscape.curvature.operators.counted import Counted
from landscape.curvature.operators.operator import SymmetricOperator
from landscape.display import brief
from landscape.errors import InputError
from landscape.tensor_file import TensorFile
from landscape.tolerances import MISSED

_TENSORS = {"locked", "basis", "projected", "residual", "generator"}  # of a checkpoint
_NUMBERS = {"products", "restarts", "finished", "run"}


@dataclass(frozen=True)
class BlockLanczos:
    """Finds the null space by block Lanczos with locking, then certifies that nothing else is null. Works at saddles.

    Slower than `Deflated` with a projector and than `LowRank`; for operators of which nothing is known. Memory:
    `basis + block` vectors, as many images, and the null space itself.

    Attributes:
        block: Columns of a block: the most null vectors that one Krylov space can find. Wide blocks pay off at large nullity.
        basis: Most columns of the Krylov basis before a restart; None for 4 blocks and at least 96.
        restarts: Most restarts of the whole search.
        memory: Memory that may be used, in bytes.
        checkpoint: A file to save the state to after every restart and to resume from; None for none.
        delta: Chance of a miss that the final certificate allows.
        seed: Seed of all random blocks.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> matrix = ls.Matrix(torch.tensor([0.0, 0.0, 1.0, 2.0], dtype=torch.float64).diag())
        >>> count = ls.nullity(matrix, ls.BlockLanczos(block=2))
        >>> count.count, count.resolved, count.delta <= 1e-9
        (2, True, True)
    """

    block: int = 32
    basis: int | None = None
    restarts: int = 400
    memory: float = 8e9
    checkpoint: Path | None = None
    delta: float = MISSED
    seed: int = 0

    def count(self, operator: SymmetricOperator, gradient_radius: float) -> Nullity:
        """Counts by locking and certificate.

        Raises:
            InputError: If the memory bound or a setting is too small, or the checkpoint belongs to another run.
        """
        require_positive(block=self.block, basis=self.basis, restarts=self.restarts)
        counted = Counted.of(operator)
        before = counted.products
        start = unsettled(counted, gradient_radius, self.seed, "lanczos")
        if start.norm == 0:
            start = replace(start, count=operator.size, negative=0)
        elif start.checked(operator.size).certified:  # else the radius is near the norm: everything would be found, and locked
            search = _Search(self, counted, start.norm, start.cutoff)
            state, earlier = search.run()
            certificate = Deflated(delta=self.delta, seed=self.seed, memory=self.memory)
            start = certificate.certify(counted, replace(start, count=state.locked.shape[1]), state.locked)
            before -= earlier
        counted.require_finite()
        return replace(start, products=counted.products - before).checked(operator.size)


@dataclass(frozen=True)
class LockingState:
    """State of a search between two restarts, which a checkpoint holds.

    Attributes:
        locked: Null vectors found so far, orthonormal.
        basis: The current Krylov basis, orthogonal to the locked vectors.
        projected: The operator projected onto the Krylov basis.
        residual: Vectors from which the next block is made.
        generator: State of the random number generator.
        products: Products spent by the search so far, in all sessions; 0 while one runs, whose operator counts.
        restarts: Number of restarts done so far.
        finished: Whether the search found nothing more.
    """

    locked: Float[Tensor, "p m"]
    basis: Float[Tensor, "p j"]
    projected: Float[Tensor, "j j"]
    residual: Float[Tensor, "p b"]
    generator: Tensor
    products: int
    restarts: int
    finished: bool

    __repr__ = brief


def save(state: LockingState, path: Path, run: dict[str, str | int]) -> None:
    """Writes a state whole or not at all; `run` says which search it belongs to.

    Raises:
        InputError: If the file cannot be written.
    """
    tensors = {name: getattr(state, name).contiguous().clone() for name in sorted(_TENSORS)}
    numbers = {"products": state.products, "restarts": state.restarts, "finished": state.finished, "run": run}
    with atomic_write(path) as temporary:
        try:
            save_file(tensors, temporary, metadata={"state": json.dumps(numbers, sort_keys=True)})
        except SafetensorError as error:  # safetensors reports a full disk in its own type
            raise InputError(f"cannot write {path}: {error}") from error


def load_state(path: Path, run: dict[str, str | int], device: torch.device) -> LockingState:
    """Reads a state back.

    Raises:
        InputError: If it belongs to another search or cannot be read.
    """
    try:
        with TensorFile.opened(path) as file:
            numbers = json.loads(file.metadata["state"])
            tensors = {name: file.tensor(name) for name in file.layouts}
    except (KeyError, ValueError, RecursionError) as error:
        raise InputError(f"expected a checkpoint of BlockLanczos at {path}, got: {error}") from error
    if not isinstance(numbers, dict) or set(numbers) != _NUMBERS or set(tensors) != _TENSORS:
        raise InputError(f"expected a checkpoint of BlockLanczos at {path}, got one of something else: remove it")
    if numbers["run"] != run:
        raise InputError(f"expected a checkpoint of the run {run}, got one of {numbers['run']}: remove {path} or resume that run")
    locked, basis, projected, residual = (tensors[name].to(device) for name in ("locked", "basis", "projected", "residual"))
    progress = (numbers["products"], numbers["restarts"], numbers["finished"])
    return LockingState(locked, basis, projected, residual, tensors["generator"], *progress)


@dataclass(frozen=True)
class _Search:
    """The search of one count."""

    settings: BlockLanczos
    operator: Counted
    norm: float
    cutoff: float

    def run(self) -> tuple[LockingState, int]:
        """Locks null vectors until a fresh block finds none, or the restarts are used up.

        Returns:
            Where the search stands, and the products that the sessions before this one had spent.
        """
        path, earlier = self.settings.checkpoint, 0
        generator = seeded(self.settings.seed, "locking")
        identity = self._identity() if path is not None else {}
        if path is not None and path.exists():
            state = load_state(path, identity, self.operator.like.device)
            earlier = state.products
            generator.set_state(state.generator)
        else:
            state = self._fresh(self.operator.like.new_zeros(self.operator.size, 0), generator, 0)
        spent = self.operator.products
        while not state.finished and state.restarts < self.settings.restarts:
            state = self._cycle(state, generator)
            if path is not None:
                save(replace(state, products=earlier + self.operator.products - spent), path, identity)
        return state, earlier

    def _identity(self) -> dict[str, str | int]:
        """Returns what a checkpoint must agree with: the settings, and the operator through its product with one vector."""
        probe = random_block(self.operator, 1, seeded(0, "identity"))
        return {
            "size": self.operator.size,
            "dtype": str(self.operator.like.dtype),
            "block": self.settings.block,
            "seed": self.settings.seed,
            "form": f"{float((probe * (self.operator @ probe)).sum()):.9e}",
        }

    def _fresh(self, locked: Tensor, generator: torch.Generator, restarts: int) -> LockingState:
        """Returns a state that starts a Krylov space from a random block off the locked vectors."""
        quotient = Quotient(self.operator, None, locked, self.norm / 2)
        width = min(self.settings.block, quotient.dimension)
        block = orthonormal(quotient.clean(random_block(self.operator, width, generator)))
        none = block[:, :0]
        return LockingState(locked, none, block.new_zeros(0, 0), block, generator.get_state(), 0, restarts, width == 0)

    def _cycle(self, state: LockingState, generator: torch.Generator) -> LockingState:
        """Grows the basis to its limit, then locks, restarts thick, or starts afresh."""
        quotient = Quotient(self.operator, None, state.locked, self.norm / 2)
        limit = min(self.settings.basis or max(4 * self.settings.block, 96), quotient.dimension)
        basis, projected, residual = state.basis, state.projected, state.residual
        floor = noise_floor(self.norm, basis.dtype)
        ended = False
        while basis.shape[1] < limit and not ended:
            block = orthonormal(residual, floor)[:, : quotient.dimension - basis.shape[1]]
            block = orthonormal(quotient.clean(block - basis @ (basis.mT @ block)), 0.5)
            ended = block.shape[1] == 0
            if not ended:
                columns = 2 * (basis.shape[1] + block.shape[1]) + state.locked.shape[1]
                needed = float(columns * basis.shape[0] * basis.element_size())
                require_bound(needed, self.settings.memory, "a smaller basis, or Deflated with a projector")
                basis, projected, residual = extend(quotient, basis, projected, block)
        ended = ended or basis.shape[1] >= quotient.dimension or float(residual.norm()) <= floor
        values, coordinates = eigenpairs(projected)
        tail = min(residual.shape[1], basis.shape[1])
        errors = (residual[:, :tail] @ coordinates[basis.shape[1] - tail :]).norm(dim=0)
        zone = UNDECIDED_FACTOR * self.cutoff
        null = (values.abs() <= zone) & (errors <= zone)
        pending = bool(((values.abs() - errors <= zone) & ~null).any()) and not ended
        if not pending:
            return self._lock(state, quotient, basis @ coordinates[:, null], generator)
        keep = values.abs().argsort()[: max(limit // 2, 1)]
        return replace(
            state,
            basis=basis @ coordinates[:, keep],
            projected=values[keep].diag(),
            residual=residual,
            generator=generator.get_state(),
            restarts=state.restarts + 1,
        )

    def _lock(self, state: LockingState, quotient: Quotient, null: Tensor, generator: torch.Generator) -> LockingState:
        """Adds the null ones of the found vectors to the locked ones and starts afresh, unless there were none."""
        found = orthonormal(quotient.clean(null), INDEPENDENT)
        image = self.operator @ found
        values, rotation = eigenpairs(found.mT @ image)
        found = (found @ rotation)[:, values.abs() <= self.cutoff]
        locked = torch.cat([state.locked, found], dim=1)
        if found.shape[1] == 0:
            return replace(state, finished=True, generator=generator.get_state(), restarts=state.restarts + 1)
        return self._fresh(locked, generator, state.restarts + 1)
