"""The settings of random starts and of every method, as values. Imports no torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Random:
    """W_l ~ N(0, weight_scale^2 / d) and H_1 ~ N(0, feature_scale^2), entry by entry, from one seed.

    The paper does not state its scales; both change which structure descent finds.

    Attributes:
        weight_scale: Standard deviation of the entries of every W_l, times sqrt(d).
        feature_scale: Standard deviation of the entries of H_1.
        seed: Seed of the draw; it means the same start on every device.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> ls.analyse(ls.solve(problem, ls.Random(seed=1))).structure
        'DNC'
    """

    weight_scale: float = 1.0
    feature_scale: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class GradientDescent:
    """Plain full-batch descent, the dynamics of the paper.

    Attributes:
        learning_rate: Learning rate of every step; 0.5 in the paper (Fig. 1).
        max_steps: Most steps; the paper's setting took 27 000 to 62 000 to gradient norm 1e-7 (seeds 0 to 11).
        tolerance: Gradient norm at which descent stops.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=3, samples=1, width=4, depth=2, decay=2e-2)
        >>> descent = ls.GradientDescent(learning_rate=0.5, tolerance=1e-6)
        >>> ls.analyse(ls.solve(problem, ls.Random(), [descent, ls.Newton()])).structure
        'DNC'
    """

    learning_rate: float = 0.5
    max_steps: int = 2_000_000
    tolerance: float = 1e-10


@dataclass(frozen=True)
class PseudoTransient:
    """Implicit gradient flow: (H + I/h) s = -g by conjugate gradients, the time step h grown as the flow straightens.

    Follows gradient flow closely enough to end where plain descent ends, at a few hundred Hessian products instead of 10^5
    gradients. A step is taken only if the gradient there is predicted by the linear model to `curvature_tolerance` and the loss
    does not rise; h -> infinity makes the last steps Newton's.

    Attributes:
        first_step: First time step h; 0.5 is the paper's learning rate.
        curvature_tolerance: Accepted error of the predicted gradient over the gradient norm; smaller follows the flow closer.
        max_steps: Most steps tried, taken or not.
        max_products: Most conjugate-gradient iterations of one step.
        tolerance: Gradient norm at which the flow stops.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=3, samples=1, width=4, depth=2, decay=2e-2)
        >>> flow = ls.PseudoTransient(curvature_tolerance=0.05)
        >>> ls.analyse(ls.solve(problem, ls.Random(), [flow, ls.Newton()])).structure
        'DNC'
    """

    first_step: float = 0.5
    curvature_tolerance: float = 0.1
    max_steps: int = 5_000
    max_products: int = 500
    tolerance: float = 1e-10


@dataclass(frozen=True)
class LBFGS:
    """torch's L-BFGS with a strong Wolfe line search: fast, but its first long steps can change the basin.

    Attributes:
        max_steps: Most iterations of L-BFGS.
        history: Number of past steps that the quadratic model is made from.
        tolerance: Gradient norm at which L-BFGS stops.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=3, samples=1, width=4, depth=2, decay=2e-2)
        >>> ls.analyse(ls.solve(problem, ls.Random(), [ls.LBFGS(), ls.Newton()])).structure
        'DNC'
    """

    max_steps: int = 20_000
    history: int = 20
    tolerance: float = 1e-8


@dataclass(frozen=True)
class SoftplusContinuation:
    """ReLU models: descent with softplus_b(x) = log(1 + e^(bx)) / b for the rectifier, b growing, then with the rectifier itself.

    ReLU minima sit on kinks, where the gradient of plain descent does not go to zero. The softplus has none; its minimum puts a
    unit at a kink where the slope of the softplus is the mask that balances the forces, within O(1/b) of the ReLU minimum.

    Attributes:
        first_sharpness: First sharpness b; a unit feels the smoothing where its pre-activation is below a few 1/b.
        growth: Factor of b from one stage to the next.
        last_sharpness: Sharpness b of the last smooth stage, reached exactly.
        stage_tolerance: Gradient norm of the smoothed loss that ends a stage.
        stage_steps: Most steps tried in one stage.
        max_steps: Most steps of all stages together.
        tolerance: Gradient norm of the ReLU loss at which it stops.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=2, samples=2, width=3, depth=2, decay=2e-2, activation="relu")
        >>> point = ls.solve(problem, ls.Random(seed=0), [ls.SoftplusContinuation(), ls.Newton()])
        >>> point.gradient_norm < 1e-8
        True
    """

    first_sharpness: float = 10.0
    growth: float = 10.0
    last_sharpness: float = 1e6
    stage_tolerance: float = 1e-7
    stage_steps: int = 500
    max_steps: int = 5_000
    tolerance: float = 1e-10


@dataclass(frozen=True)
class Newton:
    """Polishing only: Newton steps that leave the null space untouched, in the core for linear models.

    Goes to the nearest critical point of any index, so it must start close to one.

    Attributes:
        max_steps: Most Newton steps taken.
        tolerance: Gradient norm at which polishing stops.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> saddle = ls.place(problem, ls.Collapse(root="small"))
        >>> moved = ls.solve(problem, saddle.theta * 1.0001, [ls.Newton()])
        >>> ls.analyse(moved).structure
        'DNC-small'
    """

    max_steps: int = 30
    tolerance: float = 1e-14


BatchMethod = PseudoTransient | GradientDescent  # what a pool of starts can follow
Method = GradientDescent | PseudoTransient | LBFGS | SoftplusContinuation | Newton
