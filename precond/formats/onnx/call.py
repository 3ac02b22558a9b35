"""One node of an ONNX graph, with its operands and attributes looked up by what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from precond.errors import ModelError
from precond.formats.lowering.basic import Operand
from precond.formats.lowering.builder import NetworkBuilder, Value


@dataclass(frozen=True, kw_only=True)
class Call:
    """One node of an ONNX graph with its operands looked up."""

    builder: NetworkBuilder
    opset: int
    operands: Sequence[Operand | None]
    attributes: Mapping[str, object]
    outputs: int
    last: bool  # nothing but the graph's output reads the result

    def operand(self, position: int) -> Operand:
        operand = self.optional(position)
        if operand is None:
            raise ModelError(f"input {position}", expected="a tensor", got="none")
        return operand

    def optional(self, position: int) -> Operand | None:
        return self.operands[position] if position < len(self.operands) else None

    def value(self, position: int = 0) -> Value:
        operand = self.operand(position)
        if not isinstance(operand, Value):
            raise ModelError(f"input {position}", expected="a computed tensor", got="a constant")
        return operand

    def constant(self, position: int) -> np.ndarray | None:
        operand = self.optional(position)
        if isinstance(operand, Value):
            raise ModelError(
                f"input {position}", expected="a constant", got="a tensor computed from the input"
            )
        return operand

    def required(self, position: int) -> np.ndarray:
        found = self.constant(position)
        if found is None:
            raise ModelError(f"input {position}", expected="a constant", got="none")
        return found

    def integer(self, name: str, default: int) -> int:
        found = self.attributes.get(name, default)
        assert isinstance(found, int)
        return found

    def number(self, name: str, default: float) -> float:
        found = self.attributes.get(name, default)
        assert isinstance(found, int | float)
        return float(found)

    def text(self, name: str, default: str) -> str:
        found = self.attributes.get(name, default)
        return found.decode() if isinstance(found, bytes) else str(found)

    def integers(self, name: str) -> list[int] | None:
        found = self.attributes.get(name)
        if found is None:
            return None
        assert isinstance(found, Sequence)
        return [int(value) for value in found]

    def listed(self, name: str, position: int) -> list[int] | None:
        """Integers that old opsets keep in an attribute and new ones in an input."""
        if name in self.attributes:
            return self.integers(name)
        found = self.constant(position)
        return None if found is None else [int(value) for value in np.ravel(found)]
