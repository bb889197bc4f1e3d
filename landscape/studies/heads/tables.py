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
        decay: Decay of each layer of the head; that of the features is divided by the images of a class, or balances them.
        width: Width of the features and of the head.
        init: Factor on the initial weights of all layers.
        seed: Seed of the initial weights.
        decayed: What decays, "features" for the features and the head, "network" for all parameters.
        feature_init: Factor on the initial weights and bias of the layer that gives the features.
        head_init: Factor on the initial weights of the head.
        start_flow: Structure that the flow of the head leads to from before training, which is what the model predicts from
            the network's own features and head; empty where they have no decay, and for ReLU heads.
        adam_loss: Loss with weight decay, at the end of Adam.
        adam_rank: Singular values of the class-mean logits above 1 % of the largest, at the end of Adam.
        adam_moved: Distance from there to the end of the flow of the head, over the norm of the parameters.
        loss: Loss of the network with weight decay, at the end of training.
        gradient_norm: Euclidean norm of the gradient of the head and features, at the end of training.
        rank: Singular values of the class-mean logits above 1 % of the largest, at the end of training.
        best_known: Structure of the lowest known critical point of the model; empty where no loss of it is a bound.
        best_loss: Loss of that critical point.
        nearest: Structure whose class-mean logits are most like those at the end of training.
        cosine: Largest cosine with it, over relabellings of the classes.
        end: Structure that the flow of the head leads to from the end of training.
        end_loss: Loss of that end.
        end_cosine: Largest cosine of the logits at the end of training with those of that structure.
        index: Negative eigenvalues at that end; None where that is not certain.
        nullity: Zero eigenvalues at that end; None where that is not certain.
        kinks: Hidden pre-activations within 1e-3 of their root mean square, at the end of training; None for linear heads.
        dead: Hidden units with no pre-activation above that on any sample, at the end of training; None for linear heads.
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
    decayed: str
    feature_init: float
    head_init: float
    start_flow: str
    adam_loss: float
    adam_rank: int
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
    dead: int | None
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
class HeadEnd:
    """One entry of the class-mean logits of the critical point that the flow of a trained head leads to.

    Attributes:
        run: Name of the run, its settings joined by hyphens.
        row: Class of the logit.
        column: Class of the samples.
        logit: Mean logit of these samples, to the last digit.
    """

    run: str
    row: int
    column: int
    logit: float


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


@dataclass(frozen=True)
class HeadPrediction:
    """How often starts of the model with the features of untrained networks end at one structure.

    Attributes:
        data: Images that the features are of.
        width: Width of the features and of the head.
        feature_init: Factor on the initial weights and bias of the layer that gives the features.
        head_init: Factor on the initial weights of the head.
        features: Features of the starts, "own" for class means of the network, "none" for random ones of their size.
        structure: Name of the structure.
        count: Starts that end there.
        starts: Starts that were followed.
        low: Lower end of the 95 % interval of the share.
        high: Upper end of that interval.
    """

    data: str
    width: int
    feature_init: float
    head_init: float
    features: str
    structure: str
    count: int
    starts: int
    low: float
    high: float


@dataclass(frozen=True)
class HeadFeatures:
    """How alike the class means of the features of one untrained network are.

    Attributes:
        data: Images that the features are of.
        width: Width of the features.
        seed: Seed of the initial weights.
        least: Smallest cosine between two class means.
        most: Largest cosine between two class means.
        common: Share of the squared norm of all class means that is their common mean.
        three: Share of the rest that its three largest singular directions hold.
    """

    data: str
    width: int
    seed: int
    least: float
    most: float
    common: float
    three: float


@dataclass(frozen=True)
class HeadSmoothed:
    """Where softplus continuation leads from the class means of one rectified head.

    Attributes:
        seed: Seed of the run that trained the head.
        loss: Loss with weight decay of the head with its class means, before the continuation.
        end_loss: Loss with weight decay at the end of the continuation.
        rank: Rank of the class-mean logits at the end.
        kinks: Hidden pre-activations within 1e-3 of their root mean square, at the end.
        inputs: Hidden pre-activations in all.
        dead: Hidden units with no pre-activation above that on any class, at the end.
        gradient_norm: Euclidean norm of the gradient with closed gates at the kinks, at the end.
        residual: Norm of the shortest generalised gradient found, over all masks of the kinks.
    """

    seed: int
    loss: float
    end_loss: float
    rank: int
    kinks: int
    inputs: int
    dead: int
    gradient_norm: float
    residual: float
