"""The checker in machine words: many leaves at once, in a fraction of the time.

What is valid here is so for the network over the reals, by the same rules as in
``exact``.  It fails where 30 bits are too few (badly scaled weights, bounds that hold with
equality); where numbers would get longer than a word holds, nothing is decided.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from precond.checker.cells import Cells, joined
from precond.checker.certificate import Certificate, CheckStopped, Invalid, Linear, Tree, region
from precond.checker.exact import CheckResult, verify
from precond.checker.fast_bounds import CHUNK, FastBounds
from precond.checker.steps_in_words import frame_bounds, in_words
from precond.checker.tree import Placed, leaves, never
from precond.checker.ways import mixed
from precond.checker.words import Array, TooLong
from precond.network.graph import Network

Failure = tuple[int, int, float]


def check_fast(
    certificate: Certificate, network: Network, stopped: Callable[[], bool] = never
) -> CheckResult:
    """Whether ``certificate`` proves its statement of ``network``; asks at every leaf whether it
    is to be ``stopped``."""
    return _checked(certificate, network, stopped, found=[], most=1)


def check_parts(
    certificate: Certificate, network: Network
) -> tuple[CheckResult, list[tuple[int, int, int, float]]]:
    """The same, and (tree, leaf, conjunct, bound) of every part that is no contradiction."""
    found: list[tuple[int, int, int, float]] = []
    result = _checked(certificate, network, never, found=found, most=None)
    return result, found


def _checked(
    certificate: Certificate,
    network: Network,
    stopped: Callable[[], bool],
    found: list[tuple[int, int, int, float]],
    most: int | None,
) -> CheckResult:
    """Parts that are no contradiction are put to ``found``, up to ``most``."""
    try:
        verify(certificate, network)
        if not certificate.bits:
            raise TooLong("it needs longer numbers than words hold")
        checker = FastBounds(network, certificate)
        for t, tree in enumerate(certificate.trees):
            parts = failures(checker, t, tree, stopped=stopped)
            found += ((t, *part) for part in islice(parts, most))
            if most is not None and len(found) >= most:
                break
    except (TooLong, OverflowError, CheckStopped) as error:
        return CheckResult(valid=False, where=str(error), decided=False)
    except Invalid as error:
        return CheckResult(valid=False, where=str(error))
    if not found:
        return CheckResult(valid=True)
    t, leaf, conjunct, bound = found[0]
    where = f"tree {t}, leaf {leaf}: way to fail {conjunct} is not contradicted ({bound:.3g})"
    return CheckResult(valid=False, where=where)


def closes(checker: FastBounds, tree: Tree, numbers: list[int], cells: Cells) -> Iterator[Failure]:
    """The leaves ``numbers`` of ``tree``, one in each cell, that are no contradiction."""
    ways = [checker.given.statement.conjuncts[c] for c in tree.conjuncts]
    first = np.cumsum([0, *(len(way) for way in ways)])
    width = checker.network.output_size + checker.network.input_size + checker.rows
    block = max(1, CHUNK // (len(numbers) * width))
    for begin in range(0, len(ways), block):
        some = ways[begin : begin + block]
        columns = slice(first[begin], first[begin + len(some)])
        weights = tree.weights[numbers, columns].astype(np.float64)
        rows = slice(begin, begin + len(some))
        record = np.asarray(tree.record[numbers, rows])
        for g, c, bound in _open(checker, some, weights, record=record, cells=cells):
            yield numbers[g], tree.conjuncts[begin + c], bound


def _open(
    checker: FastBounds,
    ways: list[tuple[Linear, ...]],
    weights: NDArray[np.float64],
    record: NDArray[np.integer],
    cells: Cells,
) -> Iterator[Failure]:
    """(cell, number among ``ways``, bound) of those that are no contradiction; weights (G, all
    inequalities), record (G, ways)."""
    total, forms = in_words(checker, cells, *mixed(checker.network, ways, weights))
    found = checker.bound(cells, forms, record, total)
    owner = np.repeat(range(len(ways)), [len(way) for way in ways])
    sharp = (weights > 0) & np.array([i.strict for way in ways for i in way], dtype=bool)
    strict = np.stack([sharp[:, owner == c].any(1) for c in range(len(ways))], 1)
    open_ = ~((found.n > 0) | strict & (found.n >= 0) | cells.empty[:, None])
    for g, c in np.argwhere(open_).tolist():
        yield g, c, _about(float(found.n[g, c]), found.e)


def _about(n: float, e: int) -> float:
    """``n · 2^e``, or an infinity."""
    try:
        return math.ldexp(n, e)
    except OverflowError:
        return math.copysign(math.inf, n)


def failures(
    checker: FastBounds, t: int, tree: Tree, stopped: Callable[[], bool] = never
) -> Iterator[Failure]:
    """(leaf, conjunct, bound) of every bound that is no contradiction."""
    root = region(checker.given.statement, checker.network)
    known = _Known(checker, t, root)
    found = leaves(tree, root, stopped)
    while some := list(islice(found, max(1, 2 * CHUNK // (root.size + checker.rows)))):
        within = known.of(some)
        cells = checker.derive(np.stack([state for _, state, _, _ in some], 1), within)
        if within is not None:
            cells.empty |= within.empty
        yield from closes(checker, tree, [number for number, *_ in some], cells=cells)


class _Known:
    """Bounds of the frames that leaves lie in."""

    def __init__(self, checker: FastBounds, t: int, root: Array) -> None:
        self.checker, self.tree = checker, t
        self.frames = frame_bounds(checker, t, root)

    def of(self, some: list[Placed]) -> Cells | None:
        """For each leaf, in one cell; None where some leaf lies in no frame."""
        frames = {frame.node: (frame, around) for _, _, frame, around in some if frame is not None}
        if any(frame is None for _, _, frame, _ in some):
            return None
        if self.frames.stepped:
            known = joined([self.frames.of(*own) for own in frames.values()])
        else:
            refine = [self.checker.given.refinements.of(self.tree, node) for node in frames]
            states = np.stack([around for _, around in frames.values()], 1)
            known = self.checker.derive(states, refine=refine)
        place = {node: k for k, node in enumerate(frames)}
        return known.rows(np.array([place[f.node] for _, _, f, _ in some if f is not None]))
