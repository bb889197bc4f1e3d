"""Prediction beside observation: every explanation of P(DNC) for the settings of Fig. 2, and the starts of the paper's setting."""

from pathlib import Path

from landscape.archive.experiment import Experiment
from landscape.model.problem import Problem
from landscape.paper.explanations import alignments, evidence
from landscape.studies.prevalence import measure_prevalence
from landscape.studies.tables import PrevalenceRow, read_table, write_table

SEEDS = 100  # of the paper's setting, for the alignment of single starts
PAPER = Experiment(Problem.balanced(classes=10, samples=5, width=70, depth=2, decay=2.0**-10))
DATA = Path(__file__).resolve().parent.parent / "figures" / "data"

if __name__ == "__main__":
    write_table(evidence(read_table(DATA / "figure2.csv", PrevalenceRow)), DATA / "explanations.csv")
    result = measure_prevalence(PAPER, SEEDS, keep_points=False)
    write_table(alignments(PAPER, {end.seed: end.structure for end in result.ends}), DATA / "starts.csv")
