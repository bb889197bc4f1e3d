"""What a claim is, what its check finds, and how numbers become a verdict."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from landscape.display import brief

Assessment = Literal["holds", "holds with a correction", "does not hold as stated", "not testable"]
PAGE = "docs/paper.md"


@dataclass(frozen=True)
class Finding:
    """What one check computed.

    Attributes:
        numbers: Computed numbers by name; the verdict is a function of them.
        verdict: Assessment of the claim as it is worded.
    """

    numbers: dict[str, float | int | str]
    verdict: Assessment


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, or a step of one of its proofs.

    Attributes:
        name: Name of the claim, also the heading of its section in docs/paper.md.
        statement: The claim in one line.
        stated: Assessment that docs/paper.md states.
        check: Function that computes the numbers, fewer of them if its argument is true, and the verdict from them.
    """

    name: str
    statement: str
    stated: Assessment
    check: Callable[[bool], Finding]

    __repr__ = brief

    @property
    def link(self) -> str:
        """Where its section is."""
        slug = "".join(c for c in self.name.lower() if c.isalnum() or c in " -").replace(" ", "-")
        return f"{PAGE}#{slug}"


@dataclass(frozen=True)
class Verified:
    """A claim with what was found now.

    Attributes:
        claim: The claim that was checked.
        finding: Numbers and verdict that the check computed now.
    """

    claim: Claim
    finding: Finding

    @property
    def as_written(self) -> bool:
        """Whether the verdict is the one that docs/paper.md states."""
        return self.finding.verdict == self.claim.stated

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form."""
        return {
            "claim": self.claim.name,
            "statement": self.claim.statement,
            "verdict": self.finding.verdict,
            "stated": self.claim.stated,
            "numbers": self.finding.numbers,
            "link": self.claim.link,
        }


def assess(as_stated: bool | None, corrected: bool = False) -> Assessment:
    """Returns the verdict.

    Args:
        as_stated: Whether the numbers bear the claim out as it is worded; None if they cannot tell.
        corrected: Whether they bear it out after the correction that the page derives; asked only if they do not as worded.
    """
    if as_stated is None:
        return "not testable"
    if as_stated:
        return "holds"
    return "holds with a correction" if corrected else "does not hold as stated"
