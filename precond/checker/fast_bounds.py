"""Bounds of layers in machine words, for many regions at once.

The same bounds by the same rules as ``exact``, and as rigorous: numbers are integers
(``words``), and one that gets longer than ``bits`` is rounded to the weaker side.

Bounds of z are kept as lower bounds of z and −z, (2, G, m) for G regions: every rounding is then
downwards.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.checker.cells import Cells
from precond.checker.form_pass import FormPass
from precond.checker.pools import counting, pool_lines, windows_of
from precond.checker.windows import PictureWindow, around, neighbours_first, whole, widest
from precond.checker.word_network import WordNetwork
from precond.checker.words import WORD, Array, Fixed, add, at, read, shift, short
from precond.network.graph import INPUT
from precond.network.layers import MaxPool2d, Node

CHUNK = 1 << 17  # numbers in a batch of leaves
BLOCK = 1 << 16  # numbers in a block of forms: those that a cache holds are fastest


class FastBounds(WordNetwork):
    """Bounds in regions of a network."""

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
        maps, total = self.away[node.name]
        for name, each in maps:
            x = cells.values[name]  # of z and −z, so |z| is at most the larger of −x
            largest = np.minimum(np.minimum(x.n[0], x.n[1]), 0)
            total = add(total, each.image(Fixed(np.stack([largest, largest]), x.e))[0])
        return short(total, self.bits)

    @staticmethod
    def clash(n: Array) -> NDArray[np.bool_]:
        """Where a lower bound exceeds the upper one, (G,)."""
        return np.asarray((n[0] + n[1] > 0).any(-1), dtype=np.bool_)

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
        shape = self.network.shapes[source]
        size = width + self.rows  # of a form and its record
        near = neighbours_first(shape)
        order = np.argsort(-counts, kind="stable")
        while len(order) and counts[order[0]]:
            many = int(counts[order[0]])
            cut = max(1, CHUNK // (2 * many * size))
            rows, order = order[:cut], order[cut:]
            part = cells.rows(rows)
            # Neighbours of all channels together, so that a block's forms see few values.
            every = near[np.argsort(~open_[rows][:, near], axis=1, kind="stable")[:, :many]]
            for index in self.blocks(source, every):
                both = np.concatenate([index, index], 1)
                side = np.repeat([0, 1], index.shape[1])
                window = around(shape, index)
                form = np.zeros((*both.shape, window.size))
                place = window.places()[both]
                np.put_along_axis(form, place[..., None], (1 - 2 * side)[:, None], -1)
                record = np.full(both.shape, -1)
                for g in [g for g, row in enumerate(rows) if refine[row] and offset is not None]:
                    keys = (2 * (both[g] + (offset or 0)) + side).tolist()
                    record[g] = [refine[rows[g]].get(key, -1) for key in keys]
                level = self.bound(part, {source: Fixed(form, 0)}, record, window=window)
                found = at(level, e)
                places = side, rows[:, None], both
                # Others in the block stay as they are: a bound must not depend on its company.
                n[places] = np.where(open_[places[1:]], np.maximum(n[places], found), n[places])

    def blocks(self, source: str, every: Array) -> list[Array]:
        """Entries (G, k) of a value in parts whose forms fill a batch."""
        count, parts = every.shape[1], [every[:, :1]]
        for _ in range(2):  # what one entry sees, then what a first part sees
            seen = widest(self.network, source, around(self.network.shapes[source], parts[0]))
            many = -(-every.size * (seen + self.rows) // BLOCK)
            parts = np.array_split(every, min(many, count), axis=1)
        return parts

    def bound(
        self,
        cells: Cells,
        forms: dict[str, Fixed],
        record: Array,
        constant: Fixed | None = None,
        *,
        window: PictureWindow | None = None,
    ) -> Fixed:
        """Lower bounds (G, R) of ``Σ form · value + constant`` over values with forms (G, R, m),
        which hold a part (``window``) of their values or all, with the multipliers of records
        (G, R)."""
        shapes = self.network.shapes
        parts = {name: (form, window or whole(shapes[name])) for name, form in forms.items()}
        return FormPass(self, cells, record, constant=constant).run(parts)
