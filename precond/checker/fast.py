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

from precond.checker.cells import Cells
from precond.checker.certificate import Certificate, CheckStopped, Invalid, Linear, Tree, region
from precond.checker.exact import CheckResult, verify
from precond.checker.fast_bounds import CHUNK, FastBounds
from precond.checker.tree import leaves, never
from precond.checker.words import WORD, Fixed, TooLong, add
from precond.network.dyadic import Dyadic, exact
from precond.network.graph import INPUT, Network

Failure = tuple[int, int, float]
Mixed = dict[str, Dyadic]  # forms (G, R, m) of the output's and the input's values


def check_fast(
    certificate: Certificate, network: Network, stopped: Callable[[], bool] = never
) -> CheckResult:
    """Whether ``certificate`` proves its statement of ``network``; asks at every leaf whether it
    is to be ``stopped``."""
    try:
        verify(certificate, network)
        if not certificate.bits:
            raise TooLong("it needs longer numbers than words hold")
        checker = FastBounds(network, certificate)
        for t, tree in enumerate(certificate.trees):
            for leaf, conjunct, bound in failures(checker, t, tree, stopped=stopped):
                where = f"tree {t}, leaf {leaf}: way to fail {conjunct} is not contradicted"
                return CheckResult(valid=False, where=f"{where} ({bound:.3g})")
    except (TooLong, OverflowError, CheckStopped) as error:
        return CheckResult(valid=False, where=str(error), decided=False)
    except Invalid as error:
        return CheckResult(valid=False, where=str(error))
    return CheckResult(valid=True)


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
    mixed, forms = _mix(checker.network, ways, weights)
    total, short = words(mixed, WORD), {}
    for name, x in forms.items():
        short[name] = words(x, checker.bits)
        if short[name].e > x.e:
            mass = cells.mass(name)
            total = add(total, Fixed(mass.n, short[name].e + mass.e))
    found = checker.bound(cells, short, record, total)
    owner = np.repeat(range(len(ways)), [len(way) for way in ways])
    sharp = (weights > 0) & np.array([i.strict for way in ways for i in way], dtype=bool)
    strict = np.stack([sharp[:, owner == c].any(1) for c in range(len(ways))], 1)
    open_ = ~((found.n > 0) | strict & (found.n >= 0) | cells.empty[:, None])
    for g, c in np.argwhere(open_).tolist():
        yield g, c, _about(float(found.n[g, c]), found.e)


def _mix(
    network: Network, ways: list[tuple[Linear, ...]], weights: NDArray[np.float64]
) -> tuple[Dyadic, Mixed]:
    """``Σ w bound`` (G, R) and the forms of ``−Σ w (outputs · y + inputs · x)``, exactly."""
    parts = [(r, part) for r, way in enumerate(ways) for part in way]
    terms = [(*part.outputs, *part.inputs) for _, part in parts]
    numbers = [
        [part.bound, *(-v for _, v in own)] for (_, part), own in zip(parts, terms, strict=True)
    ]
    given = exact(np.array([v for row in numbers for v in row], dtype=np.float64))
    mix, at, shape = exact(weights), 0, (len(weights), len(ways))
    total = np.zeros(shape, dtype=object)
    sizes = {network.output: network.output_size, INPUT: network.input_size}
    # The output's form is there even if it is zero: it carries a record's multipliers down.
    forms = {network.output: np.zeros((*shape, network.output_size), dtype=object)}
    for j, (r, part) in enumerate(parts):
        total[:, r] += mix.n[:, j] * given.n[at]
        at += 1
        for name, own in ((network.output, part.outputs), (INPUT, part.inputs)):
            if own and name not in forms:
                forms[name] = np.zeros((*shape, sizes[name]), dtype=object)
            for k, _ in own:
                forms[name][:, r, k] += mix.n[:, j] * given.n[at]
                at += 1
    e = mix.e + given.e
    return Dyadic(total, e), {name: Dyadic(n, e) for name, n in forms.items()}


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
    r, root = checker.given.refinements, region(checker.given.statement, checker.network)
    found = leaves(tree, root, stopped)
    while some := list(islice(found, max(1, 2 * CHUNK // (root.size + checker.rows)))):
        known = None
        frames = {frame: around for _, _, frame, around in some}
        place = {frame: k for k, frame in enumerate(frames)}
        if -1 not in frames:
            states = np.stack(list(frames.values()), 1)
            known = checker.derive(states, refine=[r.of(t, f) for f in frames])
            known = known.rows(np.array([place[frame] for _, _, frame, _ in some]))
        cells = checker.derive(np.stack([state for _, state, _, _ in some], 1), known)
        if known is not None:
            cells.empty |= known.empty
        yield from closes(checker, tree, [number for number, *_ in some], cells=cells)


def words(x: Dyadic, bits: int) -> Fixed:
    """Rounded down to ``bits`` bits of the largest."""
    kept = x.short(bits)
    return Fixed(kept.n.astype(np.float64), kept.e)
