"""Fig. 5 of the paper: the rank of what descent finds, against the width and against the decay; the studies of Fig. 2."""

from pathlib import Path

from figure2 import GRID, ROOT, SEEDS

from landscape.studies.tables import survey, write_table

FOLDER, DATA = ROOT / "build" / "prevalence", Path(ROOT / "figures" / "data")

if __name__ == "__main__":
    table = survey(GRID, SEEDS, FOLDER)  # nothing is computed twice
    write_table(table, DATA / "figure5.csv")
