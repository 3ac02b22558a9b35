"""``Objective``: the linear forms that a backward pass bounds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from precond.basics.shapes import Float
from precond.proof.rows import Forms


@dataclass(frozen=True, eq=False)
class Objective:
    """Rows ``form · value(node) + inputs · x + constant``: ``form`` (G or 1, R, width of the
    node), ``constant`` (G or 1, R), ``inputs`` (G or 1, R, n) or None."""

    node: str
    form: Float[Tensor, "_ rows units"]
    constant: Float[Tensor, "_ rows"]
    inputs: Float[Tensor, "_ rows inputs"] | None = None

    @classmethod
    def of(cls, rows: Forms, output: str) -> Objective:
        """The rows of conjuncts, about the ``output`` of a network."""
        if rows.form.ndim == 3:
            return cls(output, rows.form, rows.constant, inputs=rows.inputs)
        inputs = None if rows.inputs is None else rows.inputs[None]
        return cls(output, rows.form[None], rows.constant[None], inputs=inputs)

    def to(self, dtype: torch.dtype) -> Objective:
        """In another number type."""
        inputs = None if self.inputs is None else self.inputs.to(dtype)
        return Objective(self.node, self.form.to(dtype), self.constant.to(dtype), inputs=inputs)
