"""The trade-off table: accuracy, coverage and latency of a fast path beside its rivals.

Every method is measured in the same runtimes, so that it is compared with the plain network as the
same runtime runs it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from precond.apply.distillation.latency import Times
from precond.basics.terminal import fitted

PLAIN, FAST = "plain network", "fast path"
WORTH = 1.05  # times as fast, at some batch size: less is no gain


class Runtime(str, Enum):
    TORCH = "torch"
    COMPILED = "torch.compile"
    ONNX = "onnxruntime"
    GPU = "torch on a GPU"


@dataclass(frozen=True, kw_only=True)
class TradeOffRow:
    """One method in one runtime on the test inputs: ``coverage`` (share answered early),
    ``accuracy`` and ``loss`` (points below the plain network), ``changed`` (answers other than the
    plain network's); milliseconds for each batch size, None where not measured, on the wall and
    of all threads (``processor``)."""

    method: str
    runtime: Runtime
    coverage: float | None
    accuracy: float
    loss: float
    changed: int
    wall: Times
    processor: Times


@dataclass(frozen=True)
class Gain:
    """How many times as fast the fast path is at one batch size, in the runtime in which the
    plain network is fastest there."""

    batch: int
    runtime: Runtime
    times: float


@dataclass(frozen=True)
class TradeOffTable:
    """Rows, the batch sizes of their latencies, how many test inputs, and remarks."""

    rows: tuple[TradeOffRow, ...]
    batches: tuple[int, ...]
    inputs: int
    threads: int
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "gains": [asdict(gain) for gain in self.gains()]}

    def cells(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """The head and the rows."""
        head = ["method", "run by", "coverage", "accuracy", "loss, points", "answers changed"]
        head += [f"ms, batch {b}" for b in self.batches]
        rows = [
            (
                row.method,
                row.runtime.value,
                "–" if row.coverage is None else f"{100 * row.coverage:.1f} %",
                f"{100 * row.accuracy:.2f} %",
                f"{row.loss:+.2f}",
                f"{row.changed}",
                *map(_milliseconds, row.wall),
            )
            for row in self.rows
        ]
        return tuple(head), rows

    def lines(self) -> list[str]:
        """A Markdown table."""
        head, rows = self.cells()
        lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        return lines + ["| " + " | ".join(row) + " |" for row in rows]

    def terminal_lines(self) -> list[str]:
        """A table of fewer columns, for a terminal."""
        lines = [
            f"{'method':<32} {'run by':<13} {'coverage':>8} {'accuracy':>8} {'loss':>6}"
            + "".join(f" {f'ms, {b}':>9}" for b in self.batches)
        ]
        for row, cells in zip(self.rows, self.cells()[1], strict=True):
            lines.append(
                f"{fitted(row.method, 32)} {cells[1]:<13} {cells[2]:>8} {cells[3]:>8} {cells[4]:>6}"
                + "".join(f" {_short(value):>9}" for value in row.wall)
            )
        return lines

    def row(self, method: str, runtime: Runtime) -> TradeOffRow:
        return next(row for row in self.rows if (row.method, row.runtime) == (method, runtime))

    @property
    def fast(self) -> TradeOffRow:
        """The fast path; its answers are the same in every runtime."""
        return next(row for row in self.rows if row.method == FAST)

    def gains(self, method: str = FAST) -> tuple[Gain, ...]:
        """For each batch size that was measured; on the machine's processor, not on a GPU."""
        found = []
        for place, batch in enumerate(self.batches):
            times = {
                row.runtime: row.wall[place]
                for row in self.rows
                if row.method == PLAIN and row.runtime is not Runtime.GPU and row.wall[place]
            }
            if not times:
                continue
            runtime = min(times, key=lambda one: times[one] or 0.0)
            plain, other = times[runtime], self.row(method, runtime).wall[place]
            if plain and other:
                found.append(Gain(batch, runtime, plain / other))
        return tuple(found)

    @property
    def worth_it(self) -> bool:
        """Whether the fast path is faster at some batch size, or was not measured at any."""
        gains = self.gains()
        return not gains or max(gain.times for gain in gains) >= WORTH

    def slower(self) -> tuple[int, ...]:
        """The batch sizes at which the fast path takes longer than the plain network."""
        return tuple(gain.batch for gain in self.gains() if gain.times < 1)


def _milliseconds(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}" if value < 10 else f"{value:.1f}"


def _short(value: float | None) -> str:
    return "–" if value is None else _milliseconds(value)
