"""WindowGeometry of pools: which lie in the padding alone, without a look at each of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from precond.errors import ModelError
from precond.network.windows import WindowGeometry


def has_empty_window(kernel: int, stride: int, pads: tuple[int, int], step: int, size: int) -> bool:
    """By the definition: every window, every position."""
    count = (size + sum(pads) - step * (kernel - 1) - 1) // stride + 1
    starts = np.arange(count) * stride - pads[0]
    places = starts[:, None] + np.arange(kernel) * step
    return bool((~((places >= 0) & (places < size)).any(1)).any())


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_window_in_the_padding_alone_is_refused(size: int) -> None:
    tried = 0
    for kernel, stride, before, after, step in itertools.product(
        range(1, 4), range(1, 4), range(5), range(5), range(1, 5)
    ):
        if size + before + after < step * (kernel - 1) + 1:
            continue
        windows = WindowGeometry((kernel, 1), (stride, 1), (before, 0, after, 0), (step, 1))
        refused = has_empty_window(kernel, stride, (before, after), step, size)
        if refused:
            with pytest.raises(ModelError, match="a window in the padding alone"):
                windows.require_values((size, 1))
        else:
            windows.require_values((size, 1))
        tried += refused
    assert tried


def test_huge_padding_costs_nothing() -> None:
    with pytest.raises(ModelError, match="padding alone"):
        WindowGeometry((2, 2), (1, 1), (2**31, 0, 0, 0), (1, 1)).require_values((4, 4))
