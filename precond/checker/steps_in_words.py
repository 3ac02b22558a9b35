"""Rounds of steps (``steps``) in machine words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from precond.checker.cells import Cells
from precond.checker.certificate import Linear
from precond.checker.fast_bounds import CHUNK, FastBounds
from precond.checker.frames import FrameBounds
from precond.checker.steps import Round
from precond.checker.ways import Mixed, mixed
from precond.checker.words import WORD, Array, Fixed, add, at, shift
from precond.network.dyadic import Dyadic, zeros

MORE = 10  # digits of a bound while it is compared


def in_words(
    checker: FastBounds, cells: Cells, number: Dyadic, forms: Mixed
) -> tuple[Fixed, dict[str, Fixed]]:
    """A number (G, R) and forms (G, R, m), short, whose sum is below that of those given."""
    total, found = _words(number, WORD), {}
    for name, x in forms.items():
        found[name] = _words(x, checker.bits)
        if found[name].e > x.e:
            mass = cells.mass(name)
            total = add(total, Fixed(mass.n, found[name].e + mass.e))
    return total, found


def _words(x: Dyadic, bits: int) -> Fixed:
    """Rounded down to ``bits`` bits of the largest."""
    kept = x.short(bits)
    return Fixed(kept.n.astype(np.float64), kept.e)


def frame_bounds(checker: FastBounds, t: int, root: Array) -> FrameBounds[Cells]:
    """Bounds of the frames of tree ``t`` over the region ``root``, in one cell each."""

    def derive(state: Array, known: Cells | None, refine: dict[int, int]) -> Cells:
        return checker.derive(state[:, None], known, [refine])

    def step(cells: Cells, state: Array, given: Round, parts: tuple[Linear, ...]) -> Cells:
        return stepped(checker, cells, state[:, None], given=given, parts=parts)

    return FrameBounds(checker.given, t, root, derive=derive, step=step)


def stepped(
    checker: FastBounds, cells: Cells, state: Array, given: Round, parts: tuple[Linear, ...]
) -> Cells:
    """Bounds in the one region ``state`` (2, 1, coordinates), where all inequalities hold, after a
    round of steps; each of these starts from ``cells``."""
    within, width = dict(cells.values), checker.network.neurons
    for layer, own in given.layers(checker.offset, max(1, CHUNK // (3 * width + checker.rows))):
        (source,), each = checker.network.node[layer].inputs, np.arange(len(own.bound))
        weights = own.weights[:, : len(parts)].astype(np.float64)
        number, mix = mixed(checker.network, [parts], weights)
        forms = {name: Dyadic(x.n.swapaxes(0, 1), x.e) for name, x in mix.items()}
        place, side = own.bound // 2, own.bound % 2
        unit = zeros(1, len(each), checker.network.width(source))
        unit.n[0, each, place] = 1 - 2 * side
        forms[source] = forms[source] + unit if source in forms else unit
        total, short = in_words(checker, cells, Dyadic(number.n.T, number.e), forms=forms)
        level = checker.bound(cells, short, own.record[None], total)
        x, e = within[source], cells.values[source].e - MORE
        n = shift(x.n, x.e - e).copy()
        n[side, 0, place] = np.maximum(n[side, 0, place], at(level, e)[0])
        within[source] = Fixed(n, e)
    found = checker.derive(state, replace(cells, values=within))
    found.empty |= cells.empty
    return found
