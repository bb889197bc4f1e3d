"""The deep unconstrained features model (DUFM) as a value: classes, sizes, width, depth, decay, loss, activation.

Model and notation: Garrod and Keating, arXiv:2410.23169, section 2. The parameters are W_L in R^{K x d}, W_{L-1}..W_1 in
R^{d x d} and the features H_1 in R^{d x N}; samples stand in class order.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast, get_args

from landscape.display import table
from landscape.errors import InputError
from landscape.numbers import parse_decay, parse_sizes

LossName = Literal["ce", "mse"]
ActivationName = Literal["linear", "relu"]
TEXT_KEYS = ("K", "n", "sizes", "d", "L", "decay", "loss", "activation")  # of a problem as one line of text
DEEPEST = 1_000  # layers; one object per layer is made in many places, and no spectrum is computed beyond some tens


@dataclass(frozen=True)
class Problem:
    """A DUFM: minimise g(W_L .. W_1 H_1) plus half the decay times the squared Frobenius norm of every factor.

    Attributes:
        class_sizes: Number of samples of each class, in class order; `Problem.balanced` fills it for equal classes.
        width: Common inner dimension d. The theory of the paper needs width >= classes; solving does not.
        depth: Number L >= 1 of weight matrices.
        decay: Weight decay lambda > 0, one for all factors or one per factor in the order H_1, W_1, .., W_L.
        loss: Fit term g: "ce", the mean cross-entropy over samples, or "mse", half the mean squared error to the one-hot targets.
        activation: Activation function: "linear", or "relu" after every W_l with 1 <= l < L (H_1 itself is not rectified).

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=10, samples=5, width=70, depth=2, decay=2**-10)
        >>> problem.parameters
        9100
        >>> print(problem)
        linear CE model, K=10 n=5 d=70 L=2 decay=0.000976562 (P=9100)

    Raises:
        InputError: If any of these is out of range.
    """

    class_sizes: tuple[int, ...]
    width: int
    depth: int
    decay: float | tuple[float, ...]
    loss: LossName = "ce"
    activation: ActivationName = "linear"

    def __post_init__(self) -> None:
        _require(self.classes >= 2, f"expected at least 2 classes, got {self.classes}")
        _require(all(n >= 1 for n in self.class_sizes), f"expected class sizes >= 1, got {_listed(self.class_sizes)}")
        _require(self.width >= 1, f"expected width >= 1, got {self.width}")
        _require(1 <= self.depth <= DEEPEST, f"expected depth from 1 to {DEEPEST}, got {self.depth}")
        decays = self.decay if isinstance(self.decay, tuple) else (self.decay,)
        _require(
            all(math.isfinite(value) and value > 0 for value in decays),
            f"expected a positive finite decay, got {_listed(decays)}",
        )
        _require(
            not isinstance(self.decay, tuple) or len(decays) == self.depth + 1,
            f"expected one decay, or {self.depth + 1} of them (H_1, W_1 .. W_{self.depth}), got {len(decays)}",
        )
        _require(self.loss in get_args(LossName), f"expected loss {_either(LossName)}, got {self.loss!r}")
        _require(
            self.activation in get_args(ActivationName), f"expected activation {_either(ActivationName)}, got {self.activation!r}"
        )

    @classmethod
    def balanced(
        cls,
        classes: int,
        samples: int,
        width: int,
        depth: int,
        decay: float | tuple[float, ...],
        loss: LossName = "ce",
        activation: ActivationName = "linear",
    ) -> "Problem":
        """Returns the problem whose `classes` classes have `samples` samples each."""
        _require(classes >= 2, f"expected at least 2 classes, got {classes}")
        return cls((samples,) * classes, width, depth, decay, loss, activation)

    @classmethod
    def parse(cls, text: str) -> "Problem":
        """Reads a problem in the letters of the field: `K=10,n=5,d=70,L=2,decay=2**-10`. Nothing is evaluated.

        `sizes=4:1:2` stands for K and n where classes differ; `decay=1e-3:2e-3:2e-3` gives one decay per factor H_1, W_1, .., W_L;
        `loss=mse` and `activation=relu` are optional.

        Example:
            >>> Problem.parse("K=10,n=5,d=70,L=2,decay=2**-10").parameters
            9100

        Raises:
            InputError: If a key is missing, unknown or repeated, or a value is out of range.
        """
        return cls.from_text_fields(text_fields(text), f"the problem {_cut(text)!r}")

    @classmethod
    def from_text_fields(cls, fields: dict[str, str], where: str = "the problem") -> "Problem":
        """Returns the problem that texts name, by the keys of `parse`.

        Args:
            fields: Values as typed.
            where: The place that errors name.

        Raises:
            InputError: If a key is missing, or a value is out of range.
        """
        unequal = "sizes" in fields
        _require(not (unequal and {"K", "n"} & set(fields)), f"expected either sizes or K and n in {where}, got both")
        missing = [key for key in ("d", "L", "decay", *(() if unequal else ("K", "n"))) if key not in fields]
        _require(not missing, f"expected {', '.join(missing)} in {where}")
        shared = (
            _typed_whole(fields["d"], "d"),
            _typed_whole(fields["L"], "L"),
            parse_decay(fields["decay"]),
            cast(LossName, _chosen(fields.get("loss", "ce"), LossName, "loss")),
            cast(ActivationName, _chosen(fields.get("activation", "linear"), ActivationName, "activation")),
        )
        if unequal:
            return cls(parse_sizes(fields["sizes"]), *shared)
        return cls.balanced(_typed_whole(fields["K"], "K"), _typed_whole(fields["n"], "n"), *shared)

    @property
    def classes(self) -> int:
        """K, the number of classes."""
        return len(self.class_sizes)

    @property
    def total_samples(self) -> int:
        """N, the number of samples of all classes together."""
        return sum(self.class_sizes)

    @property
    def is_balanced(self) -> bool:
        """Whether all classes have the same number of samples."""
        return len(set(self.class_sizes)) == 1

    @property
    def is_linear(self) -> bool:
        """Whether the logits are multilinear in the factors; a single layer has nothing to rectify."""
        return self.activation == "linear" or self.depth == 1

    @property
    def decays(self) -> tuple[float, ...]:
        """The decay of each factor, in the order H_1, W_1, .., W_L."""
        return self.decay if isinstance(self.decay, tuple) else (self.decay,) * (self.depth + 1)

    @property
    def mean_decay(self) -> float:
        """The geometric mean of the decays, the only one that the critical logits and losses depend on."""
        if not isinstance(self.decay, tuple):
            return self.decay
        return math.exp(math.fsum(map(math.log, self.decay)) / len(self.decay))

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """The shapes of H_1, W_1, .., W_L."""
        inner = ((self.width, self.width),) * (self.depth - 1)
        return ((self.width, self.total_samples), *inner, (self.classes, self.width))

    @property
    def parameters(self) -> int:
        """P, the number of parameters."""
        return sum(rows * columns for rows, columns in self.shapes)

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form, which `from_dict` reads back without loss."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Problem":
        """Reads the JSON form back.

        Raises:
            InputError: If a field is missing, unknown, of another type or out of range.
        """
        try:
            decay = fields["decay"]
            return cls(
                class_sizes=tuple(_whole(n) for n in fields["class_sizes"]),
                width=_whole(fields["width"]),
                depth=_whole(fields["depth"]),
                decay=tuple(float(v) for v in decay) if isinstance(decay, list | tuple) else float(decay),
                loss=fields["loss"],
                activation=fields["activation"],
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"expected a problem with {', '.join(cls.__dataclass_fields__)}, got {fields!r}") from error

    def _repr_html_(self) -> str:
        """What a notebook shows: every setting by its name and by the letter of the paper."""
        sizes = f"{self.class_sizes[0]} of each class" if self.is_balanced else _listed(self.class_sizes)
        rows = [
            ("classes K", str(self.classes)),
            ("samples n", sizes),
            ("width d", str(self.width)),
            ("depth L", str(self.depth)),
            ("decay", _listed(self.decays) if isinstance(self.decay, tuple) else f"{self.decay:g}"),
            ("loss", self.loss),
            ("activation", self.activation),
            ("parameters P", str(self.parameters)),
        ]
        return table(str(self), rows)

    def __str__(self) -> str:
        sizes = f"n={self.class_sizes[0]}" if self.is_balanced else f"sizes={_listed(self.class_sizes)}"
        decay = _listed(self.decays) if isinstance(self.decay, tuple) else f"{self.decay:g}"
        return (
            f"{self.activation} {self.loss.upper()} model, K={self.classes} {sizes} d={self.width} "
            f"L={self.depth} decay={decay} (P={self.parameters})"
        )


def text_fields(text: str) -> dict[str, str]:
    """Returns the values of a problem written as `K=10,n=5,..`, by key and as typed.

    Raises:
        InputError: If a key is unknown or stands twice.
    """
    fields: dict[str, str] = {}
    for item in text.split(","):
        key, separator, value = (part.strip() for part in item.partition("="))
        if not separator or key not in TEXT_KEYS or key in fields:
            fault = f"{_cut(item.strip())!r} in {_cut(text)!r}"
            raise InputError(f"expected a problem such as K=10,n=5,d=70,L=2,decay=2**-10, got {fault}")
        fields[key] = value
    return fields


def _cut(text: str, length: int = 80) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _typed_whole(text: str, name: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(f"expected {name} to be a whole number, got {_cut(text)!r}") from None


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(message)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is not a whole number")
    return value


def _listed(values: tuple[Any, ...]) -> str:
    return ",".join(f"{value:g}" for value in values)


def _chosen(text: str, choice: Any, name: str) -> str:
    _require(text in get_args(choice), f"expected {name} {_either(choice)}, got {_cut(text)!r}")
    return text


def _either(choice: Any) -> str:
    return " or ".join(get_args(choice))
