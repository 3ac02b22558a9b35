"""Progress bars on stderr (rich); silent when stderr is not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from precond.printable import PrintableStream, printable

if TYPE_CHECKING:
    from rich.progress import TaskID


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
    """Bars for the stages of one run."""
    if not sys.stderr.isatty():
        yield Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    terminal = sys.stderr
    if isinstance(terminal, PrintableStream):
        terminal = terminal.below  # the bars are drawn with control characters of their own
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bars(*columns, TimeElapsedColumn(), console=Console(file=terminal)) as bars:
        yield _Bars(bars)


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
