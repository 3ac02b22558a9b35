"""A torch module → an exported program, in evaluation mode, the module left as it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from precond.errors import ModelError
from precond.formats.lowering.interface import InputShape

NO_CODE = "Check input_shape, or export the module yourself"


def exported(module: torch.nn.Module, shape: InputShape) -> torch.export.ExportedProgram:
    """``module`` exported on zeros of ``shape`` (without the batch axis), of several arguments by
    their names, with an open batch where it allows one."""
    first = next(iter(module.parameters()), torch.zeros(()))
    modes = [(part, part.training) for part in module.modules()]
    failure: Exception | None = None
    try:
        for part, _ in modes:
            part.training = False
        for batch, sizes in ((2, {0: torch.export.Dim.DYNAMIC}), (1, None)):
            args, named, dynamic = _samples(shape, batch, first, sizes=sizes)
            try:
                return torch.export.export(module, args, named, dynamic_shapes=dynamic)
            except Exception as error:  # export raises whatever the module's own code raises
                failure = error
    finally:
        for part, training in modes:
            part.training = training
    reason = (str(failure).strip() or type(failure).__name__).splitlines()[0]
    raise ModelError(
        f"module {type(module).__name__}",
        expected=f"one that torch.export.export accepts on inputs of shape {shape}",
        got=reason,
        fix=NO_CODE,
    ) from failure


def _samples(
    shape: InputShape, batch: int, like: torch.Tensor, sizes: dict[int, Any] | None
) -> tuple[tuple[torch.Tensor, ...], dict[str, torch.Tensor], Any]:
    """Arguments by position and by name, and which of their sizes are open."""

    def zeros(own: Any) -> torch.Tensor:
        return torch.zeros((batch, *own), dtype=like.dtype, device=like.device)

    if isinstance(shape, Mapping):
        named = {name: zeros(own) for name, own in shape.items()}
        return (), named, None if sizes is None else dict.fromkeys(named, sizes)
    return (zeros(shape),), {}, None if sizes is None else (sizes,)
