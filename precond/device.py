"""Whether the device that was asked for is there."""

from __future__ import annotations

from precond.errors import PrecondError


def require_device(device: str) -> None:
    """PrecondError if ``device`` is ``cuda`` and there is none."""
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise PrecondError(
                "--device cuda", expected="a CUDA device", got="none", fix="Use --device cpu"
            )
