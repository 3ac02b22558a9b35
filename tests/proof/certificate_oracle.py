"""What a certificate shows, worked out a second time: slowly, in fractions, neuron by neuron.

For chains of dense layers with ReLU or leaky ReLU between them.  It shares no code with the
checkers and rounds nothing, but bounds of steps by 2^-100, so what it says falls short of a
contradiction is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import numpy as np

from precond.checker.certificate import FRAME, SPLIT, Certificate, Linear, Tree
from precond.network.graph import Network
from precond.network.layers import Affine, LeakyReLU, ReLU

Ends = dict[int, tuple[Fraction | None, Fraction | None]]  # of coordinates
Layer = list[tuple[Fraction, Fraction]]  # bounds of a layer's neurons
Step = tuple[int, int, list[float]]  # the bound 2 · neuron + side, its record, its weights
Around = tuple[list[Layer] | None]
Frame = tuple[Around, Around | None]  # bounds of a frame, and of the nearest that has steps
NOTHING = (None, None)
FINE = 2**100


@dataclass(frozen=True)
class Shown:
    """A lower bound of ``−Σ w g`` in one leaf, ``None`` where its region is empty; ``enough``:
    it excludes the way to fail."""

    bound: Fraction | None
    enough: bool


class Chain:
    """A network and a certificate of it, as lists of fractions."""

    def __init__(self, network: Network, certificate: Certificate) -> None:
        self.given, self.size = certificate, network.input_size
        self.weights, self.biases, slopes = [], [], []
        for node in network.nodes:
            match node.layer:
                case Affine(weight, bias):
                    self.weights.append([[Fraction(float(v)) for v in row] for row in weight])
                    self.biases.append([Fraction(float(v)) for v in bias])
                case ReLU():
                    slopes.append(Fraction(0))
                case LeakyReLU(slope):
                    slopes.append(Fraction(float(slope)))
                case _:
                    raise TypeError("a chain of dense layers is expected")
        if len(slopes) != len(self.weights) - 1:
            raise TypeError("an activation between any two dense layers is expected")
        self.slopes = slopes
        self.first = [sum(len(b) for b in self.biases[:k]) for k in range(len(slopes))]
        self.neurons = network.neurons
        self.places = dict(zip(network.decision_layers, self.first, strict=True))

    def shown(self) -> Iterator[Shown]:
        """Of every leaf and way to fail, in order; a tree that ends too early raises IndexError."""
        s = self.given.statement
        root: Ends = {
            i: (Fraction(float(a)), Fraction(float(b)))
            for i, (a, b) in enumerate(zip(s.lower, s.upper, strict=True))
        }
        for literal in s.literals:
            place = self.size + self.places[literal.layer] + literal.index
            root[place] = _cut(root.get(place, NOTHING), literal.above, literal.value)
        for t, tree in enumerate(self.given.trees):
            yield from _Walk(self, t, tree).visit(root, None)

    def bounds(
        self, state: Ends, within: list[Layer] | None, refine: dict[int, int] | None
    ) -> list[Layer] | None:
        """Of every hidden layer's pre-activations; None if some bounds exclude each other."""
        box = cast(Layer, [state[i] for i in range(self.size)])  # an input has both bounds
        if any(low > high for low, high in box):
            return None
        for row, limit in zip(self.given.statement.matrix, self.given.statement.bound, strict=True):
            least = sum(min(Fraction(float(v)) * a, Fraction(float(v)) * b)
                        for v, (a, b) in zip(row, box, strict=True))  # fmt: skip
            if least > Fraction(float(limit)):
                return None
        found: list[Layer] = []
        values = box
        for k, slope in enumerate(self.slopes):
            layer: Layer = []
            for j, (row, bias) in enumerate(zip(self.weights[k], self.biases[k], strict=True)):
                pairs = [(w * a, w * b) for w, (a, b) in zip(row, values, strict=True)]
                low = bias + sum(min(pair) for pair in pairs)
                high = bias + sum(max(pair) for pair in pairs)
                if within is not None:
                    low, high = max(low, within[k][j][0]), min(high, within[k][j][1])
                given = state.get(self.size + self.first[k] + j, NOTHING)
                low = low if given[0] is None else max(low, given[0])
                high = high if given[1] is None else min(high, given[1])
                layer.append((low, high))
            if refine is not None and k:
                for j, (low, high) in enumerate(layer):
                    if not low < 0 < high:
                        continue
                    number = 2 * (self.first[k] + j)
                    one = [Fraction(i == j) for i in range(len(layer))]
                    minus = [-v for v in one]
                    up = self.backward(state, found, k, one, refine.get(number, -1))
                    down = self.backward(state, found, k, minus, refine.get(number + 1, -1))
                    layer[j] = max(low, up), min(high, -down)
            if any(low > high for low, high in layer):
                return None
            found.append(layer)
            values = [(max(low, slope * low), max(high, slope * high)) for low, high in layer]
        return found

    def backward(
        self,
        state: Ends,
        bounds: list[Layer],
        k: int,
        form: list[Fraction],
        record: int,
        at_input: list[Fraction] | None = None,
        also: tuple[int, int, int] | None = None,
    ) -> Fraction:
        """A lower bound of ``form · z_k + at_input · x``; ``also``: (layer, neuron, ±1) of a
        pre-activation that is added."""
        kept = [0.0] * (3 * self.neurons + len(self.given.statement.bound))
        if record >= 0:
            kept = self.given.records[[record]].toarray()[0].tolist()
        numbers = [Fraction(v) for v in kept]
        total = Fraction(0)
        for layer in range(k, -1, -1):
            if also is not None and also[0] == layer:
                form = [a + also[2] * (i == also[1]) for i, a in enumerate(form)]
            total += sum(a * b for a, b in zip(form, self.biases[layer], strict=True))
            columns = range(len(self.weights[layer][0]))
            form = [
                sum((a * row[i] for a, row in zip(form, self.weights[layer], strict=True)),
                    Fraction(0))
                for i in columns
            ]  # fmt: skip
            if not layer:
                break
            slope = self.slopes[layer - 1]
            through = []
            for i, (a, (low, high)) in enumerate(zip(form, bounds[layer - 1], strict=True)):
                place = self.first[layer - 1] + i
                if low >= 0 or high <= 0:
                    c = a * (1 if low >= 0 else slope)
                elif a > 0:
                    line = Fraction(1) if high > -low else slope
                    if record >= 0:
                        line = min(max(numbers[place], slope), Fraction(1))
                    c = a * line
                else:
                    line = (high - slope * low) / (high - low)
                    c = a * line
                    total += a * (high - line * high)
                for beta, end, sign in (
                    (numbers[self.neurons + place], low, -1),
                    (numbers[2 * self.neurons + place], -high, 1),
                ):
                    c += sign * beta
                    total += beta * end
                through.append(c)
            form = through
        if at_input is not None:
            form = [a + b for a, b in zip(form, at_input, strict=True)]
        s = self.given.statement
        for h, row, limit in zip(numbers[3 * self.neurons :], s.matrix, s.bound, strict=True):
            form = [a + h * Fraction(float(v)) for a, v in zip(form, row, strict=True)]
            total -= h * Fraction(float(limit))
        for i, a in enumerate(form):
            low, high = cast(tuple[Fraction, Fraction], state[i])
            total += min(a * low, a * high)
        return total

    def stepped(
        self, state: Ends, bounds: list[Layer], steps: list[Step], way: tuple[Linear, ...]
    ) -> list[Layer] | None:
        """Bounds after a round of steps, (bound, record, weights) each."""
        raised = [list(layer) for layer in bounds]
        for bound, record, weights in steps:
            neuron, side = divmod(bound, 2)
            layer = max(k for k, first in enumerate(self.first) if first <= neuron)
            j = neuron - self.first[layer]
            total, form, at_input = self.mixed(way, weights)
            total += self.backward(
                state, bounds, len(self.slopes), form, record, at_input, (layer, j, 1 - 2 * side)
            )
            total = Fraction(int(total * FINE // 1), FINE)  # or digits double with every round
            low, high = raised[layer][j]
            raised[layer][j] = (low, min(high, -total)) if side else (max(low, total), high)
        return self.bounds(state, raised, None)

    def mixed(
        self, way: tuple[Linear, ...], weights: list[float]
    ) -> tuple[Fraction, list[Fraction], list[Fraction]]:
        """``−Σ w g``: a number, and the coefficients of the outputs and inputs."""
        total = Fraction(0)
        form, at_input = [Fraction(0)] * len(self.biases[-1]), [Fraction(0)] * self.size
        for w, part in zip(weights, way, strict=True):
            total += Fraction(float(w)) * Fraction(part.bound)
            for target, terms in ((form, part.outputs), (at_input, part.inputs)):
                for i, v in terms:
                    target[i] -= Fraction(float(w)) * Fraction(v)
        return total, form, at_input


class _Walk:
    """One tree, in preorder."""

    def __init__(self, chain: Chain, t: int, tree: Tree) -> None:
        self.chain, self.tree = chain, tree
        r = chain.given.refinements
        self.refine: dict[int, dict[int, int]] = {}
        for of, node, bound, record in zip(r.tree, r.node, r.bound, r.record, strict=True):
            if of == t:
                self.refine.setdefault(int(node), {})[int(bound)] = int(record)
        self.rounds: dict[int, dict[int, list[Step]]] = {}
        given = chain.given.steps
        ways = chain.given.statement.conjuncts
        for row in np.flatnonzero(given.tree == t).tolist():
            size = len(ways[tree.conjuncts[0]])
            step = int(given.bound[row]), int(given.record[row]), given.weights[row, :size].tolist()
            own = self.rounds.setdefault(int(given.node[row]), {})
            own.setdefault(int(given.round[row]), []).append(step)
        self.node = self.split = self.leaf = 0

    def framed(self, node: int, state: Ends, around: Frame | None) -> Frame:
        """Bounds of a frame, and of the nearest frame with steps for those in it."""
        outer = around[1] if around is not None else None
        if outer is not None and outer[0] is None:
            return outer, outer
        within = None if outer is None else outer[0]
        found = self.chain.bounds(state, within, self.refine.get(node, {}))
        for number in sorted(self.rounds.get(node, {})):
            if found is not None:
                way = self.chain.given.statement.conjuncts[self.tree.conjuncts[0]]
                found = self.chain.stepped(state, found, self.rounds[node][number], way)
        own = (found,)
        return own, own if node in self.rounds else outer

    def visit(self, state: Ends, around: Frame | None) -> Iterator[Shown]:
        node, self.node = self.node, self.node + 1
        kind, item = int(self.tree.kind[node]), int(self.tree.item[node])
        if kind & FRAME:
            around = self.framed(node, state, around)
        frame = None if around is None else around[0]
        if kind & SPLIT:
            at, self.split = float(self.tree.at[self.split]), self.split + 1
            for above in (False, True):
                part = {**state, item: _cut(state.get(item, NOTHING), above, at)}
                yield from self.visit(part, around)
            return
        leaf, self.leaf = self.leaf, self.leaf + 1
        bounds = None
        if frame is None or frame[0] is not None:
            bounds = self.chain.bounds(state, None if frame is None else frame[0], None)
        ways, weights = self.chain.given.statement.conjuncts, list(self.tree.weights[leaf])
        for c, record in zip(self.tree.conjuncts, self.tree.record[leaf], strict=True):
            mix, weights = weights[: len(ways[c])], weights[len(ways[c]) :]
            yield self._contradiction(state, bounds, ways[c], mix, int(record))

    def _contradiction(
        self,
        state: Ends,
        bounds: list[Layer] | None,
        way: tuple[Linear, ...],
        mix: list[float],
        record: int,
    ) -> Shown:
        if bounds is None:
            return Shown(None, True)
        chain = self.chain
        total, form, at_input = chain.mixed(way, mix)
        total += chain.backward(state, bounds, len(chain.slopes), form, record, at_input)
        strict = any(w > 0 and part.strict for w, part in zip(mix, way, strict=True))
        return Shown(total, total > 0 or (strict and total == 0))


def _cut(
    ends: tuple[Fraction | None, Fraction | None], above: bool, value: float
) -> tuple[Fraction | None, Fraction | None]:
    low, high, at = *ends, Fraction(float(value))
    if above:
        return (at if low is None else max(low, at)), high
    return low, (at if high is None else min(high, at))
