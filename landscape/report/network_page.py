"""The page of a network's point: the same page as of a point of the model, with what a network has."""

from collections.abc import Mapping

from landscape.network.report import NetworkReport
from landscape.report.content import NONE, UNKNOWN, TableRow
from landscape.report.page import MOST_ATOMS, rendered
from landscape.report.pictures import Picture, network_spectrum


def network_page(report: NetworkReport, sources: Mapping[str, str], name: str, digest: str, command: str = "") -> str:
    """Returns the page of a network: verdict, measured beside predicted, spectrum, causes, data.

    Args:
        report: Report that `analyse` gives.
        sources: Names of the code that makes the network, as the point has them.
        name: Name of the file.
        digest: Digest (sha256) of the file.
        command: What made the page, for the reader to repeat.
    """
    atoms = report.spectrum.atoms() if report.spectrum else []
    pictures: list[Picture] = [] if report.spectrum is None else [network_spectrum(report)]
    return rendered(
        "point.html",
        title=f"Network of {report.parameters} parameters",
        verdict=_verdict(report),
        certain=report.resolved,
        comparison=_comparison(report),
        rows=report.rows(),
        provenance=[("file", name), ("sha256", digest), *sources.items()],
        pictures=pictures,
        atoms=[(f"{value:.12e}", f"{times}") for value, times in atoms[:MOST_ATOMS]],
        more_atoms=max(len(atoms) - MOST_ATOMS, 0),
        again=[f"landscape degeneracy {name} --run-sources --json"],
        command=command,
        data=report.as_dict(),
    )


def _verdict(report: NetworkReport) -> str:
    if not report.resolved:
        return f"Nullity and index are not stated. {report.reason}."
    kind = f"a saddle with {report.index} negative eigenvalues" if report.index else "a minimum"
    parts = report.explanation
    cause = "" if parts is None else f" Symmetry explains {parts.symmetry} of them, the data {parts.data + parts.unnamed_data}."
    return f"The point is {kind}, and {report.nullity} of {report.parameters} eigenvalues are zero.{cause}"


def _comparison(report: NetworkReport) -> list[TableRow]:
    nullity, predicted = report.nullity, report.predicted
    agrees = None if nullity is None or predicted is None else nullity == predicted
    remark = NONE if agrees is None else "equal" if agrees else f"differ by {abs(nullity - predicted)}"  # type: ignore[operator]
    shown = [UNKNOWN if value is None else f"{value}" for value in (nullity, predicted, report.index)]
    return [
        TableRow("zero eigenvalues (nullity)", shown[0], NONE, shown[1], "orbit of the symmetries", agrees, remark),
        TableRow("negative eigenvalues (index)", shown[2], NONE, NONE, NONE, None, NONE),
    ]
