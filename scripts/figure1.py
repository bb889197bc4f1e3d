"""Fig. 1 of the paper: plain descent in its setting, one start that ends at DNC and one that ends at the low-rank structure."""

from pathlib import Path

from landscape.model.problem import Problem
from landscape.points.point import Origin
from landscape.solver.methods import GradientDescent, Newton
from landscape.solver.run import solve
from landscape.solver.starts import Random, random_start

PROBLEM = Problem.balanced(classes=10, samples=5, width=70, depth=2, decay=2.0**-10)
SEEDS = {"collapse": 3, "pairs": 2}
METHODS = (GradientDescent(learning_rate=0.5, tolerance=1e-6), Newton())
DATA = Path(__file__).resolve().parent.parent / "figures" / "data"

if __name__ == "__main__":
    for name, seed in SEEDS.items():
        start, origin = random_start(PROBLEM, Random(seed=seed)), Origin("random, c_W=1, c_H=1", seed=seed)
        solve(PROBLEM, start, METHODS, origin).save(DATA / f"figure1-{name}.safetensors")
