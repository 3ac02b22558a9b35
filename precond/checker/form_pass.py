"""A linear form carried back to the input box in machine words, for many regions at once.

The rules of ``exact``.  A number that gets longer than ``bits`` is rounded down: an error of k
units in a form's coefficients costs at most ``k Σ min(l, 0)``.  Forms are held over the part of a
picture that they see (``windows``); a record's β may stand anywhere, so forms with records are
held over all of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from precond.checker.cells import Cells
from precond.checker.kernels import WindowKernel
from precond.checker.pools import windows_of
from precond.checker.windows import PictureWindow, offsets, reach, whole
from precond.checker.word_network import WordNetwork
from precond.checker.words import (
    WORD,
    Array,
    Fixed,
    add,
    at,
    dot,
    exponent,
    least,
    read,
    shift,
    short,
)
from precond.network.graph import INPUT
from precond.network.layers import MaxPool2d, Node


class FormPass:
    """Forms (G, R, m) on their way back, with the multipliers of ``record`` (G, R); ``total``
    (G, R) is what they have given so far."""

    def __init__(
        self, own: WordNetwork, cells: Cells, record: Array, constant: Fixed | None = None
    ) -> None:
        self.own, self.cells, self.network, self.record = own, cells, own.network, record
        self.total = constant or Fixed(np.zeros(record.shape), 0)
        self.forms: dict[str, tuple[Fixed, PictureWindow]] = {}
        self.dense: Any = None
        if (record >= 0).any():
            given = own.given.records[np.maximum(record, 0).reshape(-1)].toarray()
            given = given.astype(np.float64).reshape(*record.shape, -1)
            self.dense = given * (record >= 0)[..., None]
            self.chosen = (record >= 0)[..., None]

    def run(self, forms: dict[str, tuple[Fixed, PictureWindow]]) -> Fixed:
        """Lower bounds (G, R) of ``Σ form · value + constant``."""
        self.forms = dict(forms)
        for node in reversed(self.network.nodes):
            if node.name not in self.forms:
                continue
            x, window = self._pop(node.name)
            if node.name in self.own.affine:
                self._affine(node, x, window)
            elif isinstance(node.layer, MaxPool2d):
                self._pool(node, x, window)
            else:
                self._activation(node, x, window)
        if self.dense is not None:
            self._half_spaces()
        if INPUT in self.forms:
            (x, window), ends = self._pop(INPUT), self.cells.values[INPUT]
            self._add(least(x, ends[..., window.index]))
        return self.total

    def _add(self, shift: Fixed) -> None:
        self.total = add(self.total, shift)

    def _push(self, name: str, x: Fixed, window: PictureWindow, units: int = 0) -> None:
        if name in self.forms:
            old, its = self.forms[name]
            both = its.union(window)
            old, x = (
                Fixed(w.spread(form.n, both), form.e) for form, w in ((old, its), (x, window))
            )
            exact, window = exponent(1 << 20, old, x), both
            x = add(old, x)
            units += 2 * (x.e > exact)
        self.forms[name] = x, window
        if units:
            mass = self.cells.mass(name, window.index)
            self._add(Fixed(units * mass.n, x.e + mass.e))

    def _pop(self, name: str) -> tuple[Fixed, PictureWindow]:
        x, window = self.forms.pop(name)
        value = self.cells.values[name][0][:, window.index]
        kept = short(x, self.own.bits)
        if kept.e > x.e and (value.n < 0).any():
            rest = Fixed(x.n - shift(kept.n, kept.e - x.e, kept.length), x.e)  # ≥ 0
            self._add(dot(rest, Fixed(np.minimum(value.n, 0), value.e)[:, None]))
        return kept, window

    def _all(self, name: str, x: Fixed, window: PictureWindow) -> Fixed:
        return Fixed(window.spread(x.n, whole(self.network.shapes[name])), x.e)

    def _affine(self, node: Node, x: Fixed, window: PictureWindow) -> None:
        maps, bias = self.own.affine[node.name]
        for name, each in zip(node.inputs, maps, strict=True):
            everything = whole(self.network.shapes[name])
            if isinstance(each, WindowKernel):
                part, seen = each.product(x, window)
                self._push(name, part, seen, units=each.ERROR)
            elif each is None:
                self._push(name, self._all(node.name, x, window), everything)
            else:
                part = each.product(self._all(node.name, x, window))
                self._push(name, part, everything, units=each.ERROR)
        self._add(least(x, bias[..., window.index]))
        if node.name in self.own.away:
            off = self.cells.slack[node.name][:, None][..., window.index]
            self._add(dot(Fixed(np.abs(x.n), x.e), off))

    def _pool(self, node: Node, x: Fixed, window: PictureWindow) -> None:
        layer, (source,) = node.layer, node.inputs
        assert isinstance(layer, MaxPool2d)
        seen = window.read_by(layer, self.network.shapes[source])
        number = np.arange(self.network.width(node.name))[window.index]
        below, peak, slope, rise = (p[:, None][:, :, number] for p in self.cells.lines[node.name])
        size, shape = window.part[1:], (*self.record.shape, *window.part)
        canvas = np.zeros((*shape[:3], *reach(layer, size)))
        members = windows_of(self.network, node.name)[number].T
        places = (spots for _, _, spots in offsets(layer, size))
        for k, (member, spots) in enumerate(zip(members, places, strict=True)):
            inside = member >= 0
            above = np.where(inside & (peak == member), slope, 0.0)
            one = between(x.n, np.where(inside, below[..., k], 0.0), above)
            canvas[(..., *spots)] += one.reshape(shape)
        self._intercept(x, rise)
        y = window.cropped(canvas, layer, seen).reshape(*self.record.shape, -1)
        self._push(source, Fixed(y, x.e - self.own.digits(node.name)), seen)

    def _activation(self, node: Node, x: Fixed, window: PictureWindow) -> None:
        own, (source,), width = self.own, node.inputs, self.network.neurons
        if self.dense is not None:
            x, window = self._all(node.name, x, window), whole(self.network.shapes[node.name])
        lines = self.cells.lines[node.name]
        below, above, intercept, free = (part[:, None][..., window.index] for part in lines)
        place = own.offset[node.name] + np.arange(x.n.shape[-1])
        if self.dense is not None:
            slope = at(read(self.dense[..., place], WORD), -own.p)
            slope = np.clip(slope, own.slopes(node.name)[1], own.one)
            below = np.where(self.chosen & free, slope, below)
        self._push(source, Fixed(between(x.n, below, above), x.e - own.p), window)
        self._intercept(x, intercept)
        for side in (0, 1) if self.dense is not None else ():
            beta = read(self.dense[..., place + (1 + side) * width], own.bits)
            self._push(source, -beta if side == 0 else beta, window)
            self._add(dot(beta, self.cells.values[source][side][:, None]))

    def _intercept(self, x: Fixed, shift: Fixed) -> None:
        """Of the lines above, whose slope a coefficient below 0 takes."""
        bent = np.flatnonzero(shift.n.any((0, 1)))
        if len(bent):
            self._add(dot(Fixed(np.minimum(x.n[..., bent], 0), x.e), shift[..., bent]))

    def _half_spaces(self) -> None:
        width, everything = 3 * self.network.neurons, whole(self.network.input_shape)
        for first, last in self.own.given.statement.parts():
            multipliers = self.dense[..., width + first : width + last]
            if multipliers.any():
                (half, bias), used = self.own.half(first, last), read(multipliers, self.own.bits)
                self._push(INPUT, half.product(used), everything, units=half.ERROR)
                self._add(dot(used, bias))


def between(form: Array, below: Array, above: Array) -> Array:
    """A form (G, R, m) behind the lines: a coefficient above 0 takes the slope ``below``, one below
    0 the slope ``above``, (G, 1 or R, m); most are the same."""
    result: Array = form * above
    bend = below - above
    bent = np.flatnonzero(bend.any((0, 1)))
    if len(bent):
        result[..., bent] += np.maximum(form[..., bent], 0) * bend[..., bent]
    return result
