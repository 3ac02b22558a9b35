"""The checker of certificates, in exact arithmetic.  A proof rests on this file and on what it
imports: ``certificate``, ``canonical``, ``tree``, ``pools``, and the network's matrices.

From a certificate it takes a statement, split trees and multipliers, nothing else.  In every
leaf it derives bounds l ≤ z ≤ u of each layer, then a number v with ``−Σ w_j g_j ≥ v`` for the
inequalities g_j ≥ 0 of a way to fail, w ≥ 0; v > 0 (v ≥ 0 if a strict one has weight) leaves no
failure there.  Both are linear forms carried backwards: through affine layers as they are; at
an activation a positive coefficient takes a line below it, a negative one a line above;
``β (z − l) ≥ 0`` and ``β (u − z) ≥ 0``, β ≥ 0, are subtracted, with l and u as cut by a pattern
or a split.  At the input box a form has its minimum at a corner.

Numbers are integers times a power of two, as floats are; sums and products are exact.  Rounded,
to the weaker side, are bounds; slopes of upper lines, whose intercepts then follow exactly; and,
for certificates made in short numbers, forms.  Bounds of z bound z and −z below, (2, m).

Source: Zhang et al. 2018 (lines); Wang et al. 2021 (β); Neumaier, Shcherbina 2004 (safe bounds).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precond.checker.canonical import misfit
from precond.checker.certificate import Certificate, CheckStopped, Invalid, Linear, region
from precond.checker.frames import FrameBounds
from precond.checker.layer_bounds import Bounds
from precond.checker.pools import counting, pair, pool_lines, windows_of
from precond.checker.steps import Round
from precond.checker.tree import leaves, never
from precond.checker.ways import mixed
from precond.network.dyadic import Away, Dyadic, DyadicMatrix, exact, larger, zeros
from precond.network.graph import INPUT, Network
from precond.network.layers import LeakyReLU, Node
from precond.network.sparse import affine_matrices, deviation_matrices

Array = NDArray[Any]
Keys = dict[int, int]
LONG, SHORT = (256, 64), (58, 30)  # bits of bounds and coefficients, of slopes after the point
AT_ONCE = 64  # steps


@dataclass(frozen=True)
class CheckResult:
    """``where``: what fails first, empty if nothing does.  ``decided``: False where numbers of a
    limited length, or the time given, did not suffice to tell."""

    valid: bool
    where: str = ""
    decided: bool = True


def check(
    certificate: Certificate, network: Network, stopped: Callable[[], bool] = never
) -> CheckResult:
    """Whether ``certificate`` proves its statement of ``network``; asks at every leaf whether it
    is to be ``stopped``."""
    try:
        verify(certificate, network)
        for failure in Checker(network, certificate).failures(stopped):
            return CheckResult(valid=False, where=failure)
    except CheckStopped as error:
        return CheckResult(valid=False, where=str(error), decided=False)
    except Invalid as error:
        return CheckResult(valid=False, where=str(error))
    return CheckResult(valid=True)


def verify(certificate: Certificate, network: Network) -> None:
    """Invalid unless it has the one form of a certificate about ``network``: every way to fail is
    closed by a tree that covers the region, every multiplier has the right sign, nothing is
    named twice."""
    if problem := misfit(certificate, network):
        raise Invalid(problem)


class Checker:
    """A network and a certificate about it, in integers."""

    def __init__(self, network: Network, certificate: Certificate) -> None:
        self.network, self.given = network, certificate
        self.bits, self.p = SHORT if certificate.bits else LONG
        self.affine: dict[str, tuple[list[DyadicMatrix], Dyadic]] = {}
        self.away: dict[str, Away] = {}  # of layers whose constants are no floats
        self.first: dict[str, int] = {}  # of a layer's neurons, among all
        for node in network.nodes:
            if node.name in network.decision_layers:
                self.first[node.name] = sum(network.width(k) for k in self.first)
            elif network.is_affine(node.name):
                matrices, bias = affine_matrices(network, node.name)
                self.affine[node.name] = [DyadicMatrix(m.toarray()) for m in matrices], exact(bias)
                if (away := deviation_matrices(network, node.name)) is not None:
                    self.away[node.name] = Away([m.toarray() for m in away[0]], away[1])
        self.half = lru_cache(1)(self.half_spaces)

    def half_spaces(self, first: int, last: int) -> tuple[DyadicMatrix, Dyadic]:
        """Rows of the statement's ``matrix x − bound ≤ 0``."""
        s = self.given.statement
        return DyadicMatrix(s.matrix[first:last]), exact(-s.bound[first:last])

    def failures(self, stopped: Callable[[], bool] = never) -> Iterator[str]:
        """Every bound that is no contradiction."""
        ways, root = self.given.statement.conjuncts, region(self.given.statement, self.network)
        for t, tree in enumerate(self.given.trees):
            frames = FrameBounds(self.given, t, root, derive=self.derive, step=self.stepped)
            for k, state, frame, around in leaves(tree, root, stopped):
                known = None if frame is None else frames.of(frame, around)
                bounds = known if known and state is around else self.derive(state, known)
                weights = tree.weights[k].tolist()
                for c, record in zip(tree.conjuncts, tree.record[k].tolist(), strict=True):
                    mix, weights = weights[: len(ways[c])], weights[len(ways[c]) :]
                    empty = bounds.empty or (known is not None and known.empty)
                    if not (empty or self.contradicts(bounds, ways[c], mix, record=record)):
                        yield f"tree {t}, leaf {k}: way to fail {c} is not contradicted"

    def contradicts(
        self, bounds: Bounds, parts: tuple[Linear, ...], weights: list[float], record: int
    ) -> bool:
        """Whether ``Σ w_j (bound_j − outputs_j · y − inputs_j · x)`` cannot be ≤ 0 (< 0)."""
        total, forms = mixed(self.network, [parts], np.array([weights], dtype=np.float64))
        forms = {name: form[:, 0] for name, form in forms.items()}
        found = (total[:, 0] + self.bound(bounds, forms, [record])).n[0]
        strict = any(w > 0 and i.strict for w, i in zip(weights, parts, strict=True))
        return bool(found > 0 or (found == 0 and strict))

    def stepped(
        self, bounds: Bounds, state: Array, given: Round, parts: tuple[Linear, ...]
    ) -> Bounds:
        """Bounds in the region ``state``, where all inequalities hold, after a round of steps; each
        of these starts from ``bounds``."""
        within = replace(bounds, values=dict(bounds.values))
        for layer, own in given.layers(self.first, AT_ONCE):
            (source,), each = self.network.node[layer].inputs, np.arange(len(own.bound))
            weights = own.weights[:, : len(parts)].astype(np.float64)
            total, mix = mixed(self.network, [parts], weights)
            forms = {name: form[:, 0] for name, form in mix.items()}
            place, side = own.bound // 2, own.bound % 2
            unit, ends = zeros(len(each), self.network.width(source)), bounds.values[source]
            unit.n[each, place] = 1 - 2 * side
            forms[source] = forms[source] + unit if source in forms else unit
            level = total[:, 0] + self.bound(bounds, forms, own.record.tolist())
            spread, raised = zeros(*ends.n.shape), np.zeros(ends.n.shape, np.bool_)
            spread.n[side, place], raised[side, place] = level.n, True
            found = larger(within.values[source], Dyadic(spread.n, level.e), raised)
            within.values[source] = found
        return self.derive(state, within)

    def derive(
        self, state: Array, known: Bounds | None = None, refine: Keys | None = None
    ) -> Bounds:
        """Bounds in the region ``state`` (2, coordinates): by intervals, within ``known``, and,
        given the records of single neurons' bounds (``refine``), by backward passes."""
        size, found = self.network.input_size, Bounds(self.bits)
        ends = found.cut(INPUT, exact(state[:, :size]))
        for part in self.given.statement.parts():
            matrix, bias = self.half(*part)
            excess = matrix.image(ends)[0] + bias
            found.empty |= bool((excess.n > 0).any())  # a half-space out of reach
        for node in self.network.nodes:
            if node.name in self.affine:
                matrices, bias = self.affine[node.name]
                x = Dyadic(np.stack([bias.n, -bias.n]), bias.e)
                for name, matrix in zip(node.inputs, matrices, strict=True):
                    x = x + matrix.image(found.values[name])
                if node.name in self.away:
                    off = self.away[node.name].least([found.values[s] for s in node.inputs])
                    found.slack[node.name] = off.short(self.bits)
                    x = x + found.slack[node.name][None]
                found.values[node.name] = x.short(self.bits)
                continue
            (source,) = node.inputs
            x, first = found.values[source], self.first.get(node.name)
            if known is not None:
                x = larger(x, known.values[source])
            if first is not None:
                cut = state[:, size + first : size + first + x.n.shape[1]]
                x = larger(x, exact(np.where(np.isfinite(cut), cut, 0.0)), np.isfinite(cut))
            if refine is not None and source in self.network.loose:
                x = self.tighten(found, node, x, refine=refine)
            x = found.cut(source, x)
            build = self.activation if first is not None else self.pool
            found.lines[node.name], found.values[node.name] = build(node.name, x)
        return found

    def tighten(self, found: Bounds, node: Node, x: Dyadic, refine: Keys) -> Dyadic:
        """Bounds by backward passes of entries that count."""
        ends = [x]
        values = lambda: pair(self.activation(node.name, ends[0])[1].n)  # noqa: E731
        for open_ in counting(self.network, node.name, lambda: pair(ends[0].n), values=values):
            ends[0] = self.raised(found, node, ends[0], open_=open_, refine=refine)
        return ends[0]

    def raised(self, found: Bounds, node: Node, x: Dyadic, open_: Array, refine: Keys) -> Dyadic:
        first = self.first.get(node.name)
        index = np.flatnonzero(open_)
        side, both = np.repeat([0, 1], len(index)), np.tile(index, 2)
        form, spread = zeros(len(both), len(open_)), zeros(*x.n.shape)
        form.n[np.arange(len(both)), both] = 1 - 2 * side
        record = [-1] * len(both)
        if first is not None:
            record = [refine.get(key, -1) for key in (2 * (both + first) + side).tolist()]
        level = self.bound(found, {node.inputs[0]: form}, record)
        spread.n[side, both] = level.n
        return larger(x, Dyadic(spread.n, level.e), open_)

    def slopes(self, name: str) -> tuple[int, int]:
        """The negative side's slope in units of 2^-p, rounded down and up."""
        layer = self.network.node[name].layer
        slope = exact(np.array([layer.slope if isinstance(layer, LeakyReLU) else 0.0]))
        return int(slope.to(-self.p)[0]), -int((-slope).to(-self.p)[0])

    def activation(self, name: str, x: Dyadic) -> tuple[tuple[Any, ...], Dyadic]:
        one, (flat, steep) = 1 << self.p, self.slopes(name)
        lo, hi = x.n[0], -x.n[1]
        free = (lo < 0) & (hi > 0)
        below = np.array([steep, one], dtype=object)[((lo >= 0) | free & (hi > -lo)).astype(int)]
        above = np.where(free, (hi * one - lo * steep) // np.where(free, hi - lo, 1), below)
        ends = [np.maximum(z, 0) * one + np.minimum(z, 0) * flat for z in (lo, hi)]
        gap = np.maximum(np.maximum(ends[0] - above * lo, ends[1] - above * hi), 0)
        least = np.maximum(lo, 0) * one + np.minimum(lo, 0) * steep
        value = Dyadic(np.stack([least, -ends[1]]), x.e - self.p).short(self.bits)
        return (below, above, Dyadic(gap, x.e - self.p), free), value

    def pool(self, name: str, x: Dyadic) -> tuple[tuple[Any, ...], Dyadic]:
        lines = pool_lines(windows_of(self.network, name), x.n[0], -x.n[1], one=1 << self.p)
        value = Dyadic(np.stack([lines.low, -lines.high]), x.e)
        return (*lines[:3], Dyadic(lines.shift, x.e - self.p)), value

    def bound(  # noqa: C901 - a backward pass in one piece, to be read against its statement
        self, bounds: Bounds, forms: dict[str, Dyadic], records: list[int]
    ) -> Dyadic:
        """Lower bounds (R,) of ``Σ form · value`` over values with forms (R, m), with one record
        of multipliers for each row."""
        width, total, chosen = self.network.neurons, zeros(len(records)), np.array(records) >= 0
        given = self.given.records[np.array(records)[chosen]]
        dense = np.zeros((len(records), 3 * width))
        dense[chosen] = given[:, : 3 * width].toarray()

        def push(name: str, x: Dyadic) -> None:
            forms[name] = forms[name] + x if name in forms else x

        for node in reversed(self.network.nodes):
            if node.name not in forms:
                continue
            x, source = forms.pop(node.name), node.inputs[0]
            if self.given.bits:  # rounded down; what is left out times a value's low end
                kept, low = x.short(self.bits), bounds.values[node.name][0]
                rest = Dyadic(x.n - kept.to(x.e), x.e)
                x, total = kept, total + rest.dot(Dyadic(np.minimum(low.n, 0), low.e))
            if node.name in self.affine:
                matrices, bias = self.affine[node.name]
                for name, matrix in zip(node.inputs, matrices, strict=True):
                    push(name, matrix.product(x))
                total = total + x.dot(bias)
                if node.name in self.away:
                    total = total + Dyadic(abs(x.n), x.e).dot(bounds.slack[node.name])
                continue
            positive, negative = Dyadic(np.maximum(x.n, 0), x.e), Dyadic(np.minimum(x.n, 0), x.e)
            if node.name not in self.first:
                below, peak, slope, shift = bounds.lines[node.name]
                y, each = zeros(len(records), self.network.width(source)), np.arange(len(records))
                for k, places in enumerate(windows_of(self.network, node.name).T):
                    np.add.at(y.n, (each[:, None], places), positive.n * below[:, k])
                np.add.at(y.n, (each[:, None], peak), negative.n * slope)
                push(source, Dyadic(y.n, x.e - self.p))
                total = total + negative.dot(shift)
                continue
            below, above, intercept, free = bounds.lines[node.name]
            place = self.first[node.name] + np.arange(x.n.shape[1])
            if chosen.any():
                slope, steep = exact(dense[:, place]).to(-self.p), self.slopes(node.name)[1]
                slope = np.clip(slope, steep, 1 << self.p)
                below = np.where(chosen[:, None] & free, slope, below)
            push(source, Dyadic(positive.n * below + negative.n * above, x.e - self.p))
            total = total + negative.dot(intercept)
            for side, sign in ((0, -1), (1, 1)) if chosen.any() else ():
                beta = exact(dense[:, place + (1 + side) * width])
                push(source, Dyadic(sign * beta.n, beta.e))
                total = total + beta.dot(bounds.values[source][side])
        for first, last in self.given.statement.parts():
            half = np.zeros((len(records), last - first))
            half[chosen] = given[:, 3 * width + first : 3 * width + last].toarray()
            if half.any():
                (matrix, bias), used = self.half(first, last), exact(half)
                push(INPUT, matrix.product(used))
                total = total + used.dot(bias)
        x, ends = forms.pop(INPUT, zeros(1, 1)), bounds.values[INPUT]
        total = total + Dyadic(np.maximum(x.n, 0), x.e).dot(ends[0])
        return total + Dyadic(np.maximum(-x.n, 0), x.e).dot(ends[1])
