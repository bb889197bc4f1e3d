"""What given features predict: class means of handwritten digits, as pixels, behind a random layer, and behind a trained one.

Needs scikit-learn, which has the digits (1797 of 8 x 8 pixels, 10 classes). Each Gram matrix of class means replaces that of the
features at the start, at the scale of the problem, as `landscape predict --swap features:FILE` does.
"""

import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from landscape.archive.experiment import UNSWAPPED
from landscape.model.problem import Problem
from landscape.studies.prediction.counts import predict
from landscape.studies.prediction.tables import FeatureRow
from landscape.studies.starts.swap import read_gram
from landscape.studies.tables import write_table

STARTS = 40
PROBLEM = Problem.balanced(classes=10, samples=1, width=60, depth=2, decay=2.0**-9)
HIDDEN = 128  # units of the random and of the trained layer
ROOT = Path(__file__).resolve().parent.parent


def backbones() -> dict[str, np.ndarray]:
    """Features of all digits, a row each, by what made them."""
    images, labels = load_digits(return_X_y=True)
    pixels = images / 16
    weights = np.random.default_rng(0).standard_normal((pixels.shape[1], HIDDEN)) / np.sqrt(pixels.shape[1])
    trained = MLPClassifier((HIDDEN,), random_state=0, max_iter=400).fit(pixels, labels)
    behind = np.maximum(pixels @ trained.coefs_[0] + trained.intercepts_[0], 0)
    return {"pixels": pixels, "random layer": np.maximum(pixels @ weights, 0), "trained layer": behind}


def class_means(features: np.ndarray, centred: bool) -> np.ndarray:
    """Features of class means, a column per class; centred: without their common mean."""
    _, labels = load_digits(return_X_y=True)
    means = np.stack([features[labels == label].mean(0) for label in range(10)], axis=1)
    return means - means.mean(1, keepdims=True) if centred else means


def row(name: str, swap: str | None, gram: np.ndarray, starts: int) -> FeatureRow:
    """Follows the starts of one Gram matrix."""
    law = predict(PROBLEM, starts, swap=swap)
    lengths = np.sqrt(np.diag(gram))
    cosines = (gram / np.outer(lengths, lengths))[np.triu_indices(len(gram), 1)]
    found, (low, high) = law.result.counts.get("DNC", 0), law.result.interval("DNC")
    least, most = (round(float(value), 3) for value in (cosines.min(), cosines.max()))
    said = FeatureRow(name, least, most, found, starts, low, high, law.undecided)
    print(said, flush=True)
    return said


def table(starts: int) -> list[FeatureRow]:
    """Every kind of features, beside random ones and orthogonal ones."""
    rows = [row(UNSWAPPED, None, np.eye(10), starts), row("orthogonal", "features:identity", np.eye(10), starts)]
    with tempfile.TemporaryDirectory() as folder:
        for name, features in backbones().items():
            for centred in (False, True):
                path = Path(folder) / f"{name.split()[0]}-{centred}.npy"
                np.save(path, class_means(features, centred))
                rows.append(row(f"{name}, centred" if centred else name, f"features:{path}", np.array(read_gram(path)), starts))
    return rows


if __name__ == "__main__":
    write_table(table(STARTS), ROOT / "figures" / "data" / "features.csv")
