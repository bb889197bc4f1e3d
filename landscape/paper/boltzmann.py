"""Sampling the Boltzmann density exp(-loss / T) of a small problem, to see whether the free energy tells where its mass is.

Hamiltonian trajectories with Metropolis's test (one leapfrog step of which is a Langevin step) on a ladder of temperatures that
exchange states (parallel tempering), so that a chain at a low temperature need not climb the barriers itself. Sources: Neal, MCMC
using Hamiltonian dynamics (2011); Hukushima and Nemoto (1996).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.catalogue.row import AtlasRow, at_temperature
from landscape.catalogue.table import AtlasOptions, atlas
from landscape.errors import InputError
from landscape.model.objective import Objective
from landscape.model.problem import Problem

MOST_PARAMETERS = 200  # parameters: beyond that no run of minutes equilibrates
_LEAPS = 8  # leapfrog steps of a trajectory
_EVERY = 50  # trajectories between two looks at where the chains are
_DESCENT = 1_500  # steps of plain descent that say in whose basin a state lies
_RATE = 0.5
_SAME = 1e-4  # difference of the losses up to which the end of a descent is a known minimum


@dataclass(frozen=True)
class Tempering:
    """Settings of the sampling by parallel tempering.

    Attributes:
        temperatures: Ladder of temperatures, rising; neighbours must overlap, the hottest must cross the barriers.
        ladders: Number of independent copies of the ladder, from whose spread the errors come.
        trajectories: Number of trajectories of every chain; the first fifth is thrown away.
        step: Step size of the leapfrog integrator.
        seed: Seed of all random draws.
    """

    temperatures: tuple[float, ...]
    ladders: int = 32
    trajectories: int = 2_000
    step: float = 0.7
    seed: int = 0


@dataclass(frozen=True)
class Share:
    """How much of the mass lies at one minimum, predicted and sampled.

    Attributes:
        decay: Weight decay lambda of the model.
        temperature: Temperature T of the Boltzmann distribution.
        structure: Name of the minimum, all its copies together.
        predicted: Share predicted by exp(-F/T), normalised over the minima.
        sampled: Share of the looks at which descent from the state ends there.
        error: Standard error of the sampled share, from the independent ladders.
    """

    decay: float
    temperature: float
    structure: str
    predicted: float
    sampled: float
    error: float


def chains(objective: Objective, starts: Float[Tensor, "r p"], settings: Tempering) -> Iterator[Float[Tensor, "r t p"]]:
    """Yields the states of all ladders after every trajectory and its exchanges.

    Args:
        objective: What exp(-loss/T) is made of.
        starts: One per ladder, for all its temperatures.
        settings: Settings of the sampling.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    heat = torch.tensor(settings.temperatures, dtype=starts.dtype)
    theta = starts.unsqueeze(1).repeat(1, len(heat), 1)
    loss, gradient = objective.value_and_gradient(theta)
    for trajectory in range(settings.trajectories):
        theta, loss, gradient = _trajectory(objective, (theta, loss, gradient), heat, settings.step, generator)
        for colder in range(trajectory % 2, len(heat) - 1, 2):
            gain = (loss[:, colder] - loss[:, colder + 1]) * (1 / heat[colder] - 1 / heat[colder + 1])
            swap = torch.rand(len(starts), dtype=starts.dtype, generator=generator) < gain.exp()
            order = torch.arange(len(heat)).repeat(len(starts), 1)
            order[swap, colder], order[swap, colder + 1] = colder + 1, colder
            loss = loss.gather(1, order)
            wide = order.unsqueeze(-1).expand_as(theta)
            theta, gradient = theta.gather(1, wide), gradient.gather(1, wide)
        yield theta


def _trajectory(
    objective: Objective, state: tuple[Tensor, Tensor, Tensor], heat: Tensor, step: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    theta, loss, gradient = state
    momentum = torch.randn(theta.shape, dtype=theta.dtype, generator=generator) * heat.sqrt().unsqueeze(-1)
    before = loss + momentum.square().sum(-1) / 2
    length = step * (0.7 + 0.6 * torch.rand(*loss.shape, 1, dtype=theta.dtype, generator=generator))  # against resonance
    moved, energy, slope = theta, loss, gradient
    for _ in range(_LEAPS):
        momentum = momentum - length / 2 * slope
        moved = moved + length * momentum
        energy, slope = objective.value_and_gradient(moved)
        momentum = momentum - length / 2 * slope
    after = energy + momentum.square().sum(-1) / 2
    taken = torch.rand(loss.shape, dtype=theta.dtype, generator=generator) < ((before - after) / heat).exp()
    wide = taken.unsqueeze(-1)
    return torch.where(wide, moved, theta), torch.where(taken, energy, loss), torch.where(wide, slope, gradient)


def shares(problem: Problem, settings: Tempering) -> list[Share]:
    """Returns the share of every minimum at every temperature; the minima are those of the atlas with a search.

    Ladders start at the minima in turn, so that a run too short to equilibrate shows as a large error.

    Raises:
        InputError: If the problem is too large to equilibrate, or the ladder is not rising.
    """
    if problem.parameters > MOST_PARAMETERS:
        raise InputError(f"expected at most {MOST_PARAMETERS} parameters to sample, got {problem.parameters}")
    ladder = settings.temperatures
    rising = all(one < other for one, other in pairwise(ladder))
    if not ladder or not (rising and all(0 < temperature < math.inf for temperature in ladder)):
        raise InputError(f"expected rising positive temperatures, got {settings.temperatures}")
    minima = [entry for entry in atlas(problem, AtlasOptions(index=0, starts=100)).entries if entry.excess == 0]
    objective = Objective.of(problem)
    seen = _looks(problem, objective, minima, settings)
    table = []
    for place, temperature in enumerate(settings.temperatures):
        energies = [at_temperature(problem, entry, temperature).free_energy for entry in minima]
        weights = torch.tensor([-math.inf if energy is None else -energy / temperature for energy in energies], dtype=torch.float64)
        predicted = weights.softmax(0).tolist()
        for kind, entry in enumerate(minima):
            share = (seen[:, :, place] == kind).double().mean(0)  # of each ladder
            error = float(share.std()) / math.sqrt(settings.ladders)
            table.append(Share(problem.mean_decay, temperature, entry.structure, predicted[kind], float(share.mean()), error))
    return table


def _looks(problem: Problem, objective: Objective, minima: Sequence[AtlasRow], settings: Tempering) -> Tensor:
    """Returns in whose basin every chain was at every look: looks x ladders x temperatures; -1 is none of the minima."""
    losses = torch.tensor([entry.loss for entry in minima], dtype=torch.float64)
    generator = torch.Generator().manual_seed(settings.seed + 1)
    starts = torch.randn(settings.ladders, problem.parameters, dtype=torch.float64, generator=generator)
    starts = starts * torch.linspace(0.1, 1.5, settings.ladders, dtype=torch.float64).unsqueeze(-1)
    seen = []
    for count, theta in enumerate(chains(objective, starts, settings)):
        if count >= settings.trajectories // 5 and count % _EVERY == 0:
            state = theta
            for _ in range(_DESCENT):
                state = state - _RATE * objective.gradient(state)
            distance, kind = (objective.loss(state).unsqueeze(-1) - losses).abs().min(-1)
            seen.append(torch.where(distance < _SAME, kind, -1))
    return torch.stack(seen)
