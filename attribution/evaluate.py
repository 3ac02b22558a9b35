"""Values at a slice and outputs with changed values there, streamed over data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.inputs import Inputs, array_rows, count_rows, require_finite
from attribution.model import as_module, place_of, type_of, undisturbed
from attribution.slices import Slice, flat_output, run
from precond.errors import DataError, QueryError

Array = NDArray[np.float64]
Change = Callable[[Tensor, slice], Tensor]
"""(values (b, *shape) at the slice, input rows) → values to go on with."""
ROWS = 256


def outputs(cut: Slice, inputs: Any, change: Change | None = None) -> Array:
    """Model outputs (N, K); with ``change``, after changing the values at the slice."""
    return _stream(cut, inputs, change, values=False)


def values_at(cut: Slice, inputs: Any) -> Array:
    """Values (N, *shape) at a slice with one part."""
    return _stream(cut, inputs, change=None, values=True)


def _stream(cut: Slice, inputs: Any, change: Change | None, values: bool) -> Array:
    model = as_module(cut.model)
    found = []
    with undisturbed(model), torch.no_grad():
        for start in range(0, count_rows(inputs), ROWS):
            rows = slice(start, start + ROWS)
            part = Inputs.read(
                array_rows(inputs, rows), device=place_of(model), dtype=type_of(model), first=start
            )
            if not values and change is None:
                found.append(flat_output(run(model, part).output))
                continue
            here = _values(cut, model, part)
            if values:
                found.append(here)
                continue
            assert change is not None
            changed = change(here, slice(start, start + len(here)))
            if cut.sites:
                result = run(model, part, interventions={cut.sites[0]: changed})
            else:
                ((name, _),) = part.floats.items()
                result = run(model, part.with_floats({name: changed}))
            found.append(flat_output(result.output))
    return np.asarray(torch.cat(found).double().cpu().numpy())


def _values(cut: Slice, model: torch.nn.Module, part: Inputs) -> Tensor:
    if not cut.sites:
        if len(part.floats) != 1:
            raise QueryError("slice", expected="one input of numbers", got=str(len(part.floats)))
        return next(iter(part.floats.values()))
    if len(cut.sites) != 1:
        raise QueryError("slice", expected="one layer", got=str(cut))
    return run(model, part, read=cut.sites).values[cut.sites[0]]


def outputs_from(cut: Slice, inputs: Any, values: Array) -> Array:
    """Model outputs (N, K) from values (N, *shape) at the slice; ``inputs`` (N, …) supply what
    else the model reads.

    Where they act through the slice alone, one row of them stands for all.
    """
    whole = _from(cut, inputs, values[:2], rows=slice(0, 2))
    if not cut.sites or not _separates(cut, inputs, values[:2], whole=whole):
        return np.concatenate(
            [
                _from(cut, inputs, values[i : i + ROWS], rows=slice(i, i + ROWS))
                for i in range(0, len(values), ROWS)
            ]
        )
    return np.concatenate(
        [
            _from(cut, inputs, values[i : i + ROWS], rows=slice(0, 1))
            for i in range(0, len(values), ROWS)
        ]
    )


def _separates(cut: Slice, inputs: Any, values: Array, whole: Array) -> bool:
    """Whether one input row, zeros or not, gives the same outputs as each value's own."""
    try:
        single = _from(cut, inputs, values, rows=slice(0, 1))
        other = _from(cut, inputs, values, rows=slice(0, 1), zeros=True)
    except (DataError, RuntimeError, ValueError, IndexError):
        # The model reads its batch size from its input.
        return False
    return single.shape == whole.shape and bool(
        np.array_equal(single, other) and np.allclose(single, whole, rtol=1e-4, atol=1e-5)
    )


def _from(cut: Slice, inputs: Any, values: Array, rows: slice, zeros: bool = False) -> Array:
    model = as_module(cut.model)
    with undisturbed(model), torch.no_grad():
        place, kind = place_of(model), type_of(model)
        part = Inputs.read(array_rows(inputs, rows), device=place, dtype=kind, first=rows.start)
        if zeros:
            blank = {name: torch.zeros_like(value) for name, value in part.floats.items()}
            part = part.with_floats(blank)
        points = torch.as_tensor(values).to(place, kind)
        require_finite(f"values at {cut}", points)
        if cut.sites:
            result = run(model, part, interventions={cut.sites[0]: points})
        else:
            ((name, _),) = part.floats.items()
            result = run(model, part.with_floats({name: points}))
        return np.asarray(flat_output(result.output).double().cpu().numpy())
