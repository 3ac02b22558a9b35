"""Milliseconds per call of several methods, measured side by side.

The methods take turns every few calls, so that what else the machine does is the same for all of
them, and yet each finds its own weights in the cache as it does in use.  Every input is called
several times and its median counts; the time of a method is the mean over inputs from all over
the test inputs, since an early answer costs less than a late one.  Wall-clock time, and beside it
the processor time of this process, which other programs stretch less.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precond.basics.evenly import evenly

BATCHES = (1, 8, 64, 256)
REPEATS = 9  # of every input, the first to warm up
INPUTS = {1: 400, 8: 400, 64: 512, 256: 1024}  # spread evenly over the test inputs
TURN = 25  # inputs that a method has in one turn
Run = Callable[[Tensor], object]
Times = tuple[float | None, ...]
Key = TypeVar("Key")


def latencies(runs: dict[Key, Run], inputs: Tensor) -> tuple[dict[Key, Times], dict[Key, Times]]:
    """Milliseconds per call at every batch size: wall-clock, and of the processor."""
    found: list[dict[Key, list[float | None]]] = [{key: [] for key in runs} for _ in range(2)]
    for size in BATCHES:
        count = min(INPUTS[size], len(inputs)) // size * size
        spread = inputs[torch.as_tensor(evenly(len(inputs), count))]
        parts = list(torch.split(spread, size)) if count else []
        times = _times(runs, parts, turn=max(1, TURN // size))
        for key in runs:
            for kind, values in enumerate(found):
                each = np.median(times[key][1:, :, kind], axis=0)
                values[key].append(1000 * float(each.mean()) if parts else None)
    wall, processor = ({key: tuple(values) for key, values in one.items()} for one in found)
    return wall, processor


def _times(runs: dict[Key, Run], parts: list[Tensor], turn: int) -> dict[Key, NDArray[np.float64]]:
    """Seconds on the wall and of the processor, (repeats, parts, 2), of every method."""
    times = {key: np.zeros((REPEATS, len(parts), 2)) for key in runs}
    cuda = bool(parts) and parts[0].is_cuda
    with torch.inference_mode():
        for repeat in range(REPEATS):
            for start in range(0, len(parts), turn):
                for key, run in runs.items():
                    for place in range(start, min(start + turn, len(parts))):
                        times[key][repeat, place] = _call(run, parts[place], cuda)
    return times


def _call(run: Run, part: Tensor, cuda: bool) -> tuple[float, float]:
    if cuda:
        torch.cuda.synchronize()
    begun, work = time.perf_counter(), time.process_time()
    run(part)
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - begun, time.process_time() - work
