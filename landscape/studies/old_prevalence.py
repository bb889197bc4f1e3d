"""Reads the folders that `landscape prevalence` wrote before records were sealed: for one more version, and without writing."""

import json
import logging
import os
from itertools import takewhile
from pathlib import Path
from typing import Any

from landscape.archive.experiment import Altered, Experiment, start_text
from landscape.errors import InputError
from landscape.plain_file import Damaged, read_ordinary
from landscape.studies.ends import EndPoint

_LONGEST = 10_000_000  # bytes of a file
_FORMAT = 1

log = logging.getLogger("landscape")
_said: set[str] = set()


def is_old(folder: Path) -> bool:
    """Whether a folder has the header of an old study and is no archive."""
    return (folder / "study.json").is_file() and not (folder / "sweep.json").exists()


def old_ends(folder: Path, experiment: Experiment, seeds: int) -> list[EndPoint]:
    """Returns the ends of the first seeds that the folder has without a gap.

    Says once in a process, on the log, that no checksum protects them.

    Args:
        folder: Folder of an old study.
        experiment: Whose ends they must be.
        seeds: The most that are wanted.

    Raises:
        InputError: If the folder is of another study, or a record of it is damaged.
    """
    header, mine = _object(folder / "study.json"), _old_form(experiment)
    for name, value in {"format": _FORMAT, **mine}.items():
        if header.get(name) != value:
            raise InputError(f"{folder} holds another study: {name} {header.get(name)!r}, not {value!r}: choose another --out")
    if not _said:
        _said.add("old")
        log.warning(
            f"landscape: {folder} is of an earlier version, whose records no checksum protects; it is read as it is, for this "
            "version only, and nothing is added to it. (Said once.)"
        )
    paths = [folder / "seeds" / f"seed-{seed:05d}.json" for seed in range(seeds)]
    return [_end(path, seed) for seed, path in enumerate(takewhile(os.path.lexists, paths))]


def old_header(folder: Path) -> dict[str, Any] | None:
    """Returns what the header of an old study says, or None if there is none that can be read."""
    try:
        return _object(folder / "study.json")
    except InputError:
        return None


def _old_form(experiment: Experiment) -> dict[str, Any]:
    """Returns the header of an experiment as old folders have it."""
    start = experiment.random
    assert start is not None
    form = {"problem": experiment.problem.as_dict(), "weight_scale": start.weight_scale, "feature_scale": start.feature_scale}
    altered = {"start": start_text(experiment.start)} if isinstance(experiment.start, Altered) else {}  # no old folder has such
    return dict(json.loads(json.dumps({**form, **altered, "method": repr(experiment.method)})))


def _end(path: Path, seed: int) -> EndPoint:
    fields = _object(path)
    try:
        if fields.get("seed") != seed:
            raise Damaged(f"it is the record of seed {fields.get('seed')!r:.20}")
        return EndPoint.of_result(seed, fields)
    except Damaged as error:
        raise InputError(f"damaged record {path}: {error}: choose another --out") from error


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(read_ordinary(path, _LONGEST, follow=False))
    except (Damaged, ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, Damaged) else "it is no JSON"
        raise InputError(f"cannot read {path}, of an earlier version: {reason}: choose another --out") from error
    if not isinstance(value, dict):
        raise InputError(f"cannot read {path}, of an earlier version: it is no JSON object: choose another --out")
    return value
