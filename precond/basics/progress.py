"""Progress on stderr: bars on a terminal (rich), else a line now and then.

Where Ctrl-C ends the work, how far it had come is said.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from precond.printable import PrintableStream, printable

if TYPE_CHECKING:
    from rich.progress import TaskID

EVERY = 15.0  # seconds between lines


class Progress(Protocol):
    """Where long work reports to."""

    def stage(self, name: str, total: int) -> None: ...

    def step(self, count: int = 1) -> None: ...


class Silent:
    """Progress that shows nothing."""

    def stage(self, name: str, total: int) -> None:
        return None

    def step(self, count: int = 1) -> None:
        return None


@contextmanager
def progress() -> Iterator[Progress]:
    """Bars, or lines, for the stages of one run."""
    lines = Lines()
    try:
        if sys.stderr.isatty():
            with _bars() as bars:
                yield _Both(bars, lines)
        else:
            yield lines
    except KeyboardInterrupt:
        lines.say(prefix="stopped at ")
        raise


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    terminal = sys.stderr
    if isinstance(terminal, PrintableStream):
        terminal = terminal.below  # the bars are drawn with control characters of their own
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bars(*columns, TimeElapsedColumn(), console=Console(file=terminal)) as bars:
        yield _Bars(bars)


class Lines:
    """How far the last stage is, and a line about it whenever one is due."""

    def __init__(
        self, *, every: float = EVERY, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._every, self._clock = every, clock
        self._begun = self._said = clock()
        self._name, self._total, self._count = "", 0, 0
        self.quiet = False

    def stage(self, name: str, total: int) -> None:
        self._name, self._total, self._count = name, total, 0

    def step(self, count: int = 1) -> None:
        self._count += count
        if not self.quiet and self._clock() - self._said >= self._every:
            self.say()

    def say(self, prefix: str = "") -> None:
        """One line on stderr; none before the first stage."""
        if self._name:
            self._said = self._clock()
            print(
                f"precond: {prefix}{printable(self._name)} {self._count} of {self._total}, "
                f"{self._said - self._begun:.0f} s",
                file=sys.stderr,
                flush=True,
            )


class _Both:
    """Bars that are drawn, and lines that only count."""

    def __init__(self, bars: Progress, lines: Lines) -> None:
        self._bars, self._lines = bars, lines
        lines.quiet = True

    def stage(self, name: str, total: int) -> None:
        self._bars.stage(name, total)
        self._lines.stage(name, total)

    def step(self, count: int = 1) -> None:
        self._bars.step(count)
        self._lines.step(count)


class _Bars:
    def __init__(self, bars: object) -> None:
        from rich.progress import Progress as Bars

        assert isinstance(bars, Bars)
        self._bars = bars
        self._task: TaskID | None = None

    def stage(self, name: str, total: int) -> None:
        self._task = self._bars.add_task(printable(name), total=total)

    def step(self, count: int = 1) -> None:
        if self._task is not None:
            self._bars.advance(self._task, count)
