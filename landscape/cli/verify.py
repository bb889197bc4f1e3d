"""`landscape verify`: the claims of the paper as a table, computed now."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from landscape.cli import DONE, NOT_AS_ASKED
from landscape.cli.options import JsonFlag
from landscape.cli.output import print_json, warn
from landscape.cli.progress import progress
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.paper.claims.finding import Verified

_WIDTHS = (45, 25)  # of the columns claim and verdict; rows are printed as they are computed


def verify(
    *,
    fast: Annotated[bool, Parameter(negative="", help="Fewer settings and seeds: under 2 minutes on one core, not 30.")] = False,
    claim: Annotated[list[str] | None, Parameter(negative="", help='Only this one, as "Theorem 5"; may be given again.')] = None,
    json: JsonFlag = False,
) -> int:
    """Check the claims of the paper: numbers computed now, a verdict from them, and where it is derived.

    Exit code 1 if a verdict is not the one that docs/paper.md states.
    """
    from landscape.paper.verification import CLAIMS
    from landscape.paper.verification import verify as run

    names = {one.name.lower(): one for one in CLAIMS}
    unknown = [name for name in claim or () if name.lower() not in names]
    if unknown:
        raise InputError(f"expected a claim among {'; '.join(one.name for one in CLAIMS)}, got {unknown[0]!r}")
    chosen = tuple(names[name.lower()] for name in claim) if claim else CLAIMS
    rows: list[Verified] = []
    if not json:
        print(f"{'claim':{_WIDTHS[0]}}{'verdict':{_WIDTHS[1]}}derived in")
    with progress("claims") as shown:
        for row in run(fast, chosen):
            rows.append(row)
            shown.update(len(rows), len(chosen), row.claim.name)
            if not json:
                _print(row)
    if json:
        print_json([row.as_dict() for row in rows])
    changed = [row for row in rows if not row.as_written]
    for row in changed:
        warn(f"{row.claim.name}: {row.finding.verdict}, but the page states: {row.claim.stated}")
    return NOT_AS_ASKED if changed else DONE


def _print(row: "Verified") -> None:
    print(f"{row.claim.name:{_WIDTHS[0]}}{row.finding.verdict:{_WIDTHS[1]}}{row.claim.link}")
    print(f"    {row.claim.statement}")
    for name, value in row.finding.numbers.items():
        print(f"      {name}: {value:.8g}" if isinstance(value, float) else f"      {name}: {value}", flush=True)
