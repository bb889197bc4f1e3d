"""What the model predicts for the networks of real_networks.py from their own features: the share of every structure by width.

The features' class means of a network before training replace those of random starts, at their own scale, and the head is drawn at
the scale of the network's. Beside them the same starts with random features. Two layers; 8 heads for each of five networks.
"""

import argparse
import math
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from real_networks import DATA, Run, images_of, network

from landscape.archive.experiment import UNSWAPPED, Experiment
from landscape.model.problem import Problem
from landscape.solver.methods import Random
from landscape.studies.heads.images import Images
from landscape.studies.heads.tables import HeadFeatures, HeadPrediction
from landscape.studies.intervals import share_interval
from landscape.studies.prediction.counts import DEFAULT_GROUPS
from landscape.studies.prevalence import measure_prevalence
from landscape.studies.starts.swap import altered
from landscape.studies.tables import write_table

NETWORKS, HEADS = 5, 8
WIDTHS = (16, 64, 200, 800)
SHALLOW = Run(depth=2, decay=1e-3)


def settings() -> list[Run]:
    """Returns the settings: every width as trained, and a start of small features below a large head."""
    found = []
    for data in ("fashion", "mnist"):
        found += [replace(SHALLOW, data=data, width=width) for width in WIDTHS]
        found.append(replace(SHALLOW, data=data, width=200, feature_init=0.1, head_init=6.0))
    return found


def class_means(run: Run, images: Images) -> np.ndarray:
    """Returns the class means of the features before training, a column per class."""
    net, head = network(run, images.pixels.shape[-1])
    with torch.no_grad():
        features = net[: int(head[0])](images.pixels).double()
    return np.stack([features[images.labels == label].mean(0).numpy() for label in range(10)], axis=1)


def counted(run: Run, images: Images, own: bool, folder: Path) -> Counter[str]:
    """Returns where the starts of one network end: with its own features, or with random ones of their size."""
    means = class_means(run, images)
    path = folder / "features.npy"
    np.save(path, means)
    scales = run.head_init / math.sqrt(3), float(np.sqrt((means**2).mean()))  # nn.Linear draws uniformly within 1 / sqrt(d)
    problem = Problem.balanced(10, 1, run.width, run.depth, run.decay)
    groups = DEFAULT_GROUPS if run.width >= problem.classes + problem.total_samples else None
    start = altered(Random(weight_scale=scales[0], feature_scale=scales[1]), f"features:{path}" if own else None, groups)
    return Counter(measure_prevalence(Experiment(problem, start), HEADS, keep_points=False).counts)


def rows(run: Run, images: Images, own: bool) -> list[HeadPrediction]:
    """Returns a row for each structure that is found, and one for DNC in any case."""
    found = Counter({"DNC": 0})  # update keeps a zero, a sum would not
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(NETWORKS):
            found.update(counted(replace(run, seed=seed), images, own, Path(folder)))
    starts, features = NETWORKS * HEADS, "own" if own else UNSWAPPED
    setting = (run.data, run.width, run.feature_init, run.head_init, features)
    said = [HeadPrediction(*setting, name, count, starts, *share_interval(count, starts)) for name, count in found.items()]
    print(*setting, dict(found), flush=True)
    return said


def alike(run: Run, images: Images) -> HeadFeatures:
    """Returns how alike the class means of an untrained network are."""
    means = class_means(run, images)
    unit = means / np.linalg.norm(means, axis=0)
    cosines = (unit.T @ unit)[np.triu_indices(10, 1)]
    rest = means - means.mean(1, keepdims=True)
    values = np.linalg.svd(rest, compute_uv=False) ** 2
    common = 1 - float((rest**2).sum() / (means**2).sum())
    three = float(values[:3].sum() / values.sum())
    return HeadFeatures(run.data, run.width, run.seed, float(cosines.min()), float(cosines.max()), common, three)


def main() -> None:
    """Writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", help="Folder of Fashion-MNIST, if the Debian package is unpacked elsewhere.")
    given = parser.parse_args()
    table: list[HeadPrediction] = []
    images = {data: images_of(data, given.images) for data in ("fashion", "mnist")}
    usual = [replace(run, seed=seed) for run in settings() if run.head_init == 1 for seed in range(NETWORKS)]
    write_table([alike(run, images[run.data]) for run in usual], DATA / "real-networks-features.csv")
    for run in settings():
        for own in (True, False):
            table += rows(run, images[run.data], own)
            write_table(table, DATA / "real-networks-predictions.csv")


if __name__ == "__main__":
    main()
