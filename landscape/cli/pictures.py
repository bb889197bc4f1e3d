"""How a command's picture looks: the options that all of them share."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

from landscape.cli.applies import Needs
from landscape.errors import InputError

_SMALLEST, _LARGEST = 1.0, 40.0  # inches
DRAWN = Needs(("--plot",))  # the rule of every option that only a picture shows


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class PictureOptions:
    """Title, size and style of the picture that --plot writes.

    Attributes:
        title: Words above the picture; the command's own where nothing is given.
        size: Width, or width and height, in inches.
        style: Where the picture is shown, which decides its size and ground.
    """

    title: Annotated[str | None, Parameter(help="Words above the picture, instead of its own."), DRAWN] = None
    size: Annotated[str | None, Parameter(help="Inches of the picture: 3.3 (its width) or 6.8x2.4."), DRAWN] = None
    style: Annotated[
        Literal["column", "page", "slide", "dark"] | None,
        Parameter(help="One column or the page of a paper, a slide, or a slide on a dark ground."),
        DRAWN,
    ] = None

    def inches(self, width: float, height: float) -> tuple[float, float]:
        """Returns width and height of the picture; the given ones where no option says otherwise.

        Raises:
            InputError: If the size is none that a picture can have.
        """
        from landscape.plot.theme import MEDIA

        if self.style is not None:
            medium = MEDIA[self.style]
            width, height = medium.width, medium.height or height
        if self.size is None:
            return width, height
        found = re.fullmatch(r"(\d+(?:\.\d+)?)(?:x(\d+(?:\.\d+)?))?", self.size.strip())
        wide, high = (float(found[1]), float(found[2] or height)) if found else (0.0, 0.0)
        if not _SMALLEST <= wide <= _LARGEST or not (high == 0 or _SMALLEST <= high <= _LARGEST):
            raise InputError(f"expected --size in inches from 1 to 40, as 3.3 or 6.8x2.4, got {self.size!r}")
        return wide, high

    @property
    def dark(self) -> bool:
        """Whether the picture stands on a dark ground."""
        from landscape.plot.theme import MEDIA

        return self.style is not None and MEDIA[self.style].dark


AS_IT_IS = PictureOptions()
