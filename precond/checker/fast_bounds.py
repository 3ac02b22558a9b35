"""Bounds of layers and of linear forms in machine words, for many regions at once.

The same bounds by the same rules as ``exact``, and as rigorous: numbers are integers
(``words``), and one that gets longer than ``bits`` is rounded to the weaker side.

Bounds of z are kept as lower bounds of z and −z, (2, G, m) for G regions: every rounding is then
downwards, and an error of k units in a form's coefficients costs at most k Σ min(l, 0).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from precond.checker.cells import Cells
from precond.checker.certificate import Certificate
from precond.checker.pools import counting, pool_lines, windows_of
from precond.checker.words import (
    WORD,
    Array,
    Fixed,
    Matrix,
    add,
    at,
    dot,
    exponent,
    least,
    raised,
    read,
    require,
    shift,
    short,
)
from precond.network.graph import INPUT, Network
from precond.network.layers import LeakyReLU, MaxPool2d, Node, Reshape
from precond.network.sparse import affine_matrices, deviation_matrices

CHUNK = 1 << 17  # numbers in a batch of forms


class FastBounds:
    """A network and a certificate about it, as integers."""

    def __init__(self, network: Network, certificate: Certificate) -> None:
        self.network, self.given, self.bits = network, certificate, certificate.bits
        require(8 <= self.bits <= 30)
        self.p = 48 - self.bits  # digits of slopes after the point
        self.one = 2.0**self.p
        self.affine: dict[str, tuple[list[Matrix | None], Fixed]] = {}
        self.away: dict[str, tuple[list[Matrix], Fixed]] = {}
        self.offset: dict[str, int] = {}
        for node in network.nodes:
            if network.is_affine(node.name):
                matrices, bias = affine_matrices(network, node.name)
                same = isinstance(node.layer, Reshape)
                built = [None if same else Matrix(m, self.bits) for m in matrices]
                self.affine[node.name] = built, read(np.stack([bias, -bias])[:, None], WORD)
                if (away := deviation_matrices(network, node.name)) is not None:
                    coarse = [Matrix(raised(m), self.bits) for m in away[0]]
                    self.away[node.name] = coarse, read(-away[1][None], WORD)
            elif node.name in network.decision_layers:
                self.offset[node.name] = sum(network.width(k) for k in self.offset)
        self.rows = len(certificate.statement.bound)
        self.half = lru_cache(1)(self.half_spaces)

    def half_spaces(self, first: int, last: int) -> tuple[Matrix, Fixed]:
        """Rows of the statement's ``matrix x − bound ≤ 0``."""
        s = self.given.statement
        bias = read(-s.bound[None, None, first:last], WORD)
        return Matrix(coo_array(s.matrix[first:last]), self.bits), bias

    def derive(
        self, state: Array, known: Cells | None = None, refine: list[dict[int, int]] | None = None
    ) -> Cells:
        """Bounds in regions ``state`` (2, G, coordinates): by intervals, within ``known``, and,
        given the records of single neurons' bounds (``refine``), by backward passes."""
        size = self.network.input_size
        cells = Cells({INPUT: read(state[..., :size], self.bits)}, np.zeros(0, np.bool_))
        cells.empty = self.clash(cells.values[INPUT].n)
        for part in self.given.statement.parts():  # no x of the box satisfies some row
            half, bias = self.half(*part)
            excess = add(half.image(cells.values[INPUT])[0], bias[0])
            cells.empty |= np.asarray((excess.n > 0).any(-1), dtype=np.bool_)
        for node in self.network.nodes:
            source = node.inputs[0]
            if node.name in self.affine:
                matrices, total = self.affine[node.name]
                for name, matrix in zip(node.inputs, matrices, strict=True):
                    x = cells.values[name]
                    total = x if matrix is None else add(total, matrix.image(x))
                if node.name in self.away:
                    off = cells.slack[node.name] = self.slack(cells, node)
                    total = add(total, Fixed(off.n[None], off.e))
                cells.values[node.name] = short(total, self.bits)
                continue
            x = cells.values[source]
            e = x.e - 10
            n = shift(x.n, 10).copy()
            if known is not None:
                n = np.maximum(n, at(known.values[source], e))
            if node.name in self.offset:
                first = size + self.offset[node.name]
                cut = state[..., first : first + n.shape[-1]]
                given = np.isfinite(cut)
                level = at(read(np.where(given, cut, 0.0), WORD), e)
                n = np.where(given, np.maximum(n, level), n)
            if refine is not None and source in self.network.loose:
                self.tighten(cells, node, Fixed(n, e), refine=refine)
            cells.empty |= self.clash(n)
            n[1] = np.minimum(n[1], -n[0])
            cells.values[source] = short(Fixed(n, e), self.bits)
            build = self.pool if isinstance(node.layer, MaxPool2d) else self.activation
            cells.lines[node.name], cells.values[node.name] = build(node.name, cells.values[source])
        return cells

    def slack(self, cells: Cells, node: Node) -> Fixed:
        """Minus the most that a node's value is off, for its floats are not its constants."""
        matrices, total = self.away[node.name]
        for name, matrix in zip(node.inputs, matrices, strict=True):
            x = cells.values[name]  # of z and −z, so |z| is at most the larger of −x
            largest = np.minimum(np.minimum(x.n[0], x.n[1]), 0)
            total = add(total, matrix.image(Fixed(np.stack([largest, largest]), x.e))[0])
        return short(total, self.bits)

    @staticmethod
    def clash(n: Array) -> NDArray[np.bool_]:
        """Where a lower bound exceeds the upper one, (G,)."""
        return np.asarray((n[0] + n[1] > 0).any(-1), dtype=np.bool_)

    def slopes(self, name: str) -> tuple[Any, Any]:
        """The negative side's slope in units of 2^-p, rounded down and up."""
        layer = self.network.node[name].layer
        slope = layer.slope if isinstance(layer, LeakyReLU) else 0.0
        down, up = (at(read(np.array([s]), WORD), -self.p)[0] for s in (slope, -slope))
        return down, -up

    def activation(self, name: str, x: Fixed) -> tuple[tuple[Any, ...], Fixed]:
        one, (flat, steep) = self.one, self.slopes(name)
        lo, hi = x.n[0], -x.n[1]
        free = (lo < 0) & (hi > 0)
        kinds = np.array([steep, one], dtype=lo.dtype)
        below = kinds[((lo >= 0) | free & (hi > -lo)).astype(int)]
        above = np.where(free, (hi * one - lo * steep) // np.where(free, hi - lo, 1), below)
        ends = [np.maximum(z, 0) * one + np.minimum(z, 0) * flat for z in (lo, hi)]
        gap = np.maximum(np.maximum(ends[0] - above * lo, ends[1] - above * hi), 0)
        intercept = -short(Fixed(-gap, x.e - self.p), self.bits)
        low = np.maximum(lo, 0) * one + np.minimum(lo, 0) * steep
        value = short(Fixed(np.stack([low, -ends[1]]), x.e - self.p), self.bits)
        return (below, above, intercept, free), value

    def pool(self, name: str, x: Fixed) -> tuple[tuple[Any, ...], Fixed]:
        one, windows = 2.0 ** self.digits(name), windows_of(self.network, name)
        lines = pool_lines(windows, x.n[0], -x.n[1], one=one)
        rise = -short(Fixed(-lines.shift, x.e - self.digits(name)), self.bits)
        return (*lines[:3], rise), Fixed(np.stack([lines.low, -lines.high]), x.e)

    def digits(self, name: str) -> int:
        """Of a max-pool's slopes after the point: a sum over windows must fit a word."""
        members = windows_of(self.network, name).shape[1]
        require((digits := min(self.p, 51 - self.bits - members.bit_length())) >= 6)
        return int(digits)

    def tighten(self, cells: Cells, node: Node, x: Fixed, refine: list[dict[int, int]]) -> None:
        """Raise bounds x of what ``node`` reads, in place, by backward passes, where they count."""

        def values() -> tuple[Array, Array]:
            known = np.stack([x.n[0], np.minimum(x.n[1], -x.n[0])])
            value = self.activation(node.name, short(Fixed(known, x.e), self.bits))[1].n
            return value[0], -value[1]

        ends = lambda: (x.n[0], -x.n[1])  # noqa: E731
        for open_ in counting(self.network, node.name, ends, values=values):
            self.raised(cells, node, x, open_=open_, refine=refine)

    def raised(
        self, cells: Cells, node: Node, x: Fixed, open_: Array, refine: list[dict[int, int]]
    ) -> None:
        n, e, (source, *_) = x.n, x.e, node.inputs
        offset = self.offset.get(node.name)
        counts, width = open_.sum(1), n.shape[-1]
        size = width + self.rows  # of a form and its record
        pixel = np.arange(width).reshape(self.network.shapes[source][0], -1).T.reshape(-1)
        order = np.argsort(-counts, kind="stable")
        while len(order) and counts[order[0]]:
            many = int(counts[order[0]])
            cut = max(1, CHUNK // (2 * many * size))
            rows, order = order[:cut], order[cut:]
            part = cells.rows(rows)
            # Neighbours of all channels together, so that a block's forms see few values.
            every = pixel[np.argsort(~open_[rows][:, pixel], axis=1, kind="stable")[:, :many]]
            blocks = -(-len(rows) * many * size // (2 * CHUNK))
            for index in np.array_split(every, min(blocks, many), axis=1):
                both = np.concatenate([index, index], 1)
                side = np.repeat([0, 1], index.shape[1])
                form = np.zeros((*both.shape, width))
                np.put_along_axis(form, both[..., None], (1 - 2 * side)[:, None], -1)
                record = np.full(both.shape, -1)
                for g in [g for g, row in enumerate(rows) if refine[row] and offset is not None]:
                    keys = (2 * (both[g] + (offset or 0)) + side).tolist()
                    record[g] = [refine[rows[g]].get(key, -1) for key in keys]
                found = at(self.bound(part, {source: Fixed(form, 0)}, record), e)
                places = side, rows[:, None], both
                # Others in the block stay as they are: a bound must not depend on its company.
                n[places] = np.where(open_[places[1:]], np.maximum(n[places], found), n[places])

    def bound(  # noqa: C901 - a backward pass in one piece, to be read against its statement
        self, cells: Cells, forms: dict[str, Fixed], record: Array, constant: Fixed | None = None
    ) -> Fixed:
        """Lower bounds (G, R) of ``Σ form · value + constant`` over values with forms (G, R, m),
        with the multipliers of records (G, R)."""
        width = self.network.neurons
        total = constant or Fixed(np.zeros(record.shape), 0)
        dense: Any = None
        chosen = None
        if (record >= 0).any():
            dense = self.given.records[np.maximum(record, 0).reshape(-1)].toarray()
            dense = dense.astype(np.float64).reshape(*record.shape, -1) * (record >= 0)[..., None]
            chosen = (record >= 0)[..., None]

        def lose(name: str, units: int, e: int) -> None:
            nonlocal total
            mass = cells.mass(name)
            total = add(total, Fixed(units * mass.n, e + mass.e))

        def push(name: str, x: Fixed, units: int = 0) -> None:
            if name in forms:
                exact = exponent(1 << 20, forms[name], x)
                x = add(forms[name], x)
                units += 2 * (x.e > exact)
            forms[name] = x
            if units:
                lose(name, units, x.e)

        def pop(name: str) -> Fixed:
            nonlocal total
            x, least_value = forms.pop(name), cells.values[name][0]
            kept = short(x, self.bits)
            if kept.e > x.e and (least_value.n < 0).any():
                rest = Fixed(x.n - shift(kept.n, kept.e - x.e), x.e)  # ≥ 0
                total = add(
                    total, dot(rest, Fixed(np.minimum(least_value.n, 0), least_value.e)[:, None])
                )
            return kept

        for node in reversed(self.network.nodes):
            if node.name not in forms:
                continue
            x = pop(node.name)
            (source, *_) = node.inputs
            if node.name in self.affine:
                matrices, bias = self.affine[node.name]
                for name, matrix in zip(node.inputs, matrices, strict=True):
                    push(name, x) if matrix is None else push(name, matrix.product(x), matrix.ERROR)
                total = add(total, least(x, bias))
                if node.name in self.away:
                    off = cells.slack[node.name]
                    total = add(total, dot(Fixed(np.abs(x.n), x.e), off[:, None]))
                continue
            positive, negative = np.maximum(x.n, 0), np.minimum(x.n, 0)
            if isinstance(node.layer, MaxPool2d):
                lines = [p[:, None] for p in cells.lines[node.name]]
                y = np.zeros((*record.shape, self.network.width(source)))
                active = np.flatnonzero(x.n.any((0, 1)))
                below, peak, slope, rise = (p[:, :, active] for p in lines)
                positive, negative = positive[..., active], negative[..., active]
                for k, places in enumerate(windows_of(self.network, node.name)[active].T):
                    one = positive * below[..., k] + negative * (slope * (peak == places))
                    y[..., places[places >= 0]] += one[..., places >= 0]
                total = add(total, dot(Fixed(negative, x.e), rise))
                push(source, Fixed(y, x.e - self.digits(node.name)))
                continue
            below, above, intercept, free = (part[:, None] for part in cells.lines[node.name])
            place = self.offset[node.name] + np.arange(x.n.shape[-1])
            if dense is not None and chosen is not None:
                slope = at(read(dense[..., place], WORD), -self.p)
                slope = np.clip(slope, self.slopes(node.name)[1], self.one)
                below = np.where(chosen & free, slope, below)
            push(source, Fixed(positive * below + negative * above, x.e - self.p))
            total = add(total, dot(Fixed(negative, x.e), intercept))
            if dense is None:
                continue
            for side in (0, 1):
                beta = read(dense[..., place + (1 + side) * width], self.bits)
                push(source, -beta if side == 0 else beta)
                total = add(total, dot(beta, cells.values[source][side][:, None]))
        for first, last in self.given.statement.parts() if (record >= 0).any() else ():
            multipliers = dense[..., 3 * width + first : 3 * width + last]
            if multipliers.any():
                (half, bias), used = self.half(first, last), read(multipliers, self.bits)
                push(INPUT, half.product(used), half.ERROR)
                total = add(total, dot(used, bias))
        if INPUT in forms:
            x, ends = pop(INPUT), cells.values[INPUT]
            total = add(total, least(x, ends))
        return total
