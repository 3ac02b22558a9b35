"""Arguments of one aten operator call, looked up by what they are.

A missing argument has the schema's default.  Plain numbers in a float32 program are float32
numbers, as torch computes with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from precond.errors import ModelError
from precond.formats.lowering.basic import Operand
from precond.formats.lowering.builder import NetworkBuilder, Value

Result = Operand | Sequence[Operand]
"""Of an operator."""


@dataclass(frozen=True)
class Arguments:
    """Arguments of one call, references already replaced by values, tensors and sizes."""

    builder: NetworkBuilder
    named: Mapping[str, object]
    single: bool  # numbers are float32
    last: bool  # nothing but the program's output reads the result

    def get(self, name: str, default: object = None) -> object:
        found = self.named.get(name, default)
        return default if found is None else found

    def operand(self, name: str) -> Operand:
        """A computed value, or a constant tensor or number as an array."""
        return self.as_operand(self.get(name), name)

    def as_operand(self, found: object, name: str) -> Operand:
        if isinstance(found, Value | np.ndarray):
            return found
        if isinstance(found, np.ndarray):
            return found
        if isinstance(found, torch.Tensor):
            return found.detach().cpu().to(torch.float64).numpy()
        if isinstance(found, int | float):
            return np.asarray(self.rounded(found))
        raise ModelError(f"argument {name}", expected="a tensor or a number", got=str(found))

    def rounded(self, number: float) -> float:
        return float(np.float32(number)) if self.single else float(number)

    def value(self, name: str = "self") -> Value:
        found = self.operand(name)
        if not isinstance(found, Value):
            raise ModelError(f"argument {name}", expected="a computed tensor", got="a constant")
        return found

    def constant(self, name: str) -> np.ndarray:
        found = self.operand(name)
        if isinstance(found, Value):
            raise ModelError(f"argument {name}", expected="a constant", got="a computed tensor")
        return found

    def optional(self, name: str) -> np.ndarray | None:
        return None if self.get(name) is None else self.constant(name)

    def number(self, name: str, default: float) -> float:
        found = self.get(name, default)
        if not isinstance(found, int | float):
            raise ModelError(f"argument {name}", expected="a number", got=str(found))
        return self.rounded(found)

    def integer(self, name: str, default: int = 0) -> int:
        found = self.get(name, default)
        if not isinstance(found, int):
            raise ModelError(f"argument {name}", expected="an integer", got=str(found))
        return int(found)

    def integers(self, name: str, default: Sequence[int] = ()) -> list[int]:
        found = self.get(name, default)
        items = [found] if isinstance(found, int) else found
        if not isinstance(items, Sequence) or not all(isinstance(item, int) for item in items):
            raise ModelError(f"argument {name}", expected="integers", got=str(found))
        return [int(item) for item in items]
