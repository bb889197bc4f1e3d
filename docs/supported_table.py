"""Makes the table of supported modules and losses from what was measured; `--write` puts it into docs/networks.md.

The numbers are those of `python -m benchmarks.supported`, which compares every pair with plain double backward passes;
tests/network/test_acceptance.py runs a seeded tenth of them.
"""

import csv
import sys
from collections import Counter
from pathlib import Path

import landscape

ROOT = Path(landscape.__file__).resolve().parent.parent  # pages may be copied before they are built
PAGE = Path(__file__).resolve().with_name("networks.md")
TABLE = ROOT / "figures" / "data" / "supported-modules.csv"
BEGIN, END = "<!-- made by docs/supported_table.py from figures/data/supported-modules.csv -->", "<!-- end of what is made -->"


def rows() -> list[dict[str, str]]:
    """Returns the measured pairs of a module and a loss."""
    with TABLE.open(newline="") as file:
        return list(csv.DictReader(file))


def _reason(message: str) -> str:
    """Returns the part of a refusal that says what was found."""
    return message.partition(", got ")[2].partition(": replace")[0].partition(": pass")[0] or message


def table() -> str:
    """Returns two tables in Markdown: what is refused and why, and how many losses are right for every module."""
    measured = rows()
    right = Counter(row["module"] for row in measured if row["verdict"] == "right")
    everywhere = Counter(row["loss"] for row in measured if row["verdict"] == "right")
    losses = list(dict.fromkeys(row["loss"] for row in measured))
    never = [loss for loss in losses if not everywhere[loss]]
    modules = list(dict.fromkeys(row["module"] for row in measured))
    able = [module for module in modules if right[module]]
    worst = max(float(row["error"]) for row in measured if row["verdict"] == "right")
    lines = [
        f"{len(measured)} pairs of {len(modules)} modules and {len(losses)} losses: {sum(right.values())} right, the worst to "
        f"{worst:.0e} of the largest entry, {len(measured) - sum(right.values())} refused in one line, none wrong.",
        "",
        f"Modules: {'; '.join(able)}.",
        "",
        f"Losses: {'; '.join(loss for loss in losses if everywhere[loss])}.",
        "",
        "| refused | because |",
        "|---|---|",
    ]
    for loss in never:
        lines.append(f"| {loss} | {_reason(next(row['message'] for row in measured if row['loss'] == loss and row['message']))} |")
    for module in modules:
        if not right[module]:
            lines.append(f"| {module} | {_reason(next(row['message'] for row in measured if row['module'] == module))} |")
    for row in measured:
        if row["verdict"] == "refused" and row["loss"] not in never and right[row["module"]]:
            lines.append(f"| {row['module']} with {row['loss']} | {_reason(row['message'])} |")
    return "\n".join(lines)


def filled(text: str) -> str:
    """Returns the page with the table as it was measured."""
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n\n{table()}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(filled(PAGE.read_text()))
    else:
        print(table())
