"""Weights trained elsewhere: every accepted form gives the same point bit for bit, nothing in a file runs, the rest is refused.

The loss is written here once more in numpy, sample by sample with its label, so that neither the order of the samples nor the
layout of the file can hide an error.
"""

import contextlib
import copy
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from landscape.errors import InputError
from landscape.model.problem import ActivationName, LossName, Problem
from landscape.points.foreign_arrays import read_arrays
from landscape.points.foreign_weights import WeightsLayout, import_weights, read_weights
from landscape.solver.starts import place
from landscape.structures.kinds import Collapse

DECAY = 1e-2
Arrays = dict[str, Any]  # of numpy


def draw(classes: int = 4, samples: int = 8, width: int = 6, depth: int = 2, seed: int = 0) -> Arrays:
    random = np.random.default_rng(seed)
    shapes = [(width, samples), *[(width, width)] * (depth - 1), (classes, width)]
    return {name: random.normal(size=shape) for name, shape in zip(names(depth), shapes, strict=True)}


def names(depth: int) -> list[str]:
    return ["H_1", *(f"W_{layer}" for layer in range(1, depth + 1))]


def numpy_loss(arrays: Arrays, labels: np.ndarray, decay: float = DECAY, loss: str = "ce", relu: bool = False) -> float:
    """Sums over samples in whatever order they stand; H_1 first, then the layers."""
    features, *layers = arrays.values()
    total = 0.0
    for column, label in zip(features.T.astype(np.float64), labels, strict=True):
        for index, layer in enumerate(layers):
            column = layer.astype(np.float64) @ (np.maximum(column, 0) if relu and index > 0 else column)
        if loss == "ce":
            total += np.log(np.exp(column).sum()) - column[label]
        else:
            total += 0.5 * ((column - np.eye(len(column))[label]) ** 2).sum()
    penalty = decay / 2 * sum((array.astype(np.float64) ** 2).sum() for array in arrays.values())
    return total / len(labels) + penalty


def write(path: Path, arrays: Arrays) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **arrays)
        return path
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return path


def same_bits(theta: torch.Tensor, arrays: list[np.ndarray]) -> bool:
    return theta.numpy().tobytes() == np.concatenate([array.ravel() for array in arrays]).tobytes()


# ------------------------------------------------------------------------------------------------------ forms and names


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pt", ".pth"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_every_kind_of_file_gives_the_same_bits(tmp_path: Path, suffix: str, depth: int) -> None:
    arrays = draw(depth=depth)
    point = import_weights(write(tmp_path / f"weights{suffix}", arrays), DECAY)
    assert same_bits(point.theta, list(arrays.values()))
    problem = point.problem
    assert (problem.class_sizes, problem.width, problem.depth, problem.decay) == ((2, 2, 2, 2), 6, depth, DECAY)
    assert point.loss == pytest.approx(numpy_loss(arrays, np.arange(4).repeat(2)), rel=1e-14)


@pytest.mark.parametrize("spell", [str, str.lower, lambda name: name.replace("_", ""), lambda name: name.replace("_", "").lower()])
def test_any_spelling_of_the_names(tmp_path: Path, spell) -> None:
    arrays = draw(depth=3)
    shuffled = {spell(name): arrays[name] for name in ("W_3", "H_1", "W_1", "W_2")}
    assert same_bits(import_weights(write(tmp_path / "weights.npz", shuffled), DECAY).theta, list(arrays.values()))


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pt"])
def test_ten_layers_come_in_the_order_of_their_numbers(tmp_path: Path, suffix: str) -> None:
    arrays = draw(classes=6, samples=6, depth=12)
    backwards = dict(reversed(arrays.items()))
    assert same_bits(import_weights(write(tmp_path / f"weights{suffix}", backwards), DECAY).theta, list(arrays.values()))


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pt"])
def test_a_state_dict_in_natural_order(tmp_path: Path, suffix: str) -> None:
    arrays = draw(classes=6, samples=6, depth=11)  # all square, so that only the order tells the layers apart
    features, *layers = arrays.values()
    state = {f"layers.{place}.weight": layer for place, layer in enumerate(layers)} | {"feats": features}
    point = import_weights(write(tmp_path / f"state{suffix}", state), DECAY, layout=WeightsLayout(features="feats"))
    assert same_bits(point.theta, list(arrays.values()))


def test_a_real_torch_module_with_zero_biases_inside_a_checkpoint(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 4)).double()
    for layer in model:
        nn.init.zeros_(layer.get_parameter("bias"))
    features = torch.from_numpy(draw()["H_1"])
    torch.save({"state_dict": {**model.state_dict(), "features": features}, "epoch": 7}, tmp_path / "checkpoint.pth")
    point = import_weights(tmp_path / "checkpoint.pth", DECAY, layout=WeightsLayout(features="features"))
    with torch.no_grad():
        fit = nn.functional.cross_entropy(model(features.T), torch.arange(4).repeat_interleave(2))
        penalty = DECAY / 2 * sum(part.square().sum() for part in (features, *(layer.get_parameter("weight") for layer in model)))
    assert point.loss == pytest.approx(float(fit + penalty), rel=1e-14)


def test_biases_that_are_not_zero_are_refused_by_name(tmp_path: Path) -> None:
    arrays = draw()
    state = {"0.weight": arrays["W_1"], "0.bias": np.zeros(6), "1.weight": arrays["W_2"], "1.bias": np.eye(4)[0] * 1e-300}
    path = write(tmp_path / "state.npz", state | {"H_1": arrays["H_1"]})
    with pytest.raises(InputError, match=r"without biases, got 1\.bias in state\.npz"):
        import_weights(path, DECAY)


def test_features_lying_on_their_side(tmp_path: Path) -> None:
    arrays = draw()
    path = write(tmp_path / "weights.pt", arrays | {"H_1": arrays["H_1"].T})
    assert same_bits(import_weights(path, DECAY).theta, list(arrays.values()))


def test_square_features_are_taken_as_they_stand(tmp_path: Path) -> None:
    arrays = draw(classes=3, samples=6, width=6)
    assert same_bits(import_weights(write(tmp_path / "weights.npz", arrays), DECAY).theta, list(arrays.values()))


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_narrow_numbers_are_widened_exactly(tmp_path: Path, kind: type) -> None:
    arrays: Arrays = {name: array.astype(kind) for name, array in draw().items()}
    point = import_weights(write(tmp_path / "weights.safetensors", arrays), DECAY)
    assert point.theta.dtype == torch.float64
    assert same_bits(point.theta, [array.astype(np.float64) for array in arrays.values()])
    assert np.dtype(kind).name in point.origin.start


@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_the_loss_is_that_of_the_model_asked_for(tmp_path: Path, loss: LossName, activation: ActivationName) -> None:
    arrays = draw(depth=3)
    point = import_weights(write(tmp_path / "weights.npz", arrays), DECAY, loss, activation)
    expected = numpy_loss(arrays, np.arange(4).repeat(2), loss=loss, relu=activation == "relu")
    assert point.loss == pytest.approx(expected, rel=1e-13)


# --------------------------------------------------------------------------------------------------------------- classes

LABELS = np.array([2, 0, 1, 0, 0, 3, 2, 0])


@pytest.mark.parametrize("home", ["array", "npy", "txt"])
@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_labels_in_any_order_leave_the_loss_as_it_is(tmp_path: Path, home: str, loss: LossName) -> None:
    arrays = draw()
    stored, name = dict(arrays), "targets"
    if home == "array":
        stored["targets"] = LABELS
    elif home == "npy":
        name = str(tmp_path / "labels.npy")
        np.save(name, LABELS.astype(np.uint8))
    else:
        name = str(tmp_path / "labels.txt")
        Path(name).write_text("\n".join(map(str, LABELS)))
    point = import_weights(write(tmp_path / "weights.npz", stored), DECAY, loss, layout=WeightsLayout(labels=name))
    assert point.problem.class_sizes == (4, 1, 2, 1)
    assert point.loss == pytest.approx(numpy_loss(arrays, LABELS, loss=loss), rel=1e-14)
    features = point.factors()["H_1"].numpy()
    assert np.array_equal(features, arrays["H_1"][:, [1, 3, 4, 7, 2, 0, 6, 5]])  # by class, then as they stood
    assert "sorted by label" in point.origin.start


def test_class_sizes(tmp_path: Path) -> None:
    arrays = draw()
    point = import_weights(write(tmp_path / "weights.npz", arrays), DECAY, layout=WeightsLayout(class_sizes=(4, 1, 2, 1)))
    assert point.problem.class_sizes == (4, 1, 2, 1)
    assert point.loss == pytest.approx(numpy_loss(arrays, np.sort(LABELS)), rel=1e-14)


def test_class_sizes_beside_labels_must_agree(tmp_path: Path) -> None:
    path = write(tmp_path / "weights.npz", draw() | {"y": LABELS})
    assert import_weights(path, DECAY, layout=WeightsLayout(labels="y", class_sizes=(4, 1, 2, 1))).problem.class_sizes == (
        4,
        1,
        2,
        1,
    )
    with pytest.raises(InputError, match=r"expected class sizes \(4, 1, 2, 1\)"):
        import_weights(path, DECAY, layout=WeightsLayout(labels="y", class_sizes=(2, 2, 2, 2)))


@pytest.mark.parametrize("sizes", [(4, 4), (2, 2, 2, 1), (2, 2, 2, 2, 0), (8, 0, 0, 0), (9, 1, -1, -1)])
def test_class_sizes_that_do_not_fit_are_refused(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"expected .* sizes"):
        import_weights(write(tmp_path / "weights.npz", draw()), DECAY, layout=WeightsLayout(class_sizes=sizes))


def test_samples_that_make_no_equal_classes_want_sizes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected --class-sizes or --labels: 9 samples do not make 4 equal classes"):
        import_weights(write(tmp_path / "weights.npz", draw(samples=9)), DECAY)


@pytest.mark.parametrize(
    "labels",
    [
        LABELS[:-1],
        LABELS + 1,
        LABELS - 1,
        LABELS.astype(float),
        LABELS[:, None],
        np.zeros(8, dtype=int),
        np.zeros(0, dtype=int),
        LABELS > 0,
        np.array(list("abcdefgh")),
    ],
)
@pytest.mark.parametrize("home", ["array", "npy"])
def test_labels_that_do_not_fit_are_refused(tmp_path: Path, labels: np.ndarray, home: str) -> None:
    arrays, name = draw(), "y"
    if home == "array":
        arrays["y"] = labels
    else:
        name = str(tmp_path / "labels.npy")
        np.save(name, labels)
    with pytest.raises(InputError):
        import_weights(write(tmp_path / "weights.npz", arrays), DECAY, layout=WeightsLayout(labels=name))


@pytest.mark.parametrize("text", ["", "0 1 2", "a b c", "0.5\n" * 8, "\udcff"])
def test_label_texts_that_do_not_fit_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "labels.txt").write_text(text, errors="surrogateescape")
    with pytest.raises(InputError):
        import_weights(write(tmp_path / "weights.npz", draw()), DECAY, layout=WeightsLayout(labels=str(tmp_path / "labels.txt")))


def test_every_array_may_have_a_file_of_its_own(tmp_path: Path) -> None:
    stored = draw()
    for name, array in stored.items():
        np.save(tmp_path / f"{name}.npy", array)
    layers = [tmp_path / f"{name}.npy" for name in stored if name != "H_1"]
    point = import_weights(layers, DECAY, layout=WeightsLayout(features=str(tmp_path / "H_1.npy")))
    assert torch.equal(point.theta, import_weights(write(tmp_path / "weights.npz", stored), DECAY).theta)


def test_labels_that_are_nowhere_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected labels as an array of weights\.npz or as a file, got 'nowhere'"):
        import_weights(write(tmp_path / "weights.npz", draw()), DECAY, layout=WeightsLayout(labels="nowhere"))


# --------------------------------------------------------------------------------------------------------------- refusals


def changed(**arrays: np.ndarray | None) -> Arrays:
    return {name: array for name, array in (draw() | arrays).items() if array is not None}


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (changed(H_1=None), "expected an array H_1 in weights.npz, got W_1, W_2: name the features with --features"),
        (changed(W_1=None), "expected W_1 .. W_2 in weights.npz, got W_2"),
        (changed(W_2=None, W_3=draw()["W_2"]), "expected W_1 .. W_3 in weights.npz, got W_1, W_3"),
        (changed(W_1=None, W_2=None), "expected weight matrices"),
        (changed(W_1=np.zeros((6, 5))), "expected matrices of shapes"),
        (changed(W_2=np.zeros((4, 7))), "expected matrices of shapes"),
        (changed(H_1=np.zeros((5, 8))), "expected matrices of shapes"),
        (changed(H_1=np.zeros((6, 0))), "expected class sizes >= 1"),
        (changed(W_1=np.zeros((6, 6), dtype=int)), "expected a real matrix W_1"),
        (changed(W_1=np.zeros((6, 6), dtype=complex)), "expected a real matrix W_1"),
        (changed(W_1=np.zeros((6, 6, 1))), "expected a real matrix W_1"),
        (changed(H_1=np.zeros(6)), "expected a real matrix H_1"),
        (changed(W_2=np.zeros((1, 6))), "expected at least 2 classes, got 1"),
        (changed(W_2=np.zeros((0, 6))), "expected"),
        (changed(W_1=np.full((6, 6), np.nan)), "expected finite parameters, got 36 that are NaN or infinite"),
        (changed(H_1=np.where(np.arange(8) == 3, np.inf, draw()["H_1"])), "expected finite parameters, got 6"),
        ({}, "expected an array H_1"),
    ],
)
def test_arrays_that_make_no_model_are_refused(tmp_path: Path, arrays: Arrays, words: str) -> None:
    with pytest.raises(InputError) as refusal:
        import_weights(write(tmp_path / "weights.npz", arrays), DECAY)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_features_of_another_name_than_said_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected 'feats' in weights\.npz, got H_1, W_1, W_2"):
        import_weights(write(tmp_path / "weights.npz", draw()), DECAY, layout=WeightsLayout(features="feats"))


@pytest.mark.parametrize("decay", [0.0, -1e-2, float("nan"), (1e-2, 1e-2)])
def test_decays_that_fit_no_model_are_refused(tmp_path: Path, decay: float | tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="decay"):
        import_weights(write(tmp_path / "weights.npz", draw()), decay)


class Creates:
    """Creates a file when it is unpickled, as a poisoned checkpoint would run anything."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("form", ["pt", "legacy", "inside", "object array", "safetensors", "npz"])
def test_nothing_in_a_file_runs(tmp_path: Path, form: str) -> None:
    marker = tmp_path / "marker"
    poison = Creates(marker)
    copy.copy(poison)  # the poison works: copying goes by the same door as unpickling
    assert marker.is_dir()
    marker.rmdir()
    path = tmp_path / "weights.pt"
    match form:
        case "pt":
            torch.save(poison, path)
        case "legacy":
            torch.save(poison, path, _use_new_zipfile_serialization=False)
        case "inside":
            torch.save({"H_1": torch.zeros(6, 8), "W_1": poison}, path)
        case "object array":
            path = tmp_path / "weights.npz"
            np.savez(path, **draw(), trap=np.array([poison], dtype=object))
        case "safetensors" | "npz":
            torch.save(poison, path)
            path = path.rename(tmp_path / f"weights.{form}")
    with pytest.raises(InputError, match=r"refused|damaged or foreign"):
        import_weights(path, DECAY)
    assert not marker.exists()


def test_a_whole_module_is_refused_and_says_why(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(
        InputError,
        match=r"more than tensors \(torch.*Linear\), and reading that could run code: save",
    ):
        read_arrays(tmp_path / "model.pt")


@pytest.mark.parametrize("content", [7, [torch.zeros(2)], {"a": 1}, {"state_dict": {"a": "b"}}])
def test_a_checkpoint_of_other_things_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(InputError, match="expected a dictionary of tensors"):
        read_arrays(tmp_path / "other.pt")


@pytest.mark.parametrize("name", ["weights.txt", "weights", "weights.onnx", "weights.pkl"])
def test_other_suffixes_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"data")
    with pytest.raises(InputError, match=r"expected a \.safetensors, \.npz, \.npy, \.pt, \.pth, \.ckpt or \.bin file"):
        read_arrays(tmp_path / name)


@pytest.mark.parametrize("form", [".safetensors", ".npz", "compressed.npz", ".pt", "legacy.pth"])
def test_damage_anywhere_is_bad_input_and_nothing_else(tmp_path: Path, form: str) -> None:
    """Cuts a file everywhere it matters and changes bytes; what is read all the same has passed every check of the format."""
    path = tmp_path / f"weights{form}"
    if form.startswith("compressed"):
        np.savez_compressed(path, **draw())
    elif form.startswith("legacy"):
        torch.save({name: torch.from_numpy(array) for name, array in draw().items()}, path, _use_new_zipfile_serialization=False)
    else:
        write(path, draw())
    whole, dice, refused = path.read_bytes(), random.Random(0), 0
    cuts = [whole[: dice.randrange(len(whole))] for _ in range(40)] + [b"", whole[:1], whole[:-1]]
    flips = []
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(dice.choice([1, 4])):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        flips.append(bytes(damaged))
    for content in cuts + flips:
        path.write_bytes(content)
        with contextlib.suppress(InputError):
            import_weights(path, DECAY)
            continue
        refused += 1
    assert refused >= len(cuts), "a file that was cut was read"


# ------------------------------------------------------------------------------------------------------ what is guessed


def settled(samples: int = 2) -> Arrays:
    """A critical point of 3 classes and width 6: orthonormal columns at one scale, so that a wrong reading is far from critical."""
    problem = Problem.balanced(classes=3, samples=samples, width=3 * samples, depth=2, decay=DECAY)
    return {name: factor.numpy() for name, factor in place(problem, Collapse()).factors().items()}


@pytest.mark.parametrize("turned", [False, True])
def test_where_both_orientations_fit_the_gradient_decides(tmp_path: Path, turned: bool) -> None:
    arrays = settled()
    stored = arrays | {"H_1": arrays["H_1"].T if turned else arrays["H_1"]}
    read = read_weights(write(tmp_path / "weights.npz", stored), DECAY)
    assert read.transposed is turned
    assert read.point.gradient_norm < 1e-12
    assert same_bits(read.point.theta, list(arrays.values()))
    kept, other = read.gradient_norms[::-1] if turned else read.gradient_norms
    assert kept < 1e-12 < 1e-2 < other
    assert ("samples x width" if turned else "width x samples") in dict(read.rows())["features"]
    forced = read_weights(tmp_path / "weights.npz", DECAY, layout=WeightsLayout(transpose=not turned))
    assert forced.point.gradient_norm == pytest.approx(other, rel=1e-12)
    assert forced.gradient_norms == ()


def test_where_the_gradient_does_not_decide_the_features_stay_and_that_is_said(tmp_path: Path) -> None:
    read = read_weights(write(tmp_path / "weights.npz", draw(classes=3, samples=6, width=6)), DECAY)
    assert not read.transposed
    assert "as good, say which with --transpose or --no-transpose" in str(read)


def test_labels_in_the_file_are_found_and_that_is_said(tmp_path: Path) -> None:
    arrays = draw()
    path = write(tmp_path / "weights.npz", arrays | {"y": LABELS, "epoch": np.array(3)})
    read = read_weights(path, DECAY)
    assert (read.labels, read.labels_found, read.unused) == ("y", True, ("epoch",))
    assert read.point.loss == pytest.approx(numpy_loss(arrays, LABELS), rel=1e-14)
    assert "labels y found in the file" in str(read)
    assert read_weights(path, DECAY, layout=WeightsLayout(class_sizes=(2, 2, 2, 2))).labels is None


def test_two_arrays_that_could_be_labels_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "weights.npz", draw() | {"first": LABELS, "second": LABELS[::-1].copy()})
    with pytest.raises(InputError, match=r"expected one array of labels in weights\.npz, got first, second: say which with"):
        import_weights(path, DECAY)
    path = write(tmp_path / "weights.npz", draw() | {"index": LABELS[::-1].copy(), "targets": LABELS})
    assert read_weights(path, DECAY).labels == "targets"


@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_a_loss_above_chance_asks_for_labels_and_orientation(tmp_path: Path, loss: LossName) -> None:
    problem = Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=DECAY, loss=loss)
    arrays = {name: factor.numpy() for name, factor in place(problem, Collapse()).factors().items()}
    right = read_weights(write(tmp_path / "weights.npz", arrays), DECAY, loss)
    assert not right.above_chance
    assert right.chance == pytest.approx(np.log(4) if loss == "ce" else 0.5, rel=1e-14)
    wrong = read_weights(write(tmp_path / "wrong.npz", arrays | {"y": np.tile(np.arange(4), 2)[::-1].copy()}), DECAY, loss)
    assert wrong.above_chance
    assert "loss above chance: wrong labels or orientation?" in dict(wrong.rows())["fit"]
    assert "weight_decay of torch.optim.SGD" in dict(wrong.rows())["loss is"]


def test_the_decay_is_the_weight_decay_of_sgd(tmp_path: Path) -> None:
    """One step of torch.optim.SGD with weight decay moves the weights by the gradient of the imported point."""
    arrays = draw()
    point = import_weights(write(tmp_path / "weights.npz", arrays), DECAY)
    factors = [torch.from_numpy(array).clone().requires_grad_() for array in arrays.values()]
    sgd = torch.optim.SGD(factors, lr=1.0, weight_decay=DECAY)
    nn.functional.cross_entropy((factors[2] @ factors[1] @ factors[0]).T, torch.arange(4).repeat_interleave(2)).backward()
    sgd.step()
    moved = torch.cat([(torch.from_numpy(a) - f.detach()).flatten() for a, f in zip(arrays.values(), factors, strict=True)])
    assert float(moved.norm()) == pytest.approx(point.gradient_norm, rel=1e-12)
