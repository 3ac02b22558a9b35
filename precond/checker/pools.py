"""Max-pools as the checkers bound them: arrays of integers, of Python's or held in floats.

For inputs z of a window with l ≤ z ≤ u: every mean of them lies below the maximum.  Let z be the
input with the largest u, and m the largest upper bound of the others.  If l ≥ m, z is the
maximum.  Otherwise the maximum is at most ``max(z, m)``, and ``max(z, m) − λ z`` is convex in z,
so for every λ ≥ 0 it is at most the larger of ``m − λ l`` and ``u − λ u``: the line
``λ z + max(m − λ l, u − λ u)`` lies above.  A λ that is rounded is still one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from precond.network.graph import Network
from precond.network.layers import MaxPool2d

Array = NDArray[Any]
GRAINS = 64  # of a mean's weights


class WindowLines(NamedTuple):
    """Weights of the mean below (…, m, k); the flat index of z, and the slope and intercept of
    its line above (…, m); bounds of the maximum (…, m).  Weights and slopes are in units of
    2^-p, the intercept in 2^-p of the unit that the bounds are in."""

    below: Array
    peak: Array
    slope: Array
    shift: Array
    low: Array
    high: Array


class _Contest(NamedTuple):
    lows: Array
    highs: Array
    peak: Array
    low: Array
    high: Array
    second: Array


def _contest(windows: Array, low: Array, high: Array) -> _Contest:
    """Members' bounds (…, m, k), padding below all others; the one with the largest upper bound
    (…, m, 1), its bounds, and the largest upper bound of the others (…, m)."""
    outside, inside = low.min() - 1, windows >= 0
    lows, highs = (np.where(inside, ends[..., windows], outside) for ends in (low, high))
    peak = highs.argmax(-1)[..., None]
    others = highs.copy()
    np.put_along_axis(others, peak, outside, -1)
    at_low, at_high = (np.take_along_axis(each, peak, -1)[..., 0] for each in (lows, highs))
    return _Contest(lows, highs, peak, low=at_low, high=at_high, second=others.max(-1))


def pool_lines(windows: Array, low: Array, high: Array, *, one: Any) -> WindowLines:
    """Of a max-pool over bounds (…, n); ``windows`` (m, k), −1 is padding; ``one`` = 2^p."""
    found = _contest(windows, low, high)
    exact = found.low >= found.second
    chord = ~exact & (found.second < found.high)
    width = np.where(chord, found.high - found.low, 1)
    slope = np.where(chord, (found.high - found.second) * one // width, 0)
    ends = [found.second * one - slope * found.low, (one - slope) * found.high]
    shift = np.where(exact, 0, np.maximum(*ends))
    below = _mean(found, windows >= 0) * (one // GRAINS)
    only = np.zeros_like(below)
    np.put_along_axis(only, found.peak, one, -1)
    peak = np.take_along_axis(np.broadcast_to(windows, found.lows.shape), found.peak, -1)[..., 0]
    return WindowLines(
        below=np.where(exact[..., None], only, below),
        peak=peak,
        slope=np.where(exact, one, slope),
        shift=shift,
        low=found.lows.max(-1),
        high=found.high,
    )


def _mean(found: _Contest, inside: Array) -> Array:
    """Grains of each member, of those whose middle is near the highest; they sum to GRAINS."""
    middle = np.where(inside, found.lows + found.highs, 2 * found.lows)
    at = middle.argmax(-1)[..., None]
    reach = np.where(inside, found.highs - found.lows, 0).max(-1)[..., None]
    behind = np.take_along_axis(middle, at, -1) - middle
    weight = np.where(inside, np.maximum(3 * reach - 10 * behind, 0), 0)
    total = weight.sum(-1)[..., None]
    grains = GRAINS * weight // np.where(total > 0, total, 1)
    rest = GRAINS - grains.sum(-1)[..., None]
    np.put_along_axis(grains, at, np.take_along_axis(grains, at, -1) + rest, -1)
    return grains


def contenders(windows: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Which entries (…, n) may be a window's maximum, and which of them in a window whose maximum
    is open."""
    found = _contest(windows, low, high)
    may = (found.highs >= found.lows.max(-1)[..., None]) & (windows >= 0)
    open_ = may & (found.low < found.second)[..., None]
    flat = np.zeros((2, *low.shape), np.bool_)
    for k, places in enumerate(windows.T):  # one place of all windows: no entry twice
        inside = places >= 0
        for kind, flags in enumerate((may, open_)):
            flat[kind][..., places[inside]] |= flags[..., inside, k]
    return flat[0], flat[1]


def windows_of(network: Network, name: str) -> Array:
    """(m, k) flat indices that a max-pool reads, −1 in padding."""
    node = network.node[name]
    assert isinstance(node.layer, MaxPool2d)
    return node.layer.windows(network.shapes[node.inputs[0]])


def pair(n: Array) -> tuple[Array, Array]:
    """Lower and upper bounds from lower bounds of values and their negatives, (2, …)."""
    return n[0], -n[1]


Ends = Callable[[], tuple[Array, Array]]


def counting(network: Network, name: str, ends: Ends, values: Ends) -> Iterator[Array]:
    """Entries (…, m) of what nonlinear node ``name`` reads whose bounds count, one set after the
    other: where the sign is open, and those that may win a max-pool's window whose winner is open.

    ``ends`` gives bounds of what it reads as they are by then, ``values`` those of its own values.
    """
    low, high = ends()
    if isinstance(network.node[name].layer, MaxPool2d):
        yield contenders(windows_of(network, name), low, high)[1] & (low < high)
        return
    readers = [node for node in network.nodes if name in node.inputs]
    pools = [windows_of(network, n.name) for n in readers if isinstance(n.layer, MaxPool2d)]
    open_ = (low < 0) & (high > 0)
    if not pools:
        yield open_
        return

    def flags(kind: int) -> Array:
        return np.asarray(np.any([contenders(w, *values())[kind] for w in pools], axis=0))

    if name != network.output and len(pools) == len(readers):
        open_ &= flags(0)
    yield open_
    low, high = values()
    yield flags(1) & (low < high) & ~open_
