"""The records of a sweep as one table, and how often each structure was found by any column of it."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.store import replacing
from landscape.sweep.job import RANDOM
from landscape.sweep.records import Archive, Damaged, Record
from landscape.sweep.where import require_column

if TYPE_CHECKING:
    from pandas import DataFrame

TABLE = "results.parquet"
_TEXTS = (
    *("class_sizes", "decays", "loss_kind", "activation", "start", "root", "method", "analysis"),
    *("structure", "outcome", "digest"),
)
_WHOLES = (
    *("classes", "samples", "width", "depth", "parameters", "seed", "max_steps"),
    *("rank", "steps", "products", "index", "nullity", "orbit_dimension"),
)
_REALS = ("decay", "weight_scale", "feature_scale", "learning_rate", "handover", "loss", "gradient_norm")
_TIMES = ("seconds", "host", "finished")
COLUMNS = (
    *("classes", "samples", "class_sizes", "width", "depth", "decay", "decays", "loss_kind", "activation", "parameters"),
    *("start", "seed", "weight_scale", "feature_scale", "root", "method", "learning_rate", "max_steps", "handover", "analysis"),
    *("structure", "rank", "loss", "gradient_norm", "outcome", "steps", "products", "index", "nullity", "orbit_dimension"),
    "digest",
)


def read_results(folder: Path, provenance: bool = False) -> "tuple[DataFrame, dict[str, str]]":
    """Returns the table of all sound records, a row each in an order that depends on the jobs alone, and what the others are.

    Args:
        folder: Of the sweep.
        provenance: Also seconds, host and time, which differ from one sweep to the next.

    Raises:
        InputError: If it is not the folder of a sweep.
    """
    import pandas

    archive = Archive.existing(folder)
    rows, damaged = [], {}
    for digest in archive.names():
        try:
            rows.append(_row(archive.read(digest)))
        except (Damaged, KeyError, TypeError) as error:
            damaged[digest] = str(error)
    names = [*COLUMNS, *(_TIMES if provenance else ())]
    table = pandas.DataFrame(rows, columns=[*COLUMNS, *_TIMES])[names]
    kinds = {**dict.fromkeys(_TEXTS, "string"), **dict.fromkeys(_WHOLES, "Int64"), **dict.fromkeys(_REALS, "float64")}
    table = table.astype({name: kind for name, kind in kinds.items() if name in names})
    order = ["classes", "samples", "class_sizes", "width", "depth", "decay", "start", "seed", "digest"]
    return table.sort_values(order, ignore_index=True), damaged


def write_results(folder: Path) -> Path:
    """Writes the table of a sweep into its folder as Parquet, which `pandas.read_parquet` reads, and returns where.

    Raises:
        InputError: If it is not the folder of a sweep, or cannot be written to.
    """
    table, _ = read_results(folder)
    with replacing(folder / TABLE) as temporary:
        table.to_parquet(temporary, index=False)
    return folder / TABLE


def frequencies(table: "DataFrame", by: Sequence[str], structure: str | None = None) -> "DataFrame":
    """Returns how often random starts ended at each structure, or at one, in each group of rows, with Wilson's 95 % intervals.

    What did not converge widens the intervals, as in `prevalence`.

    Args:
        table: Of results.
        by: Columns whose values make the groups; none makes one group of all.
        structure: Name of the only structure that is asked for; it has a row in every group, found or not.

    Raises:
        InputError: If there is no such column.
    """
    import pandas

    from landscape.prevalence import share_interval

    for column in by:
        require_column(table, column)
    random = table[table["start"] == RANDOM]
    groups = random.groupby(list(by), dropna=False, sort=True) if by else [((), random)]
    rows = []
    for values, group in groups:
        converged = group[group["outcome"] == "CONVERGED"]
        found = Counter(converged["structure"])
        names = [structure] if structure else sorted(found, key=lambda name: (-found[name], name))
        lost = len(group) - len(converged)
        for name in names if len(group) else ():
            low, high = share_interval(found[name], lost, len(group))
            shown = {"structure": name, "count": found[name], "seeds": len(group), "not_converged": lost}
            share = {"share": found[name] / len(group), "low": low, "high": high}
            rows.append({**dict(zip(by, values, strict=True)), **shown, **share})
    return pandas.DataFrame(rows, columns=[*by, "structure", "count", "seeds", "not_converged", "share", "low", "high"])


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


def _row(record: Record) -> dict[str, Any]:
    problem, start, method = (record.job[part] for part in ("problem", "start", "method"))
    sizes, decay = problem["class_sizes"], problem["decay"]
    each = decay if isinstance(decay, list) else [decay]
    scales = start.get("scales") or [None, None]
    result = {name: record.result[name] for name in ("structure", "rank", "loss", "gradient_norm", "outcome", "steps", "products")}
    result |= {name: record.result[name] for name in ("index", "nullity", "orbit_dimension")}
    return {
        "classes": len(sizes),
        "samples": sum(sizes),
        "class_sizes": ",".join(map(str, sizes)),
        "width": problem["width"],
        "depth": problem["depth"],
        "decay": each[0] if len(each) == 1 else _geometric_mean(each),
        "decays": ",".join(f"{value:.17g}" for value in each),
        "loss_kind": problem["loss"],
        "activation": problem["activation"],
        "parameters": problem["width"] * (sum(sizes) + (problem["depth"] - 1) * problem["width"] + len(sizes)),
        "start": start["kind"],
        "seed": start.get("seed"),
        "weight_scale": scales[0],
        "feature_scale": scales[1],
        "root": start.get("root"),
        "method": method.get("name"),
        **{name: method.get(name) for name in ("learning_rate", "max_steps", "handover")},
        "analysis": record.job["analysis"]["method"],
        **result,
        "digest": record.digest,
        **{name: record.provenance.get(name) for name in _TIMES},
    }


def _geometric_mean(values: list[float]) -> float:
    return math.exp(math.fsum(map(math.log, values)) / len(values))
