"""What the parts of a fast path cost, measured in onnxruntime beside the plain network."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from torch import Tensor

from precond.apply.distillation.linear_exit import LinearExit
from precond.apply.distillation.runtime import OnnxRun
from precond.apply.distillation.thresholds import Prices
from precond.apply.distillation.votes import VoteExit
from precond.apply.distillation.write_onnx import exit_model, part_model, plain_model
from precond.network.graph import INPUT, Network
from precond.network.module import NetworkSegment
from precond.network.parts import head

CALLS = 15


def measured_prices(
    network: Network, exits: Sequence[VoteExit | LinearExit], inputs: Tensor
) -> Prices:
    """Parts of the plain network's time: the mean of one input alone and of all at once.

    ``exits``: in the order of their cuts.
    """
    cuts = [INPUT, *(exit.cut for exit in exits)]
    models = [
        part_model(head(network, INPUT) if a == b else network, a, "same" if a == b else b)
        for a, b in pairwise(cuts)
    ]
    models.append(part_model(network, cuts[-1], network.output))
    models += [exit_model(network, exit) for exit in exits]
    given = [*cuts, *cuts[1:]]
    runs = [OnnxRun(model) for model in models]
    plain, empty = (
        OnnxRun(plain_model(network)),
        OnnxRun(part_model(head(network, INPUT), INPUT, "same")),
    )
    found = np.zeros(len(runs))
    for part in (inputs[:1], inputs):
        call = _seconds(empty, part)
        unit = max(_seconds(plain, part) - call, 1e-9)
        times = [
            _seconds(run, _value(network, cut, part)) - call
            for run, cut in zip(runs, given, strict=True)
        ]
        found += np.maximum(times, 0.0) / (2 * unit)
    parts = len(cuts)
    return Prices(tuple(found[:parts].tolist()), tuple(found[parts:].tolist()))


def _value(network: Network, cut: str, inputs: Tensor) -> Tensor:
    if cut == INPUT:
        return inputs
    with torch.inference_mode():
        return cast(Tensor, NetworkSegment(network, INPUT, [cut])(inputs)[0]).contiguous()


def _seconds(run: Callable[[Tensor], object], value: Tensor) -> float:
    """The least of a few calls, which other programs delay least."""
    run(value)
    times = []
    for _ in range(CALLS):
        begun = time.perf_counter()
        run(value)
        times.append(time.perf_counter() - begun)
    return min(times)
