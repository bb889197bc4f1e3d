"""Hessian spectra of the critical points that two trained heads lead to, every eigenvalue with its multiplicity and its origin."""

import numpy as np
import torch
from matplotlib.figure import Figure

from figures import DATA
from figures.figure_heads import name_of
from landscape.degeneracy.analysis import analyse
from landscape.degeneracy.report import DegeneracyReport
from landscape.model.logit_form import LogitForm
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.plot.spectrum import plot_spectra
from landscape.plot.theme import PAGE_WIDTH
from landscape.structures.names import in_words
from landscape.studies.heads.tables import HeadEnd
from landscape.studies.tables import read_table

SETTINGS = ((2, 1e-3), (3, 5e-3))
WIDTH, SAMPLES = 64, 50
_ZERO = 1e-9  # of the largest singular value of the logits


def load() -> dict[str, DegeneracyReport]:
    """Returns the reports of the ends of the first MLP on Fashion-MNIST, from the exact reduction of their logits."""
    rows = read_table(DATA / "real-networks-ends.csv", HeadEnd)
    found = {}
    for depth, decay in SETTINGS:
        logits = np.zeros((10, 10))
        for row in rows:
            if row.run == name_of(depth, decay):
                logits[row.row, row.column] = row.logit
        problem = Problem.balanced(10, SAMPLES, WIDTH, depth, (decay / SAMPLES, *(decay,) * depth))
        left, singular, right = torch.linalg.svd(torch.from_numpy(logits) * SAMPLES**0.5)
        rank = int((singular > _ZERO * singular[0]).sum())
        found[f"L = {depth}"] = analyse(Core.from_form(problem, LogitForm(left[:, :rank], singular[:rank], right[:rank].mT)))
    return found


def draw(data: dict[str, DegeneracyReport]) -> Figure:
    """Draws one panel per head on the same scales; the legend of the origins stands below both."""
    titled = {f"{name}: {in_words(report.kind)}, rank {report.rank}": report for name, report in data.items()}
    figure = plot_spectra(titled, width=PAGE_WIDTH, height=2.75)[0].figure
    assert isinstance(figure, Figure)
    return figure
