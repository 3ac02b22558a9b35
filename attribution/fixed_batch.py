"""Modules that fix their batch size, as ``x.view(1, -1)`` in ``forward`` does.

Averages over points run many points as one batch, which such a module refuses or mixes up.
It is run on one row at a time instead where the caller asks for it (``chunk=1``), and the
error says so otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from attribution.inputs import Inputs
from attribution.slices import run
from precond.errors import DataError, ModelError


class RowByRow(nn.Module):
    """``module`` on each row of its inputs; outputs are joined again."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *positional: Any, **named: Any) -> Tensor:
        tensors = [v for v in (*positional, *named.values()) if isinstance(v, Tensor)]
        results = []
        for row in range(len(tensors[0])):
            part = slice(row, row + 1)
            results.append(self.module(*_rows(positional, part), **_named(named, part)))
        return torch.cat(results)


def fixes_batch(module: nn.Module, inputs: Inputs) -> bool:
    """Whether the module takes one row and not the same row twice."""
    return _lengths(module, inputs, 1) and not _lengths(module, inputs, 2)


@contextmanager
def explained(module: nn.Module, inputs: Inputs, fix: str) -> Iterator[None]:
    """What fails within because the module fixes its batch size fails with that reason."""
    try:
        yield
    except (DataError, RuntimeError, ValueError, IndexError) as error:
        if not fixes_batch(module, inputs):
            raise
        raise ModelError(
            f"module {type(module).__name__}",
            expected="one that takes any batch size",
            got="a batch size fixed in forward, as by x.view(1, -1)",
            fix=fix,
        ) from error


def _lengths(module: nn.Module, inputs: Inputs, count: int) -> bool:
    """Whether ``count`` rows go in and as many come out."""
    try:
        with torch.no_grad():
            output = run(module, inputs.take(slice(0, 1), count)).output
    except (DataError, RuntimeError, ValueError, IndexError):
        return False
    return isinstance(output, Tensor) and output.dim() > 0 and len(output) == count


def _rows(values: tuple[Any, ...], part: slice) -> list[Any]:
    return [value[part] if isinstance(value, Tensor) else value for value in values]


def _named(values: Mapping[str, Any], part: slice) -> dict[str, Any]:
    return dict(zip(values, _rows(tuple(values.values()), part), strict=True))
