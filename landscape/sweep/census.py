"""Which jobs of a grid have a record, in some twenty bytes a job, so that the memory of a driver hardly grows with its grid.

The digests of all jobs stand in 256 rows of bytes, one for each folder of records. Only the row of the folder that is looked at is
a table. Jobs are made again from the grid, at their place in it.
"""

from collections.abc import Iterator

from landscape.archive.experiment import Experiment
from landscape.sweep.grid import Grid
from landscape.sweep.planner import estimate

_LENGTH = 32  # bytes of a digest
_HEAD = 16  # bytes of a digest that are kept beside the first, which names the folder: two jobs are alike once in 1e40
_PLACE = 4  # bytes of a place in the grid
_ENTRY = _HEAD + _PLACE


class Census:
    """The jobs of a grid, each once, and which of them have no record as far as is known.

    Digests are best asked for in the order of their folders.

    Args:
        grid: Where the jobs come from, the same and in the same order each time.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._rows = [bytearray() for _ in range(256)]
        place = 0
        for job, seeds in grid.families():
            for digest in job.digests(seeds) if seeds else (job.digest,):
                name = bytes.fromhex(digest)
                self._rows[name[0]] += name[1 : 1 + _HEAD] + place.to_bytes(_PLACE, "big")
                place += 1
        self._missing = bytearray(place)
        self._looked_at, self._table = -1, dict[bytes, int]()
        self.jobs = 0
        for folder in range(256):
            table = self._table_of(folder)
            self.jobs += len(table)
            for first in table.values():
                self._missing[first] = 1

    def _table_of(self, folder: int) -> dict[bytes, int]:
        """Returns the places of the jobs of a folder; of one that the grid has more than once the first."""
        if folder != self._looked_at:
            row = bytes(self._rows[folder])
            backwards = range(len(row) - _ENTRY, -1, -_ENTRY)
            self._table = {row[at : at + _HEAD]: int.from_bytes(row[at + _HEAD : at + _ENTRY], "big") for at in backwards}
            self._looked_at = folder
        return self._table

    def _place(self, digest: str) -> int | None:
        try:
            name = bytes.fromhex(digest)
        except ValueError:
            return None
        return self._table_of(name[0]).get(name[1 : 1 + _HEAD]) if len(name) == _LENGTH else None

    def __contains__(self, digest: object) -> bool:
        return isinstance(digest, str) and self._place(digest) is not None

    def lacks(self, digest: str) -> bool:
        """Whether this is a job of the grid that is not known to have a record."""
        place = self._place(digest)
        return place is not None and self._missing[place] == 1

    def find(self, digest: str) -> None:
        """Remembers that a job of the grid has a record."""
        place = self._place(digest)
        if place is not None:
            self._missing[place] = 0

    @property
    def missing(self) -> int:
        """Number of jobs that are not known to have a record."""
        return self._missing.count(1)

    def work(self) -> float:
        """Returns the seconds that the missing jobs are thought to take."""
        return sum(estimate(job) * self._missing.count(1, begin, end) for job, _, begin, end in self._spans())

    def missing_jobs(self) -> Iterator[Experiment]:
        """Yields the missing jobs, made as they are asked for."""
        for job, seeds, begin, end in self._spans():
            place = self._missing.find(1, begin, end)
            while place >= 0:
                yield job.with_seed(seeds[place - begin]) if seeds else job
                place = self._missing.find(1, place + 1, end)

    def _spans(self) -> Iterator[tuple[Experiment, tuple[int, ...], int, int]]:
        """Yields every family of jobs with its places."""
        begin = 0
        for job, seeds in self._grid.families():
            end = begin + max(len(seeds), 1)
            yield job, seeds, begin, end
            begin = end
