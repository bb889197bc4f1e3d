"""Rows of the tables that scripts/real_networks.py writes and the figure of real networks reads."""

from dataclasses import dataclass


@dataclass(frozen=True)
class HeadRow:
    """One run: where the flow of the head leads from the end of Adam, and the end of training with what its flow leads to.

    Attributes:
        data: Images that it was trained on, "fashion" or "mnist".
        backbone: Layers below the head, "mlp" or "cnn".
        activation: Activation between the layers of the head.
        depth: Number of layers of the head.
        decay: Decay of each layer of the head; that of the features is divided by the images of a class.
        width: Width of the features and of the head.
        init: Factor on the initial weights of all layers.
        seed: Seed of the initial weights.
        adam_loss: Loss with weight decay, at the end of Adam.
        adam_rank: Singular values of the class-mean logits above 1 % of the largest, at the end of Adam.
        adam_flow: Structure that the flow of the head leads to from there.
        adam_moved: Distance to it over the norm of the parameters.
        loss: Loss with weight decay, at the end of training.
        gradient_norm: Euclidean norm of the gradient of the head and features, at the end of training.
        rank: Singular values of the class-mean logits above 1 % of the largest, at the end of training.
        best_known: Structure of the lowest known critical point of the model.
        best_loss: Loss of that critical point.
        nearest: Structure whose class-mean logits are most like those at the end of training.
        cosine: Largest cosine with it, over relabellings of the classes.
        end: Structure that the flow of the head leads to from the end of training.
        end_loss: Loss of that end.
        end_cosine: Largest cosine of the logits at the end of training with those of that structure.
        index: Negative eigenvalues at that end; None where that is not certain.
        nullity: Zero eigenvalues at that end; None where that is not certain.
        kinks: Hidden pre-activations at zero there; None for linear heads.
        moved: Distance to that end over the norm of the parameters.
        core_seconds: Processor time of the run, in seconds.
    """

    data: str
    backbone: str
    activation: str
    depth: int
    decay: float
    width: int
    init: float
    seed: int
    adam_loss: float
    adam_rank: int
    adam_flow: str
    adam_moved: float
    loss: float
    gradient_norm: float
    rank: int
    best_known: str
    best_loss: float | None
    nearest: str
    cosine: float | None
    end: str
    end_loss: float
    end_cosine: float | None
    index: int | None
    nullity: int | None
    kinks: int | None
    moved: float
    core_seconds: float


@dataclass(frozen=True)
class HeadCurve:
    """One row of a training curve.

    Attributes:
        run: Name of the run, its settings joined by hyphens.
        step: Steps of Adam and iterations of L-BFGS so far.
        loss: Loss with weight decay, on all images.
        logits: Singular values of the class-mean logits, descending, separated by spaces.
        first_layer: The ten largest singular values of W_1, likewise.
    """

    run: str
    step: int
    loss: float
    logits: str
    first_layer: str


@dataclass(frozen=True)
class HeadGram:
    """One entry of the matrix of cosines between the class means of the features, about their common mean.

    Attributes:
        run: Name of the run, its settings joined by hyphens.
        row: Class of the one mean.
        column: Class of the other mean.
        cosine: Cosine of the angle between the two.
    """

    run: str
    row: int
    column: int
    cosine: float


@dataclass(frozen=True)
class HeadLine:
    """One known critical point of the model of a linear head, at the widths of the runs.

    Attributes:
        depth: Number of layers of the head.
        decay: Decay of each layer of the head.
        structure: Name of the structure.
        loss: Loss with weight decay, of the critical point.
    """

    depth: int
    decay: float
    structure: str
    loss: float
