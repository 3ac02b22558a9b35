"""Sums of products as the error bounds assume them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def plain_sums(device: str) -> Iterator[None]:
    """Convolutions as sums of products, which the error bounds γ_n assume: cuDNN may choose
    FFT or Winograd algorithms, whose rounding is another, so it is left out on a GPU."""
    if torch.device(device).type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(enabled=False):
        yield
