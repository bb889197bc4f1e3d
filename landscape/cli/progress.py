"""The one progress display: a bar on a terminal, a plain line a minute elsewhere. Both go to stderr.

Long commands report through it, so that a log file of a cluster shows that work goes on, and how far it is.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from landscape.display import brief

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from landscape.solver.state import State

MINUTE = 60.0  # seconds between two lines where stderr is no terminal
_DECADES = 15.0  # of the gradient norm of a descent, from 10 to 1e-14


@dataclass
class Report:
    """Progress of a command: a bar on a terminal, a line a minute elsewhere.

    Attributes:
        label: The work in a few words.
        clock: The time in seconds, of any origin.
    """

    label: str
    clock: Callable[[], float] = time.monotonic
    _bars: "Bars | None" = None
    _tasks: dict[str, int] = field(default_factory=dict)
    _started: float = 0.0
    _last: float = 0.0

    __repr__ = brief

    def __post_init__(self) -> None:
        self._started = self._last = self.clock()

    def update(self, done: int | float | None = None, total: int | float | None = None, state: str = "", label: str = "") -> None:
        """Tells how far the work is.

        Args:
            done: The part that is done; None where that is not known.
            total: The whole, in the unit of `done`.
            state: A few words and numbers of now.
            label: A bar of its own, beside that of the work; it has no line where there are no bars.
        """
        if self._bars is not None:
            name = label or self.label
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(name, total=total, state=state)
            self._bars.update(self._tasks[name], completed=done, total=total, state=state)  # type: ignore[arg-type]
        elif not label and self.clock() - self._last >= MINUTE:
            self._last = self.clock()
            part = "" if done is None or total is None else f"{done:.0f} of {total:.0f}"
            minutes = f"{(self._last - self._started) / 60:.0f} min"
            self.say(f"{self.label}: {', '.join(words for words in (part, state, minutes) if words)}")

    def say(self, words: str) -> None:
        """Prints a line once, above the bars where there are any."""
        if self._bars is not None:
            self._bars.console.print(words, markup=False, highlight=False)
        else:
            print(f"landscape: {words}", file=sys.stderr, flush=True)


@contextmanager
def progress(label: str) -> Iterator[Report]:
    """Yields what a long command tells its progress to."""
    if not sys.stderr.isatty():
        yield Report(label)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        report = Report(label, _bars=bars)
        report.update()
        yield report


@contextmanager
def descent_progress(label: str) -> Iterator[Callable[["State"], None]]:
    """Yields a watcher that shows loss and gradient norm of a descent as they fall."""
    import math

    with progress(label) as report:

        def watch(state: "State") -> None:
            norm = max(state.gradient_norm, 1e-300)
            done = min(max(1 - math.log10(norm), 0.0), _DECADES) if math.isfinite(norm) else 0.0
            report.update(done, _DECADES, f"step {state.steps}  loss {state.loss:.9f}  gradient {state.gradient_norm:.1e}")

        yield watch
