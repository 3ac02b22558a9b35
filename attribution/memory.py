"""How many rows fit: bytes of one row's forward and backward pass, measured on one row."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CPU_BYTES = 64 << 20
"""Default for a chunk on the CPU: large enough for the kernels, small enough for the caches."""


class _Tally(TorchDispatchMode):  # type: ignore[no-untyped-call]  # untyped in torch
    """Adds up the bytes of every tensor an operator makes (views not counted)."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped in torch
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            for leaf in tree_leaves(result):
                if isinstance(leaf, Tensor):
                    self.bytes += leaf.numel() * leaf.element_size()
        return result


def tally() -> _Tally:
    return _Tally()


def rows_for(bytes_per_row: int, memory: int | None, device: torch.device) -> int:
    """Rows of one chunk: ``memory`` bytes, or a share of what the device has."""
    if memory is None:
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 4 * CPU_BYTES
        memory = free // 4
    return max(1, memory // max(bytes_per_row, 1))


def fast_layout(value: Tensor) -> Tensor:
    """Float32 images (B, C, H, W) on the CPU with channels innermost in memory, as its
    convolutions prefer by a factor of 1.7; everything else as it is."""
    if value.dim() != 4 or value.device.type != "cpu" or value.dtype != torch.float32:
        return value
    if value.shape[1] == 1 and value.is_contiguous():
        # One channel has both layouts at once; its strides say which is meant.
        _, _, height, width = value.shape
        return value.as_strided(value.shape, (height * width, 1, width, 1))
    return value.contiguous(memory_format=torch.channels_last)
