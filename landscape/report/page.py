"""One self-contained HTML page of a critical point, or of a folder of them: nothing is loaded from anywhere, ever.

The page holds its own data as JSON in the element with the id "data", next to what a reader sees. Every text that comes from a
file is escaped, and a content security policy allows no script but the page's own.
"""

import base64
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from landscape import __version__
from landscape.atomic_files import PARTIAL, atomic_write
from landscape.degeneracy.analysis import analyse
from landscape.degeneracy.methods import MethodName
from landscape.degeneracy.proved import Effort, Wanted
from landscape.degeneracy.report import DegeneracyReport
from landscape.errors import InputError
from landscape.plain_file import file_digest
from landscape.points.point import CriticalPoint
from landscape.report.content import (
    HEADINGS,
    alternatives,
    comparison,
    folder_verdict,
    kind_headings,
    kinds,
    point_cells,
    provenance,
    sampled_rows,
    verdict_line,
)
from landscape.report.pictures import folder_pictures, point_pictures

MOST_ATOMS = 500  # rows of the table of eigenvalues; more are in the data of the page and in `landscape spectrum`


@dataclass(frozen=True)
class Examined:
    """A saved point with what was counted at it.

    Attributes:
        name: Name of the file, relative to the folder of the page if there is one.
        digest: Digest (sha256) of the file.
        point: Point that the file holds.
        report: Degeneracy report that `analyse` gives.
    """

    name: str
    digest: str
    point: CriticalPoint
    report: DegeneracyReport

    @classmethod
    def at(
        cls, path: Path, method: MethodName = "auto", device: str = "cpu", name: str | None = None, effort: Effort = "small"
    ) -> "Examined":
        """Reads a point and analyses it.

        Args:
            path: Path of the file.
            method: Name of the method that counts.
            device: Where to compute.
            name: What the page calls the file; None for its path.
            effort: Which counts are proved.

        Raises:
            InputError: If the file is no point, or the method cannot be used for it.
        """
        point = CriticalPoint.load(path, device)
        digest = file_digest(path)
        return cls(name or printable(path), digest, point, analyse(point, method, Wanted(effort)))

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form; "report" is what `landscape degeneracy --json` prints."""
        return {"file": self.name, "sha256": self.digest, "report": self.report.as_dict()}


@dataclass(frozen=True)
class Folder:
    """All points below a folder.

    Attributes:
        path: Path of the folder.
        points: Points that were analysed, ordered by name.
        left_out: Name and reason of the files that could not be read, or not be counted by the method.
    """

    path: Path
    points: tuple[Examined, ...]
    left_out: tuple[tuple[str, str], ...]

    @classmethod
    def at(
        cls,
        path: Path,
        method: MethodName = "auto",
        device: str = "cpu",
        watch: Callable[[int, int], None] = lambda done, total: None,
        effort: Effort = "small",
    ) -> "Folder":
        """Analyses every file below a folder whose name ends in .safetensors.

        Args:
            path: Path of the folder.
            method: Name of the method that `analyse` takes for every point.
            device: Where to compute.
            watch: Called with the number of files done and of all.
            effort: Which counts are proved.

        Raises:
            InputError: If there is no such file, or none that can be analysed.
        """
        places = sorted(place for place in path.rglob("*.safetensors") if PARTIAL not in place.name)
        if not places:
            raise InputError(f"expected points (.safetensors) in {path}, got none")
        points, left_out = [], []
        for done, place in enumerate(places):
            watch(done, len(places))
            name = printable(place.relative_to(path))
            try:
                points.append(Examined.at(place, method, device, name, effort))
            except InputError as error:
                left_out.append((name, _writable(str(error))))
        watch(len(places), len(places))
        if not points:
            raise InputError(f"expected at least one point of {path} that can be analysed, got none: {left_out[0][1]}")
        return cls(path, tuple(points), tuple(left_out))

    @property
    def resolved(self) -> bool:
        """Whether no file was left out and every count is exact."""
        return not self.left_out and all(point.report.resolved for point in self.points)

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form, without the spectra, which would be most of it."""
        rows = [point.as_dict() for point in self.points]
        for row in rows:
            del row["report"]["spectrum"]
        return {"points": rows, "left_out": [{"file": name, "reason": reason} for name, reason in self.left_out]}


def point_page(examined: Examined, command: str = "") -> str:
    """Returns the page of one point: verdict, measured beside predicted, pictures, provenance, data.

    Args:
        examined: Point with what was counted at it.
        command: What made the page, for the reader to repeat.
    """
    report = examined.report
    atoms = report.spectrum.atoms() if report.spectrum else []
    return rendered(
        "point.html",
        title=f"{report.structure}: {report.problem}",
        verdict=verdict_line(report),
        certain=report.resolved,
        comparison=comparison(report),
        rows=report.rows(),
        provenance=provenance(examined.point, examined.name, examined.digest),
        pictures=point_pictures(examined.point, report),
        atoms=[(f"{value:.12e}", f"{times}") for value, times in atoms[:MOST_ATOMS]],
        more_atoms=max(len(atoms) - MOST_ATOMS, 0),
        again=alternatives(examined.name),
        command=command,
        data=examined.as_dict(),
    )


def folder_page(folder: Folder, command: str = "") -> str:
    """Returns the page of a folder: which structures there are, all points in one table, pictures, data.

    Args:
        folder: Points of the folder, analysed.
        command: What made the page.
    """
    found = [(each.name, each.point, each.report) for each in folder.points]
    sampled = sampled_rows(folder.path)
    models = sorted({str(point.problem) for _, point, _ in found})
    return rendered(
        "folder.html",
        title=f"Critical points in {printable(folder.path)}",
        verdict=folder_verdict(found, len(folder.left_out)),
        certain=folder.resolved,
        study=sampled,
        models=models,
        kind_headings=kind_headings(found),
        kinds=kinds(found, sampled=bool(sampled)),
        headings=HEADINGS,
        points=[point_cells(*each) for each in found],
        left_out=folder.left_out,
        pictures=folder_pictures(found),
        command=command,
        data=folder.as_dict(),
    )


def write_page(page: str, out: Path) -> None:
    """Writes a page, whole or not at all.

    Raises:
        InputError: If it cannot be written.
    """
    with atomic_write(out) as temporary:
        temporary.write_text(page, encoding="utf-8")


def printable(path: Path) -> str:
    """Returns a path as text that can be written as UTF-8, whatever bytes its name has."""
    return os.fsencode(path).decode(errors="replace")


def _writable(text: str) -> str:
    """Returns text without the halves of characters by which Python keeps the bytes of a name that is no text."""
    return text.encode("utf-8", "replace").decode()


def rendered(template: str, **values: Any) -> str:
    """Returns a page: a template filled with values, with its style and script inside."""
    environment = Environment(loader=PackageLoader("landscape.report", "templates"), autoescape=True, undefined=StrictUndefined)
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}
    style, script = _resource("style.css"), _resource("sort.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_source_hash(style)}'; script-src '{_source_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    page = environment.get_template(template)
    return page.render(style=style, script=script, policy=policy, version=__version__, **values) + "\n"


def _resource(name: str) -> str:
    return files("landscape.report").joinpath("templates", name).read_text(encoding="utf-8")


def _source_hash(source: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}"
