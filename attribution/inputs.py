"""Model inputs in any of the forms a model takes: one tensor, a tuple, or a dict.

Rows are the first axis of every tensor.  Entries that are not tensors are passed on as
they are.  A NaN is an error that names where it stands, and so is an infinity, but among
several tensors, where a mask may hold −inf.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precond.errors import DataError


@dataclass(frozen=True, eq=False)
class Inputs:
    """Positional and keyword arguments of one forward call, with a common number of rows."""

    positional: tuple[Any, ...]
    keywords: Mapping[str, Any]

    @classmethod
    def read(
        cls, values: Any, *, device: torch.device, dtype: torch.dtype | None, first: int = 0
    ) -> Inputs:
        """From a tensor or array, a tuple of them, or a dict of keyword arguments.

        Floating numbers are converted to ``dtype`` (None: kept), whole numbers (tokens) are kept.
        ``first``: number of the first row, for messages.
        """

        def tensor(value: Any) -> Any:
            if isinstance(value, np.ndarray):
                value = torch.as_tensor(np.ascontiguousarray(value))
            if not isinstance(value, Tensor):
                return value
            value = value.detach().to(device)
            return value if dtype is None or not value.is_floating_point() else value.to(dtype)

        if isinstance(values, Inputs):
            values = values.keywords or values.positional
        if isinstance(values, Mapping):
            result = cls((), {str(k): tensor(v) for k, v in values.items()})
        elif isinstance(values, tuple):
            result = cls(tuple(tensor(v) for v in values), {})
        elif isinstance(values, Tensor | np.ndarray):
            result = cls((tensor(values),), {})
        else:
            raise DataError(
                "inputs",
                expected="a tensor or array, a tuple of them, or a dict of keyword arguments",
                got=type(values).__name__,
            )
        _ = result.rows
        result.check(first, infinite=len(result.tensors) > 1)
        return result

    def check(self, first: int = 0, *, infinite: bool = False) -> None:
        """DataError that names the first NaN, or infinity unless ``infinite`` lets it be."""
        for name, value in self.floats.items():
            require_finite(name, value, first, infinite=infinite)

    @property
    def tensors(self) -> list[Tensor]:
        every = [*self.positional, *self.keywords.values()]
        return [value for value in every if isinstance(value, Tensor)]

    @property
    def rows(self) -> int:
        """Number of rows."""
        lengths = {value.shape[0] if value.dim() else 0 for value in self.tensors}
        if len(lengths) != 1 or 0 in lengths:
            raise DataError(
                "inputs",
                expected="at least one row, and as many in every tensor",
                got=str(sorted(lengths)) if lengths else "no tensor",
            )
        return int(lengths.pop())

    @property
    def floats(self) -> dict[str, Tensor]:
        """Floating tensors by name (``input``, or ``input[i]``, or the keyword)."""
        several = len(self.positional) > 1
        found = {
            (f"input[{i}]" if several else "input"): value
            for i, value in enumerate(self.positional)
            if isinstance(value, Tensor) and value.is_floating_point()
        }
        for name, value in self.keywords.items():
            if isinstance(value, Tensor) and value.is_floating_point():
                found[name] = value
        return found

    def with_floats(self, values: Mapping[str, Tensor]) -> Inputs:
        """The same arguments with some floating tensors replaced."""
        several = len(self.positional) > 1
        return Inputs(
            tuple(
                values.get(f"input[{i}]" if several else "input", value)
                for i, value in enumerate(self.positional)
            ),
            {name: values.get(name, value) for name, value in self.keywords.items()},
        )

    def take(self, rows: slice | Tensor, times: int = 1) -> Inputs:
        """Some rows, each repeated ``times`` times in a row."""

        def part(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            chosen = value[rows]
            return chosen if times == 1 else chosen.repeat_interleave(times, 0)

        return Inputs(
            tuple(part(value) for value in self.positional),
            {name: part(value) for name, value in self.keywords.items()},
        )


def require_finite(
    name: str,
    values: Tensor | NDArray[Any],
    first: int | NDArray[np.integer] = 0,
    *,
    infinite: bool = False,
) -> None:
    """DataError that names row and column of the first NaN or infinity in (N, …) numbers.

    ``first``: the number of the first row, or those of all.  ``infinite``: infinities may be
    there.
    """
    tensor = torch.as_tensor(values)
    if not tensor.is_floating_point():
        return
    bad = torch.isnan(tensor) if infinite else ~torch.isfinite(tensor)
    if not bool(bad.any()):
        return
    rows = tensor.reshape(len(tensor), -1) if tensor.dim() else tensor.reshape(1, 1)
    row, column = divmod(int(bad.reshape(-1).to(torch.uint8).argmax()), rows.shape[1])
    number = first + row if isinstance(first, int) else int(first[row])
    raise DataError(
        f"{name}, row {number}, column {column} (counted from 0)",
        expected="a finite number",
        got=f"{float(rows[row, column])} in {str(tensor.dtype).removeprefix('torch.')}",
        fix="Leave the row out, or replace the number",
    )


def array_rows(values: Any, rows: slice) -> Any:
    """Some rows of inputs that may be larger than memory (arrays are read part by part)."""
    if isinstance(values, Mapping):
        return {name: array_rows(value, rows) for name, value in values.items()}
    if isinstance(values, tuple):
        return tuple(array_rows(value, rows) for value in values)
    return values[rows] if isinstance(values, Tensor | np.ndarray) else values


def count_rows(values: Any) -> int:
    """Number of rows of a tensor, array, tuple or dict of them."""
    if isinstance(values, Mapping):
        values = tuple(values.values())
    if isinstance(values, Sequence):
        lengths = {len(v) for v in values if isinstance(v, Tensor | np.ndarray)}
        if len(lengths) != 1:
            raise DataError("inputs", expected="one length", got=str(sorted(lengths)))
        return lengths.pop()
    return len(values)
