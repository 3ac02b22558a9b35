"""SafeTensors files: a header in JSON with the place of each tensor, then raw numbers.

Eight bytes of length (little-endian), the header, the numbers.  Nothing in such a file can run
code, and nothing is read past its end.  (github.com/huggingface/safetensors, "Format".)
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch

from precond.errors import ModelError

LONGEST = 100_000_000  # bytes of a header, the format's own limit
DTYPES = {
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "F32": torch.float32,
    "F64": torch.float64,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file by name; ModelError where it is broken."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    if len(raw) < 8 or not 0 < length <= min(LONGEST, len(raw) - 8):
        raise _broken(path, f"a header of {length} bytes in a file of {len(raw)}")
    try:
        header = json.loads(raw[8 : 8 + length])
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        return {name: _tensor(entry, raw, 8 + length) for name, entry in entries.items()}
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise _broken(path, f"{type(error).__name__}: {error}".splitlines()[0][:200]) from error


def _tensor(entry: dict[str, Any], raw: bytes, data: int) -> torch.Tensor:
    dtype, shape = DTYPES[entry["dtype"]], [int(size) for size in entry["shape"]]
    start, end = (int(place) for place in entry["data_offsets"])
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or start < 0 or end - start != size or data + end > len(raw):
        raise ValueError(f"{size} bytes of shape {shape} at {start} to {end}")
    if not size:
        return torch.zeros(shape, dtype=dtype)
    values = bytearray(raw[data + start : data + end])
    return torch.frombuffer(values, dtype=dtype).reshape(shape)


def _broken(path: Path, got: str) -> ModelError:
    return ModelError(f"{path}", expected="a whole SafeTensors file", got=got)
