"""Whether the device that was asked for is there."""

from __future__ import annotations

from precond.basics.arguments import described
from precond.errors import PrecondError, QueryError


def require_device(device: str) -> None:
    """PrecondError if ``device`` is ``cuda`` and there is none, or is no device of torch's."""
    if device == "cpu":
        return
    import torch

    try:
        kind = torch.device(device).type
    except (RuntimeError, TypeError):
        kind = ""
    if kind not in ("cpu", "cuda"):
        raise QueryError("device", expected="cpu or cuda", got=described(device))
    if kind == "cuda" and not torch.cuda.is_available():
        raise PrecondError(
            "--device cuda", expected="a CUDA device", got="none", fix="Use --device cpu"
        )
