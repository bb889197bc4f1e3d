"""Fig. 6 of the paper: plain descent of the ReLU model in its setting, at both initialisation scales that the paper leaves open."""

import json
from pathlib import Path
from typing import Any

import torch

from landscape.atomic_files import atomic_write
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.paper.theorem7_point import nonnegative_pairs
from landscape.solver.methods import GradientDescent
from landscape.solver.run import solve
from landscape.solver.starts import Random, random_start
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Collapse

SETTING: dict[str, Any] = {"classes": 10, "samples": 5, "width": 70, "depth": 3, "decay": 2.0**-9}
RELU, LINEAR = Problem.balanced(**SETTING, activation="relu"), Problem.balanced(**SETTING)
FEATURE_SCALES, SEED = (1.0, 0.1), 0
METHOD = GradientDescent(learning_rate=0.5, max_steps=60_000)
DATA = Path(__file__).resolve().parent.parent / "figures" / "data" / "figure6.json"


def run(feature_scale: float) -> dict[str, object]:
    """Returns the loss along one descent and the singular values of each factor where it was stopped."""
    point = solve(RELU, random_start(RELU, Random(feature_scale=feature_scale, seed=SEED)), [METHOD])
    steps, losses, norms = point.trace.T
    return {
        "feature_scale": feature_scale,
        "seed": SEED,
        "steps": [int(step) for step in steps],
        "losses": [float(f"{loss:.10g}") for loss in losses],
        "gradient_norm": float(norms[-1]),
        "singular": {name: [float(f"{s:.6g}") for s in torch.linalg.svdvals(part)] for name, part in point.factors().items()},
    }


if __name__ == "__main__":
    collapse, comparison = Core.from_form(LINEAR, logit_form(LINEAR, Collapse())), nonnegative_pairs(RELU)
    data = {
        "setting": SETTING,
        "linear_collapse": float(collapse.objective.loss(collapse.theta)),
        "theorem_7": float(Objective.of(RELU, comparison).loss(comparison)),
        "runs": [run(scale) for scale in FEATURE_SCALES],
    }
    with atomic_write(DATA) as temporary:
        temporary.write_text(json.dumps(data) + "\n")
