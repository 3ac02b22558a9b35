"""What ``precond supports`` answers; it needs the reader of model files, and no prover."""

from __future__ import annotations

from precond.formats.onnx.operators import OPERATORS
from precond.vnnlib.standard import Capability, Reader, supports

OPSETS = (7, 24)  # of ONNX, as ``formats/onnx/operators.py`` reads them


def capability(flag: str) -> str:
    """What ``precond supports FLAG`` prints; QueryError for a flag that is none."""
    own = tuple(name for name in OPERATORS if "::" not in name)  # of the standard's domain
    return supports(Capability.named(flag), Reader(OPSETS, own))
