"""The words and rows of a report: what is said of a point, and what stands beside what."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landscape.archive.experiment import RANDOM
from landscape.archive.records import Archive, Record
from landscape.catalogue.row import AtlasRow
from landscape.degeneracy.report import DegeneracyReport
from landscape.errors import InputError
from landscape.model.dimensions import equal_classes
from landscape.plain_file import Damaged
from landscape.points.point import CriticalPoint, Outcome
from landscape.report.prediction import predicted
from landscape.seal import canonical_json
from landscape.studies.intervals import share_interval
from landscape.studies.old_prevalence import is_old, old_header

UNKNOWN, NONE = "undecided", "–"
_AGREE = 1e-9  # relative difference up to which two computed numbers are said to agree; they differ by rounding alone
FoundRow = tuple[str, CriticalPoint, DegeneracyReport]  # name of the file, its point, its report


@dataclass(frozen=True)
class TableCell:
    """A cell of a table, with the number by which its column is sorted.

    Attributes:
        text: Text that the cell shows.
        key: Number by which the column is sorted; None sorts by the text.
    """

    text: str
    key: float | int | None = None


@dataclass(frozen=True)
class TableRow:
    """A measured number beside a predicted one.

    Attributes:
        quantity: Name of the quantity.
        measured: Value by the first route.
        second: Value by the second route; a dash where it says nothing of the quantity.
        predicted: Value that theory predicts.
        source: Formula or theorem that the prediction comes from.
        agrees: Whether the first two of measured, second and predicted that are known agree; None where nothing can be compared.
        remark: Remark on how far apart the values are.
    """

    quantity: str
    measured: str
    second: str
    predicted: str
    source: str
    agrees: bool | None
    remark: str


def verdict_line(report: DegeneracyReport) -> str:
    """Returns what a point is, in a sentence or two."""
    if not report.resolved:
        return f"{report.structure}: nullity and index are not stated. {_sentence(report.reason)}"
    P, zeros = report.problem.parameters, report.nullity
    kind = f"a saddle with {_many(report.index, 'negative eigenvalue')}" if report.index else "a minimum"
    if not report.index and report.excess:
        kind = "a critical point without negative eigenvalues"
    rank = "" if report.rank is None else f" of rank {report.rank}"
    if report.excess == 0:
        turned = " and of equal classes" if equal_classes(report.problem) else ""
        cause = f"rotations of the hidden spaces{turned} explain all of them"
    elif report.excess is None:
        cause = "no symmetry was measured"
    else:
        cause = f"symmetries explain {report.orbit_dimension}, and {report.excess} have no symmetry"
    counts = f"Exactly {zeros} of the {P} eigenvalues of its Hessian are zero; {cause}."
    return f"{report.structure}: {kind}{rank}. {counts} Proved: {report.proved}."


def folder_verdict(found: Sequence[FoundRow], left_out: int) -> str:
    """Returns what a folder holds, in a sentence or two."""
    names = [report.structure for _, _, report in found]
    most = sorted(set(names), key=lambda name: (-names.count(name), name))
    listed = ", ".join(f"{name} {names.count(name)}" for name in most[:6]) + (", .." if len(most) > 6 else "")
    open_ = sum(not report.resolved for _, _, report in found)
    certain = "All counts are exact." if not open_ else f"{_many(open_, 'point')} without a stated count."
    lost = f" {_many(left_out, 'file')} left out." if left_out else ""
    return f"{_many(len(found), 'point')}: {listed}. {certain}{lost}"


def comparison(report: DegeneracyReport) -> list[TableRow]:
    """Returns the measured beside the predicted: symmetry's formula, Theorem 5, and theory's point of the same name."""
    second = report.second if report.second is not None and report.second.resolved else None
    twice = (second.count, second.negative) if second else (None, None)
    orbit, paper = report.orbit_formula, report.paper_dimension
    zeros = ("zero eigenvalues (nullity)", report.nullity, twice[0])
    formula, orbits = "L (d r - r (r+1)/2)", "the gauge orbit"
    if equal_classes(report.problem):
        formula, orbits = f"{formula} + pairs of unlike modes", "the orbit of gauge and equal classes"
    rows = [
        _counted(*zeros, orbit, f"{formula}, {orbits}"),
        *([] if paper is None else [_counted(*zeros, paper, "Theorem 5 of the paper")]),
        _counted("rank of the symmetry generators", report.orbit_dimension, None, orbit, formula),
    ]
    entry = predicted(report)
    if entry is None:
        return [*rows, _counted("negative eigenvalues (index)", report.index, twice[1], None, NONE)]
    source = f"theory of {entry.structure}"
    return [
        *rows,
        _counted("negative eigenvalues (index)", report.index, twice[1], entry.index, source),
        _counted("rank", report.rank, None, entry.rank, source),
        *(_computed(name, measured, theory, source) for name, measured, theory in _numbers(report, entry)),
    ]


def _numbers(report: DegeneracyReport, entry: AtlasRow) -> list[tuple[str, float | None, float | None]]:
    flat = report.flatness
    norms = (flat.spectral, flat.frobenius, flat.trace) if flat is not None else (None, None, None)
    return [
        ("loss", report.loss, entry.loss),
        ("smallest positive eigenvalue", report.smallest_positive, entry.smallest_positive),
        ("spectral norm", norms[0], entry.flatness.spectral),
        ("Frobenius norm", norms[1], entry.flatness.frobenius),
        ("trace", norms[2], entry.flatness.trace),
    ]


def _counted(quantity: str, measured: int | None, second: int | None, theory: int | None, source: str) -> TableRow:
    known = [value for value in (measured, second, theory) if value is not None]
    agrees = None if measured is None or len(known) < 2 else len(set(known)) == 1
    remark = NONE if agrees is None else "equal" if agrees else f"{max(known) - min(known)} apart"
    shown = UNKNOWN if measured is None else str(measured)
    return TableRow(quantity, shown, _or_dash(second), _or_dash(theory), source if theory is not None else NONE, agrees, remark)


def _computed(quantity: str, measured: float | None, theory: float | None, source: str) -> TableRow:
    if measured is None or theory is None:
        return TableRow(quantity, UNKNOWN if measured is None else f"{measured:.10g}", NONE, NONE, NONE, None, NONE)
    apart = abs(measured - theory) / max(abs(measured), abs(theory), 1e-300)
    remark = "equal" if apart == 0 else f"{apart:.0e} apart, relative"
    return TableRow(quantity, f"{measured:.10g}", NONE, f"{theory:.10g}", source, apart <= _AGREE, remark)


def provenance(point: CriticalPoint, name: str, digest: str) -> list[tuple[str, str]]:
    """Returns where a point came from, as name and value."""
    return [
        ("file", name),
        ("sha256", digest),
        *(row for row in point.rows() if row[0] != "array"),
        ("decays H_1, W_1 .. W_L", ", ".join(f"{decay!r}" for decay in point.problem.decays)),
    ]


def alternatives(name: str) -> list[str]:
    """Returns the commands that compute the numbers of a page again, the second one by another method."""
    quoted = shlex.quote(name)
    return [f"landscape degeneracy {quoted} --json", f"landscape degeneracy {quoted} --method deflated"]


HEADINGS = (
    "file", "structure", "rank", "loss", "nullity", "index", "orbit", "Theorem 5", "excess", "smallest positive", "gradient norm",
    "steps", "seed", "outcome", "counted by",
)  # fmt: skip


def point_cells(name: str, point: CriticalPoint, report: DegeneracyReport) -> list[TableCell]:
    """Returns the row of a point in the table of a folder, in the order of `HEADINGS`."""
    second = report.second
    methods = report.method + (f" and {second.method}" if second is not None and second.resolved else "")
    return [
        TableCell(name),
        TableCell(report.structure),
        _whole(report.rank),
        TableCell(f"{report.loss:.10f}", report.loss),
        _whole(report.nullity),
        _whole(report.index),
        _whole(report.orbit_dimension),
        _where_known(report.paper_dimension),
        _whole(report.excess),
        _real(report.smallest_positive),
        _real(report.gradient_norm),
        _whole(point.steps),
        _where_known(point.origin.seed),
        TableCell(point.outcome.name.lower()),
        TableCell(methods if report.resolved else report.reason),
    ]


def kind_headings(found: Sequence[FoundRow]) -> list[str]:
    """Returns the headings of the table of kinds; the model is one of them only if there are several."""
    model = ["model"] if _models(found) > 1 else []
    return ["structure", *model, "points", "share", "95 % interval", "rank", "loss", "nullity", "index", "Theorem 5", "excess"]


def kinds(found: Sequence[FoundRow], sampled: bool) -> list[list[TableCell]]:
    """Returns one row for each kind of point, the most frequent first, in the order of `kind_headings`.

    Points of one name, model and loss (to 1e-8) are one kind.

    Args:
        found: Points that are grouped.
        sampled: Whether they are random starts of one study, so that shares have an interval (Wilson's, 95 %; a start that did
            not converge may belong to any kind and widens it).
    """
    groups: dict[tuple[str, str, str], list[FoundRow]] = {}
    for each in found:
        report = each[2]
        groups.setdefault((report.structure, str(report.problem), f"{report.loss:.8f}"), []).append(each)
    total, lost = len(found), sum(point.outcome is not Outcome.CONVERGED for _, point, _ in found)
    rows = []
    for (name, model, _), members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        report, count = members[0][2], len(members)
        low, high = share_interval(count, total, min(lost, total - count))
        rows.append(
            [
                TableCell(name),
                *([TableCell(model)] if _models(found) > 1 else []),
                _whole(count),
                TableCell(f"{count / total:.3f}", count / total),
                TableCell(f"{low:.3f} to {high:.3f}" if sampled else NONE, low if sampled else None),
                _whole(report.rank),
                TableCell(f"{report.loss:.10f}", report.loss),
                *map(_whole, (report.nullity, report.index)),
                _where_known(report.paper_dimension),
                _whole(report.excess),
            ]
        )
    return rows


def sampled_rows(folder: Path) -> list[tuple[str, str]]:
    """Returns the settings of the experiment whose random starts an archive has, as name and value.

    Nothing if the folder is no archive, or has several experiments, or other starts.
    """
    found, versions = _sampled(folder)
    if found is None:
        return []
    problem = ", ".join(f"{name} {value}" for name, value in found["problem"].items())
    weights, features = found["scales"]
    starts = f"W_l ~ N(0, {weights}² / d), H_1 ~ N(0, {features}²)"
    return [("model", problem), ("starts", starts), ("method", found["method"]), ("versions", versions)]


def _sampled(folder: Path) -> tuple[dict[str, Any] | None, str]:
    """Returns problem, scales and method of the one experiment in a folder, and the versions that computed it."""
    if is_old(folder):
        header = old_header(folder) or {}
        try:
            scales = [header[f"{part}_scale"] for part in ("weight", "feature")]
            return {"problem": dict(header["problem"]), "scales": scales, "method": header["method"]}, _pairs(header["versions"])
        except (KeyError, TypeError, ValueError, AttributeError):
            return None, ""
    try:
        archive = Archive.existing(folder)
        records = [record for digest in archive.names() if (record := _sound(archive, digest))]
        jobs = {canonical_json({**record.job, "start": {**record.job["start"], "seed": 0}}) for record in records}
        job = records[0].job
        if len(jobs) > 1 or job["start"]["kind"] != RANDOM:
            return None, ""
        return {"problem": job["problem"], "scales": job["start"]["scales"], "method": _pairs(job["method"])}, _pairs(
            records[0].provenance["versions"]
        )
    except (InputError, IndexError, KeyError, TypeError, AttributeError):
        return None, ""


def _sound(archive: Archive, digest: str) -> Record | None:
    try:
        return archive.read(digest)
    except Damaged:
        return None  # the page says why the file is left out


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _models(found: Sequence[FoundRow]) -> int:
    return len({point.problem for _, point, _ in found})


def _whole(value: int | None) -> TableCell:
    return TableCell(UNKNOWN, -math.inf) if value is None else TableCell(str(value), value)


def _where_known(value: int | None) -> TableCell:
    return TableCell(NONE, -math.inf) if value is None else _whole(value)


def _real(value: float | None) -> TableCell:
    return TableCell(NONE, -math.inf) if value is None else TableCell(f"{value:.3e}", value)


def _or_dash(value: int | None) -> str:
    return NONE if value is None else str(value)


def _many(count: int | None, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
