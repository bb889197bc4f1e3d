"""Degeneracy, atlas and phase at every offset from every fold and threshold, against 110 digits: some minutes, one line of a table.

The comparison is that of tests/catalogue/test_agreement.py, which takes a tenth of the places.

    python scripts/agreement.py
"""

import csv
import sys
import time
from pathlib import Path

import mpmath

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from landscape.atomic_files import atomic_write
from tests.catalogue.test_agreement import check, every_place

TABLE = Path(__file__).resolve().parent.parent / "figures" / "data" / "agreement.csv"


def main() -> None:
    """Walks all places and writes how many disagree, and how many answers are undecided although the point exists."""
    places, disagreements, undecided, began = every_place(), 0, 0, time.process_time()
    with mpmath.workdps(110):
        for number, place in enumerate(places, 1):
            try:
                undecided += check(*place)
            except AssertionError as error:
                disagreements += 1
                print(error, flush=True)
            if number % 50 == 0:
                print(f"{number}/{len(places)}  {time.process_time() - began:.0f} s", flush=True)
    with atomic_write(TABLE) as temporary, temporary.open("w", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["places", "disagreements", "undecided", "cpu_seconds"])
        writer.writerow([len(places), disagreements, undecided, round(time.process_time() - began)])


if __name__ == "__main__":
    main()
