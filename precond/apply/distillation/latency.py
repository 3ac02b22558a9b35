"""Milliseconds per call of several methods, measured side by side.

Latency is wall-clock time per call; processor time, which other programs stretch less, is given
beside it.  The methods take turns, round after round, so that a busy machine is busy for all of
them, and the median round counts.  A round is the mean over inputs from all over the test
inputs, since an early answer costs less than a late one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

BATCHES = (1, 256)
ROUNDS = {1: 7, 256: 9}
INPUTS = {1: 400, 256: 1024}  # spread evenly over the test inputs
Run = Callable[[Tensor], Tensor]
Times = tuple[float | None, ...]


def latencies(runs: dict[str, Run], inputs: Tensor) -> tuple[dict[str, Times], dict[str, Times]]:
    """Milliseconds per call at every batch size: wall-clock, and of the processor."""
    wall: dict[str, list[float | None]] = {name: [] for name in runs}
    processor: dict[str, list[float | None]] = {name: [] for name in runs}
    for size in BATCHES:
        count = min(INPUTS[size], len(inputs)) // size * size
        spread = inputs[torch.linspace(0, max(0, len(inputs) - 1), count).long()]
        parts = list(torch.split(spread, size)) if count else []
        rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
        if parts:
            with torch.inference_mode():
                for _ in range(ROUNDS[size]):
                    for name, run in runs.items():
                        rounds[name].append(_round(run, parts))
        for name, times in rounds.items():
            for place, found in enumerate((wall, processor)):
                each = [pair[place] for pair in times[1:]]  # the first warms up
                found[name].append(float(np.median(each)) if each else None)
    return (
        {name: tuple(times) for name, times in wall.items()},
        {name: tuple(times) for name, times in processor.items()},
    )


def _round(run: Run, parts: Sequence[Tensor]) -> tuple[float, float]:
    """Milliseconds per call, on the wall and of the processor."""
    cuda = parts[0].is_cuda
    if cuda:
        torch.cuda.synchronize()
    begun, work = time.perf_counter(), time.process_time()
    for part in parts:
        run(part)
    if cuda:
        torch.cuda.synchronize()
    each = 1000 / len(parts)
    return each * (time.perf_counter() - begun), each * (time.process_time() - work)
