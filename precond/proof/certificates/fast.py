"""The checker in machine words: many leaves at once, in a fraction of the time.

What is valid here is so for the network over the reals, by the same rules as in
``precond.checker``.  It fails where 30 bits are too few (badly scaled weights, bounds that hold
with equality).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from precond.checker import CheckResult, Invalid, leaves, verify
from precond.network.dyadic import Dyadic, exact
from precond.network.graph import INPUT, Network
from precond.proof.certificates.data import Certificate, Tree, region
from precond.proof.certificates.fast_bounds import CHUNK, Cells, FastBounds
from precond.proof.certificates.words import (
    WORD,
    Fixed,
    add,
)

Failure = tuple[int, int, float]


def check_fast(certificate: Certificate, network: Network) -> CheckResult:
    """Whether ``certificate`` proves its statement of ``network``."""
    try:
        verify(certificate, network)
        if not certificate.bits:
            raise Invalid("it needs longer numbers than words hold: check it without --fast")
        checker = FastBounds(network, certificate)
        for t, tree in enumerate(certificate.trees):
            for leaf, conjunct, bound in failures(checker, t, tree):
                where = f"tree {t}, leaf {leaf}: way to fail {conjunct} is not contradicted"
                return CheckResult(False, f"{where} ({bound:.3g})")
    except Invalid as error:
        return CheckResult(False, str(error))
    return CheckResult(True)


def closes(checker: FastBounds, tree: Tree, numbers: list[int], cells: Cells) -> Iterator[Failure]:
    """The leaves ``numbers`` of ``tree``, one in each cell, that are no contradiction."""
    sizes = checker.network.output_size, checker.network.input_size
    conjuncts = [checker.given.statement.conjuncts[c] for c in tree.conjuncts]
    parts = [i for conjunct in conjuncts for i in conjunct]
    owner = np.repeat(range(len(conjuncts)), [len(c) for c in conjuncts])
    rows = np.zeros((len(parts), sum(sizes) + 1))  # bound − outputs · y − inputs · x
    for j, linear in enumerate(parts):
        rows[j, -1] = linear.bound
        for first, terms in ((0, linear.outputs), (sizes[0], linear.inputs)):
            for k, v in terms:
                rows[j, first + k] -= v  # an output may be named twice
    weights = tree.weights[numbers]
    mix, given = exact(weights), exact(rows)
    spread = mix.n[:, None] * (owner == np.arange(len(conjuncts))[:, None])
    mixed = Dyadic(spread @ given.n, mix.e + given.e)
    total = words(mixed[..., -1], WORD)
    forms: dict[str, Fixed] = {}
    for name, columns in (
        (checker.network.output, slice(0, sizes[0])),
        (INPUT, slice(sizes[0], -1)),
    ):
        x = mixed[..., columns]
        if x.n.any():
            forms[name] = words(x, checker.bits)
            if forms[name].e > x.e:
                mass = cells.mass(name)
                total = add(total, Fixed(mass.n, forms[name].e + mass.e))
    found = checker.bound(cells, forms, tree.record[numbers], total)
    strict = (spread * [i.strict for i in parts] > 0).any(-1)
    open_ = ~((found.n > 0) | strict & (found.n >= 0) | cells.empty[:, None])
    for g, c in np.argwhere(open_):
        yield numbers[g], tree.conjuncts[c], float(found.n[g, c]) * 2.0**found.e


def failures(checker: FastBounds, t: int, tree: Tree) -> Iterator[Failure]:
    """(leaf, conjunct, bound) of every bound that is no contradiction."""
    r, root = checker.given.refinements, region(checker.given.statement, checker.network)
    refine: dict[int, dict[int, int]] = {}
    for k in np.flatnonzero(r.tree == t).tolist():
        refine.setdefault(int(r.node[k]), {})[int(r.bound[k])] = int(r.record[k])
    found = leaves(tree, root)
    while some := list(islice(found, max(1, 2 * CHUNK // root.size))):
        known = None
        frames = {frame: around for _, _, frame, around in some}
        place = {frame: k for k, frame in enumerate(frames)}
        if -1 not in frames:
            states = np.stack(list(frames.values()), 1)
            known = checker.derive(states, refine=[refine.get(f, {}) for f in frames])
            known = known.rows(np.array([place[frame] for _, _, frame, _ in some]))
        cells = checker.derive(np.stack([state for _, state, _, _ in some], 1), known)
        if known is not None:
            cells.empty |= known.empty
        yield from closes(checker, tree, [number for number, *_ in some], cells)


def words(x: Dyadic, bits: int) -> Fixed:
    """Rounded down to ``bits`` bits of the largest."""
    kept = x.short(bits)
    return Fixed(kept.n.astype(np.float64), kept.e)
