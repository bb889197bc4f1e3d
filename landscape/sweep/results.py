"""The records of a sweep as one table, and how often each structure was found by any column of it."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.archive.experiment import RANDOM, UNSWAPPED
from landscape.archive.records import Archive, Failure
from landscape.atomic_files import atomic_write
from landscape.errors import InputError
from landscape.plain_file import Damaged
from landscape.seal import digest_of
from landscape.structures.old_names import current_name
from landscape.sweep.filter import require_column

if TYPE_CHECKING:
    from pandas import DataFrame

TABLE = "results.parquet"
FAILED = "FAILED"  # the outcome of a job that has no record but the reason why
_SETTINGS = (
    *("classes", "total_samples", "class_sizes", "width", "depth", "decay", "decays", "loss_kind", "activation", "parameters"),
    *("start", "seed", "weight_scale", "feature_scale", "root", "swap", "groups", "method"),
    *("learning_rate", "max_steps", "handover", "analysis"),
)
_RESULT = ("structure", "rank", "loss", "gradient_norm", "outcome", "steps", "products", "index", "nullity", "orbit_dimension")
COLUMNS = (*_SETTINGS, *_RESULT, "singular", "statement", "file", "digest")
_TIMES = ("seconds", "host", "finished")
_TEXTS = {
    *("class_sizes", "decays", "loss_kind", "activation", "start", "root", "swap", "method", "analysis", "structure", "outcome"),
    *("singular", "statement", "file", "digest", "host", "finished"),
}
_DIFFERENT = {"singular", "digest"}  # texts of every row; of the others one is held for all rows that have it
_REALS = {"decay", "weight_scale", "feature_scale", "learning_rate", "handover", "loss", "gradient_norm", "seconds"}
_MARKS = ("structure", "rank", "loss", "singular")  # what tells one structure from another
_LARGEST = 2**63  # what a column of whole numbers holds is smaller
_UNKNOWN = {  # may be
    *("seed", "weight_scale", "feature_scale", "root", "swap", "groups", "method", "learning_rate", "max_steps", "handover"),
    *("loss", "gradient_norm", "index", "nullity", "orbit_dimension", "statement", "file", *_TIMES),
}


def read_results(folder: Path | str, provenance: bool = False, failures: bool = False) -> "tuple[DataFrame, dict[str, str]]":
    r"""Returns the table of all sound records, a row each in an order that depends on the jobs alone, and what the others are.

    Example:
        >>> import landscape as ls
        >>> import tempfile
        >>> from pathlib import Path
        >>> text = "problem = { classes = 3, samples = 1, width = [4, 5], depth = 2, decay = 0.02 }\nengine = { workers = 0 }"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "grid.toml").write_text(text)
        ...     grid = ls.read_grid(Path(folder, "grid.toml"))
        ...     _ = ls.run_sweep(grid, Path(folder, "sweep"))
        ...     table, damaged = ls.read_results(f"{folder}/sweep")
        >>> table[["width", "structure"]].values.tolist(), damaged
        ([[4, 'DNC'], [5, 'DNC']], {})

    Args:
        folder: Folder of the sweep.
        provenance: Whether the table also has seconds, host and time, which differ from one sweep to the next.
        failures: Whether the table also has jobs that are known to have failed: their outcome is `FAILED`, and nothing else is
            known of their end.

    Raises:
        InputError: If it is not the folder of a sweep.
    """
    import pandas

    archive = Archive.existing(Path(folder))
    names = [*COLUMNS, *(_TIMES if provenance else ())]
    columns: dict[str, list[Any]] = {name: [] for name in names}
    texts, damaged = dict[Any, Any](), {}
    for digest, read in _readers(archive, failures):
        try:
            row = _checked(read())
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
            damaged[digest] = str(error) if isinstance(error, Damaged) else f"it is not what a job gives: {error}"
            continue
        for name, values in columns.items():
            value = row.get(name)
            values.append(texts.setdefault(value, value) if name in _TEXTS - _DIFFERENT else value)
    kinds = {name: "string" if name in _TEXTS else "float64" if name in _REALS else "Int64" for name in names}
    table = pandas.DataFrame({name: pandas.Series(columns.pop(name), dtype=kinds[name]) for name in names})
    order = ["classes", "total_samples", "class_sizes", "width", "depth", "decay", "start", "seed", "digest"]
    return table.sort_values(order, ignore_index=True), damaged


def write_results(folder: Path) -> Path:
    """Writes the table of a sweep into its folder as Parquet, which `pandas.read_parquet` reads, and returns where.

    Raises:
        InputError: If it is not the folder of a sweep, or cannot be written to.
    """
    table, _ = read_results(folder)
    with atomic_write(folder / TABLE) as temporary:
        table.to_parquet(temporary, index=False)
    return folder / TABLE


def frequencies(table: "DataFrame", by: Sequence[str], structure: str | None = None) -> "DataFrame":
    """Returns how often random starts ended at each structure, or at one, in each group of rows, with Wilson's 95 % intervals.

    What failed or did not converge widens the intervals, as in `prevalence`, and unnamed structures are told apart as there. A
    descent that was analysed twice counts once. A group where nothing was found has a row without a structure.

    Args:
        table: Table of `read_results`, with its failures.
        by: Settings of the jobs whose values make the groups; none makes one group of all.
        structure: Name of the only structure that is asked for; it has a row in every group, found or not.

    Raises:
        InputError: If there is no such setting, or one twice.
    """
    import pandas

    from landscape.studies.intervals import share_interval

    if not set(by) <= set(_SETTINGS) or len(set(by)) < len(by):
        raise InputError(f"expected a column among {', '.join(_SETTINGS)}, each once, to count by, got {','.join(by)!r}")
    random = table[table["start"] == RANDOM]
    known_first = random.sort_values("outcome", key=lambda outcome: outcome == FAILED, kind="stable")
    once = known_first.drop_duplicates([name for name in _SETTINGS if name != "analysis" or name in by])
    number = once.groupby(list(by), dropna=False).ngroup() if by else [0] * len(once)
    groups: dict[int, list[tuple[Any, ...]]] = {}  # plain rows: pandas takes milliseconds to make a table of each group
    for place, *row in zip(number, *(once[name] for name in (*by, "outcome", *_MARKS)), strict=True):
        groups.setdefault(place, []).append(tuple(row))
    rows = []
    for _, group in sorted(groups.items()):
        ends = [row[-len(_MARKS) :] for row in group if row[len(by)] == "CONVERGED"]
        labels = _labels(ends)
        found = Counter(labels)
        if structure:  # an unnamed rank without its loss is all of that rank
            names = [structure]
            found[structure] = sum(structure in (label, name) for label, (name, *_) in zip(labels, ends, strict=True))
        else:
            names = sorted(found, key=lambda name: (-found[name], name)) or [""]
        lost = len(group) - len(ends)
        for name in names:
            low, high = share_interval(found[name], len(group), lost)
            shown = {"structure": name or None, "count": found[name], "seeds": len(group), "not_converged": lost}
            share = {"share": found[name] / len(group), "low": low, "high": high}
            rows.append({**dict(zip(by, group[0], strict=False)), **shown, **share})
    return pandas.DataFrame(rows, columns=[*by, "structure", "count", "seeds", "not_converged", "share", "low", "high"])


def _labels(ends: list[tuple[Any, ...]]) -> list[str]:
    from landscape.structures.fingerprint import Fingerprint, label_unnamed
    from landscape.structures.names import known_name

    marked = []
    for name, rank, loss, singular in ends:
        values = tuple(float(value) for value in singular.split(",") if value)
        marked.append((known_name(name), name, Fingerprint(int(rank), math.inf if math.isnan(loss) else loss, values)))
    return label_unnamed(marked)


def sorted_by(table: "DataFrame", columns: Sequence[str]) -> "DataFrame":
    """Returns the rows by these columns, from small to large; a minus before a name turns it round.

    Raises:
        InputError: If there is no such column.
    """
    names = [column.removeprefix("-") for column in columns]
    for name in names:
        require_column(table, name)
    ascending = [not column.startswith("-") for column in columns]
    return table.sort_values(names, ascending=ascending, kind="stable", ignore_index=True) if names else table


def _readers(archive: Archive, failures: bool) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yields the digest of every row and what reads it, or says that it cannot be read."""
    for digest in archive.names():
        yield digest, partial(_row, archive, digest)
    for failure in archive.failures() if failures else ():
        yield repr(failure.digest), partial(_failed_row, failure)


def _row(archive: Archive, digest: str) -> dict[str, Any]:
    record = archive.read(digest)
    result = {name: record.result[name] for name in _RESULT}
    result["structure"] = current_name(str(result["structure"]))
    times = {name: record.provenance.get(name) for name in _TIMES}
    singular = ",".join(f"{value:.17g}" for value in record.result["singular"])
    origin = {"statement": record.result.get("statement"), "file": record.provenance.get("file")}
    return {**_settings(record.job), **result, "singular": singular, **origin, "digest": digest, **times}


def _failed_row(failure: Failure) -> dict[str, Any]:
    if failure.digest != digest_of(failure.job):
        raise Damaged("it is the failure of another job")
    return {**_settings(failure.job), "outcome": FAILED, "digest": failure.digest}


def _settings(job: dict[str, Any]) -> dict[str, Any]:
    problem, start, method = (job[part] for part in ("problem", "start", "method"))
    sizes, decay = problem["class_sizes"], problem["decay"]
    each = decay if isinstance(decay, list) else [decay]
    scales = start.get("scales") or [None, None]
    return {
        "classes": len(sizes),
        "total_samples": sum(sizes),
        "class_sizes": ",".join(map(str, sizes)),
        "width": problem["width"],
        "depth": problem["depth"],
        "decay": each[0] if len(each) == 1 else _geometric_mean(each),
        "decays": ",".join(f"{value:.17g}" for value in each),
        "loss_kind": problem["loss"],
        "activation": problem["activation"],
        "parameters": problem["width"] * (sum(sizes) + (problem["depth"] - 1) * problem["width"] + len(sizes)),
        "start": RANDOM if _is_altered(start) else start["kind"],
        "seed": start.get("seed"),
        "weight_scale": scales[0],
        "feature_scale": scales[1],
        "root": start.get("root"),
        "swap": _swap(start),
        "groups": start.get("groups"),
        "method": method.get("name"),
        **{name: method.get(name) for name in ("learning_rate", "max_steps", "handover")},
        "analysis": job["analysis"]["method"],
    }


def _is_altered(start: dict[str, Any]) -> bool:
    return "swap" in start or "groups" in start


def _swap(start: dict[str, Any]) -> str | None:
    """Returns what was replaced in a start; of given features the first digits of their digest, since files may move."""
    if "swap" not in start:
        return UNSWAPPED if start["kind"] == RANDOM or _is_altered(start) else None
    return f"{start['swap']} {start['sha256'][:12]}" if "sha256" in start else str(start["swap"])


def _checked(row: dict[str, Any]) -> dict[str, Any]:
    """Returns a row whose values are of their columns' types: a seal says who wrote a record, not what is in it.

    Raises:
        ValueError: If one is not.
    """
    for name, value in row.items():
        if value is None:
            sound = name in _UNKNOWN
        elif name in _TEXTS:
            sound = isinstance(value, str) and value.isprintable()
        elif name in _REALS:
            sound = type(value) in (int, float) and math.isfinite(value)
        else:
            sound = type(value) is int and abs(value) < _LARGEST
        if not sound:
            raise ValueError(f"{name} is {value!r:.40}")
    return row


def _geometric_mean(values: list[float]) -> float:
    return math.exp(math.fsum(map(math.log, values)) / len(values))
