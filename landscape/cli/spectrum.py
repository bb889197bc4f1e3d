"""`landscape spectrum`: the eigenvalues with their multiplicities and origins, as a table and as a picture."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from landscape.atomic_files import PARTIAL
from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.applies import Needs
from landscape.cli.network_points import RunSourcesFlag, analysed_network, is_network_point
from landscape.cli.options import NO_PROBLEM, DeviceText, JsonFlag, PointFiles, ProblemOptions, RootText, StartText
from landscape.cli.output import PICTURES, TABLES, check_output, print_json, print_table, warn, write_table
from landscape.cli.pictures import DRAWN, PictureOptions
from landscape.cli.progress import progress
from landscape.cli.sources import analysed, check_source
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.degeneracy.report import DegeneracyReport
    from landscape.plot.spectrum_parts import Drawable

SpectrumChoice = Literal["auto", "reduction", "dense", "lowrank", "slq", "pyhessian"]
_DELIVERED = Needs(("--plot", "--out"))  # the rule of what only pictures and tables show
_ABREAST = 3  # spectra side by side; more of them are small multiples


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SpectraOptions(PictureOptions):
    """How several spectra share a picture.

    Attributes:
        label: Names of the points, in the order in which they are given.
        axis: Scale of the eigenvalues.
        arrange: Where the spectra stand to each other.
        order: Order of the points.
        signs: Whether colours stand for signs even where origins are known.
    """

    label: Annotated[
        list[str] | None, Parameter(negative="", help="Name of a point in picture and table; once for each point."), _DELIVERED
    ] = None
    axis: Annotated[
        Literal["symlog", "linear"], Parameter(help="Eigenvalues on a logarithm to both sides of zero, or as they are."), DRAWN
    ] = "symlog"
    arrange: Annotated[
        Literal["beside", "stacked", "overlaid", "grid"] | None,
        Parameter(help="Several points side by side (up to 3), stacked, on one pair of axes, or as a grid (from 4)."),
        DRAWN,
    ] = None
    order: Annotated[
        Literal["given", "name", "loss", "nullity", "rank"],
        Parameter(help="Order of several points; the lowest first."),
        _DELIVERED,
    ] = "given"
    signs: Annotated[bool, Parameter(name="--signs", negative="", help="Colours for signs, not for origins."), DRAWN] = False


@dataclass(frozen=True)
class Shown:
    """A point whose spectrum is shown.

    Attributes:
        label: Name of the spectrum in picture and table.
        source: What is drawn of it.
        rows: Rows that the spectrum has in the table.
        sort: Values by which points are ordered.
    """

    label: str
    source: "Drawable"
    rows: list[dict[str, object]]
    sort: dict[str, float]


PLAIN = SpectraOptions()


def spectrum(
    *points: PointFiles,
    model: ProblemOptions = NO_PROBLEM,
    start: StartText = None,
    root: RootText = "large",
    method: Annotated[SpectrumChoice, Parameter(help="All eigenvalues, or an estimate: slq, pyhessian.")] = "auto",
    out: Annotated[Path | None, Parameter(help="Table of eigenvalues, multiplicities and origins: .csv or .parquet.")] = None,
    plot: Annotated[Path | None, Parameter(help="Picture of all points on the same scales: .png, .pdf or .svg.")] = None,
    look: SpectraOptions = PLAIN,
    run_sources: RunSourcesFlag = False,
    device: DeviceText = "cpu",
    json: JsonFlag = False,
) -> int:
    """Write or draw the Hessian spectrum of critical points; without --out and --plot, print it.

    A folder stands for all points in it, in the order of their names: a training run becomes a row of small spectra. reduction,
    dense and lowrank give all eigenvalues; reduction knows the origin of each, which the picture shows by colours and the table in
    a column. slq is an estimate with error bars by stochastic Lanczos quadrature; pyhessian is what PyHessian 0.1 (repaired) says
    beside all eigenvalues. Of a point that is not critical enough, what is shown is the Hessian at the point itself, if the model
    is small or with --method dense (exit code 1). The point of a network stands alone and needs --run-sources.
    """
    check_output(out, TABLES)
    check_output(plot, PICTURES)
    if len(points) == 1 and is_network_point(points[0]):
        from landscape.cli.network_spectrum import network_spectrum

        _check(points, model, start, look)
        return network_spectrum(analysed_network(points[0], method, run_sources, device), out, plot, look, json)
    files = _expanded(points)
    _check(files, model, start, look)
    reports: list[DegeneracyReport] = []
    if method == "slq" or method == "pyhessian":
        from landscape.cli.spectrum_estimates import estimates

        shown, objects = estimates(files, model, start, root, method, device, quiet=json or bool(out or plot))
    else:
        reports = _reports(files, model, start, root, method, device)
        shown, objects = _shown(files, reports), [_as_dict(report) for report in reports]
    shown = _ordered([point for point in _labelled(shown, look) if point.rows], look)
    if out is not None and shown:
        _write(shown, out)
    if plot is not None and shown:
        _draw(shown, plot, look)
    if json:
        print_json(objects[0] if len(objects) == 1 else {"reports": objects})
    elif out is None and plot is None:
        for report in reports:
            _print(report)
    doubtful = [report for report in reports if not report.resolved]
    for report in doubtful:
        warn(report.reason)
    return NOT_AS_ASKED if doubtful else DONE


def _check(files: tuple[Path, ...], model: ProblemOptions, start: str | None, look: SpectraOptions) -> None:
    for file in files or (None,):
        check_source(file, model, start)
    count = max(len(files), 1)
    if look.label is not None and len(look.label) != count:
        raise InputError(f"expected --label once for each of {count} points, got {len(look.label)}")
    look.inches(1.0, 1.0)


def _labelled(shown: list[Shown], look: SpectraOptions) -> list[Shown]:
    if look.label is None:
        return shown
    return [replace(point, label=label) for point, label in zip(shown, look.label, strict=True)]


def _ordered(shown: list[Shown], look: SpectraOptions) -> list[Shown]:
    match look.order:
        case "given":
            return shown
        case "name":
            return sorted(shown, key=lambda point: point.label)
        case by:
            return sorted(shown, key=lambda point: point.sort.get(by, float("inf")))


def _expanded(points: tuple[Path, ...]) -> tuple[Path, ...]:
    """Returns the files, each folder replaced by the points in it, numbers in their names by size.

    Raises:
        InputError: If a folder holds no point.
    """
    import re

    files: list[Path] = []
    for point in points:
        if not point.is_dir():
            files.append(point)
            continue
        found = [path for path in point.iterdir() if path.suffix == ".safetensors" and PARTIAL not in path.name]
        if not found:
            raise InputError(f"expected a folder with points (*.safetensors), got none in {point}")
        files += sorted(
            found, key=lambda path: [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", path.stem)]
        )
    return tuple(files)


def _reports(
    files: tuple[Path, ...],
    model: ProblemOptions,
    start: str | None,
    root: Literal["large", "small"],
    method: Literal["auto", "reduction", "dense", "lowrank"],
    device: str,
) -> "list[DegeneracyReport]":
    reports = []
    with progress("spectrum") as told:
        for place, point in enumerate(files or (None,)):
            told.update(place, len(files) or 1)
            reports.append(analysed(point, model, start, root, method, device))
    return reports


def _shown(files: tuple[Path, ...], reports: "list[DegeneracyReport]") -> list[Shown]:
    """Returns what is shown of each point; those whose structures agree, or that are not critical, have their file's name."""
    names = [_title(report) for report in reports]
    shown = []
    for file, report, name in zip(files or (None,), reports, names, strict=True):
        label = f"{report.structure} (rank {report.rank})" if report.critical and report.rank is not None else name
        if file is not None and names.count(name) > 1:
            label = f"{file.stem}: {report.structure}" if report.critical else file.stem
        ranks = {"loss": report.loss, "nullity": report.nullity, "rank": report.rank}
        sort = {key: float(value) for key, value in ranks.items() if value is not None}
        shown.append(Shown(label, report, _rows(report), sort))
    return shown


def _title(report: "DegeneracyReport") -> str:
    return report.structure if report.critical else "Hessian at the point itself: not a critical point"


def _rows(report: "DegeneracyReport") -> list[dict[str, object]]:
    """Returns the table of a point: by origin where it is known, in ascending order."""
    from landscape.curvature.spectra.spectrum import Spectrum

    if report.spectrum is None:
        return []
    if not report.families:
        return [{"eigenvalue": value, "multiplicity": times} for value, times in report.spectrum.atoms()]
    rows: list[tuple[float, int, str]] = []
    for kind in dict.fromkeys(family.kind for family in report.families):
        parts = ((family.values, family.multiplicity) for family in report.families if family.kind is kind)
        rows += [(value, times, kind.value) for value, times in Spectrum.merge(parts, report.spectrum.error).atoms()]
    return [{"eigenvalue": value, "multiplicity": times, "origin": origin} for value, times, origin in sorted(rows)]


def _as_dict(report: "DegeneracyReport") -> dict[str, object]:
    spectrum = None if report.spectrum is None else [list(atom) for atom in report.spectrum.atoms()]
    return {
        "structure": report.structure,
        "critical": report.critical,
        "method": report.method,
        "resolved": report.resolved,
        "spectrum": spectrum,
        "origins": [list(row.values()) for row in _rows(report)] if report.families else None,
    }


def _print(report: "DegeneracyReport") -> None:
    if report.spectrum is None:
        return
    print(f"# {_title(report)}, {report.problem}")
    rows = [(f"{row['eigenvalue']:.9e}", *(str(cell) for cell in list(row.values())[1:])) for row in _rows(report)]
    heading = ("eigenvalue", "multiplicity", "origin")[: len(rows[0])] if rows else ("eigenvalue", "multiplicity")
    print_table([heading, *rows], numbers=(0, 1))


def _write(shown: list[Shown], path: Path) -> None:
    import pandas as pd

    several = len(shown) > 1
    write_table(
        pd.DataFrame([{**({"point": point.label} if several else {}), **row} for point in shown for row in point.rows]), path
    )


def _draw(shown: list[Shown], path: Path, look: SpectraOptions) -> None:
    from landscape.plot.spectrum import plot_spectra, plot_spectrum
    from landscape.plot.theme import figure_of, new_figure, save_figure

    labels = [point.label for point in shown]
    names = [f"{label} #{place}" if labels.count(label) > 1 else label for place, label in enumerate(labels, 1)]
    arrange = look.arrange or ("beside" if len(shown) <= _ABREAST else "grid")
    width, height = look.inches(0.0, 0.0)
    if len(shown) == 1 and arrange != "overlaid":
        figure, axes = new_figure(width=width or 3.25, height=height or 2.6)
        plot_spectrum(shown[0].source, axes[0], look.title or names[0], axis=look.axis, origins=not look.signs)
        save_figure(figure, path, look.dark)
        return
    sources = {name: point.source for name, point in zip(names, shown, strict=True)}
    axes = list(plot_spectra(sources, None, arrange, look.axis, not look.signs, width, height))
    if look.title is not None:
        figure_of(axes[0]).suptitle(look.title, fontsize="medium")
    save_figure(figure_of(axes[0]), path, look.dark)
