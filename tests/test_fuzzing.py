"""A small budget of changed files for every reader; 10 000 by `python -m tests.fuzzing 10000`."""

import random
from collections import Counter
from pathlib import Path

from tests.fuzzing import Reader, corpus, faults, tried


def test_right_files_are_read(tmp_path: Path) -> None:
    for reader in corpus(tmp_path).values():
        reader.read(reader.path)


def test_changed_files_are_read_or_refused() -> None:
    tally: Counter[tuple[str, str]] = Counter()
    assert list(faults(450, 1, tally)) == []
    refused = {kind for kind, ending in tally if ending == "refused"}
    assert {"grid", "point", "weights npz", "weights pt", "weights safetensors", "labels", "proof", "checkpoint"} <= refused


def test_the_sight_of_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("right")

    def careless(path: Path) -> None:
        if path.read_text(errors="replace") != "right":
            raise KeyError("width")

    fault, ending = tried(Reader(tmp_path / "file", careless), random.Random(0))
    assert ending == "FAULT"
    assert "KeyError: 'width'" in fault
    assert (tmp_path / "file").read_text() == "right"
