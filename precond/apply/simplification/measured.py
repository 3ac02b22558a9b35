"""A model's file and its smaller one, run side by side by onnxruntime on one thread.

The two take turns, call by call, so that a busy machine is busy for both; medians count.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from precond.formats.onnx.session import onnx_session

CALLS = 200
WARM = 5


@dataclass(frozen=True)
class Latency:
    """Milliseconds a call with ``batch`` inputs, medians of ``CALLS`` calls in turns."""

    batch: int
    before: float
    after: float

    @property
    def ratio(self) -> float:
        return self.before / self.after


@dataclass(frozen=True)
class Difference:
    """Over ``inputs`` inputs: the largest difference of outputs, and how many classes differ."""

    inputs: int
    largest: float
    classes: int


def latencies(
    before: Path, after: Path, inputs: NDArray[np.floating], batches: Sequence[int] = (1, 64)
) -> list[Latency]:
    """At each batch size; ``inputs`` (N, …), repeated where they are too few."""
    first, second = _Session(before), _Session(after)
    found = []
    for batch in batches:
        rows = np.resize(np.arange(len(inputs)), batch)
        times: list[list[float]] = [[], []]
        for call in range(CALLS + WARM):
            part = inputs[(rows + call) % len(inputs)]
            for side, session in zip(times, (first, second), strict=True):
                begun = time.perf_counter()
                session.outputs(part)
                side.append(time.perf_counter() - begun)
        middle = [1000 * float(np.median(side[WARM:])) for side in times]
        found.append(Latency(batch, *middle))
    return found


def difference(before: Path, after: Path, inputs: NDArray[np.floating]) -> Difference:
    """Of the two files' outputs, as onnxruntime computes them."""
    first, second = _Session(before), _Session(after)
    largest, classes = 0.0, 0
    for start in range(0, len(inputs), 1024):
        part = inputs[start : start + 1024]
        a, b = first.outputs(part), second.outputs(part)
        largest = max(largest, float(np.abs(a - b).max()))
        classes += int((a.argmax(1) != b.argmax(1)).sum())
    return Difference(len(inputs), largest, classes)


class _Session:
    """A file in onnxruntime, one thread."""

    def __init__(self, path: Path) -> None:
        self.session = onnx_session(str(path))
        first = self.session.get_inputs()[0]
        self.name = first.name
        self.dtype = np.float64 if "double" in first.type else np.float32
        self.batch = first.shape[0] if isinstance(first.shape[0], int) else None
        self.shape = [size if isinstance(size, int) else None for size in first.shape[1:]]

    def outputs(self, part: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N, K)"""
        shape = part.shape[1:] if None in self.shape or not self.shape else tuple(self.shape)
        x = np.ascontiguousarray(part, dtype=self.dtype).reshape(len(part), *shape)
        pieces = np.split(x, len(x)) if self.batch == 1 else [x]
        found = [self.session.run(None, {self.name: piece})[0] for piece in pieces]
        return np.concatenate(found).reshape(len(part), -1).astype(np.float64)
