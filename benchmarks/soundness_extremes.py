"""Random claims at the edges of float64: sizes from 1e-310 to 1e300, up to 12 layers, ties.

``KINDS`` builds networks, ``SIZES`` says how large a layer's numbers are; each entry is a
function of a few lines, and a new one is all that a new family needs.  Weights of one size
after another overflow or underflow between layers although the output is of ordinary size:
that is where a bound may become inf − inf.  A property's limit is a value the network takes at
some point (exactly, then rounded), or a float next to it on either side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from precond.network.exact import exact_values
from precond.network.graph import INPUT, Network
from precond.network.layers import Add, Affine, Layer, LeakyReLU, MaxPool2d, Node, ReLU, Reshape
from precond.proof.claim import Claim, HalfSpaces
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

Array = NDArray[np.float64]
MAX = float(np.finfo(np.float64).max)
DEPTH = 12


@dataclass
class Draw:
    """Numbers of one network: ``size(k)`` is the power of ten of layer k."""

    rng: np.random.Generator
    size: Callable[[int], float]
    whole: bool = False  # small integers, so that values tie

    def numbers(self, layer: int, *shape: int) -> Array:
        values = self.rng.integers(-2, 3, size=shape).astype(np.float64)
        if not self.whole:
            values = self.rng.normal(size=shape)
        factor = 10.0 ** float(np.clip(self.size(layer), -320.0, 300.0))
        return np.asarray(np.clip(values * factor, -1e305, 1e305))

    def affine(self, layer: int, out: int, inputs: int) -> Affine:
        """Its bias is of its values' size, of its weights' or none."""
        bias = self.numbers(layer, out) * self.rng.choice([0.0, 0.0, 1.0, 1e-3])
        return Affine(self.numbers(layer, out, inputs), bias)


def sizes(rng: np.random.Generator, name: str) -> Callable[[int], float]:
    """A power of ten for each layer."""
    powers = rng.uniform(-300, 300, size=DEPTH + 1)
    match name:
        case "wild":
            return lambda k: float(powers[k])
        case "there and back":  # 1e+s, 1e−s, 1e+s, …
            return lambda k: float(powers[0]) * (1 if k % 2 else -1)
        case "large":
            return lambda k: float(abs(powers[0])) / 2
        case "small":
            return lambda k: -float(abs(powers[0])) / 2
        case "subnormal":
            return lambda k: -310.0 if k % 3 == 0 else 0.0
        case _:
            return lambda k: 0.0


SIZES = ("wild", "there and back", "large", "small", "subnormal", "ordinary", "whole")


def _chain(draw: Draw, act: Layer, outputs: int = 2) -> tuple[list[Node], tuple[int, ...]]:
    rng = draw.rng
    widths = [int(w) for w in rng.integers(1, 4, size=int(rng.integers(2, DEPTH + 1)))]
    nodes, source = [], INPUT
    for k, (n, m) in enumerate(pairwise(widths)):
        nodes += [Node(f"z{k}", draw.affine(k, m, n), (source,)), Node(f"a{k}", act, (f"z{k}",))]
        source = f"a{k}"
    nodes.append(Node("y", draw.affine(len(widths) - 1, outputs, widths[-1]), (source,)))
    return nodes, (widths[0],)


def chain(draw: Draw) -> tuple[list[Node], tuple[int, ...]]:
    """Affine layers and ReLUs, 1 to 11 of them."""
    return _chain(draw, ReLU())


def leaky(draw: Draw) -> tuple[list[Node], tuple[int, ...]]:
    return _chain(draw, LeakyReLU(float(draw.rng.choice([1e-300, 0.01, 0.5, 1.0]))))


def one_output(draw: Draw) -> tuple[list[Node], tuple[int, ...]]:
    return _chain(draw, ReLU(), outputs=1)


def closed(draw: Draw) -> tuple[list[Node], tuple[int, ...]]:
    """Two layers of ReLUs; ``closed_pattern`` decides the first, or both."""
    nodes = [
        Node("z0", draw.affine(0, 4, 2), (INPUT,)),
        Node("a0", ReLU(), ("z0",)),
        Node("z1", draw.affine(1, 3, 4), ("a0",)),
        Node("a1", ReLU(), ("z1",)),
        Node("y", draw.affine(2, 2, 3), ("a1",)),
    ]
    return nodes, (2,)


def cancelling(draw: Draw) -> tuple[list[Node], tuple[int, ...]]:
    """An ordinary bump beside a chain of large values that cancels at every input."""
    rng, depth = draw.rng, int(draw.rng.integers(1, DEPTH - 1))
    centre = float(rng.integers(16, 48)) / 64
    first = np.array([[1.0], [-1.0], [1.0]])
    shift = np.array([-centre, centre, -0.3])
    nodes = [Node("z0", Affine(first, shift), (INPUT,)), Node("a0", ReLU(), ("z0",))]
    step, offset = np.array([[-1.0, -1.0, 0], [0, 0, 1.0]]), np.array([0.5, 0.0])
    for k in range(1, depth + 1):
        step[1] *= abs(draw.numbers(k, 1)[0])
        nodes += [Node(f"z{k}", Affine(step, offset), (f"a{k - 1}",))]
        nodes += [Node(f"a{k}", ReLU(), (f"z{k}",))]
        step, offset = np.eye(2), np.zeros(2)
    split = np.array([[1.0, 0], [0, 1], [0, 1]])
    nodes += [Node("split", Affine(split, np.zeros(3)), (f"a{depth}",))]
    nodes += [Node("last", ReLU(), ("split",))]
    out = np.array([[1.0, 1, -1], [0.0, 1, -1]])
    return [*nodes, Node("y", Affine(out, np.zeros(2)), ("last",))], (1,)


def residual(draw: Draw) -> tuple[list[Node], tuple[int, ...]]:
    """A value added to what a layer makes of it, with coefficients of any size."""
    coefficient = float(draw.numbers(2, 1)[0])
    nodes = [
        Node("z0", draw.affine(0, 2, 2), (INPUT,)),
        Node("a0", ReLU(), ("z0",)),
        Node("z1", draw.affine(1, 2, 2), ("a0",)),
        Node("sum", Add((1.0, coefficient)), ("z1", "z0")),
        Node("a1", ReLU(), ("sum",)),
        Node("skip", Add((1.0, -1.0)), ("a1", "a0")),
        Node("y", draw.affine(3, 2, 2), ("skip",)),
    ]
    return nodes, (2,)


def affine_only(draw: Draw) -> tuple[list[Node], tuple[int, ...]]:
    """No activation at all."""
    nodes = [Node("z0", draw.affine(0, 3, 2), (INPUT,)), Node("y", draw.affine(1, 2, 3), ("z0",))]
    return nodes, (2,)


def pool_only(draw: Draw) -> tuple[list[Node], tuple[int, ...]]:
    """Maxima of the inputs, and an affine layer."""
    nodes = [
        Node("pool", MaxPool2d((1, 2), (1, 1), (0, 0, 0, 0)), (INPUT,)),
        Node("flat", Reshape((2,)), ("pool",)),
        Node("y", draw.affine(0, 2, 2), ("flat",)),
    ]
    return nodes, (1, 1, 3)


def on_inputs(draw: Draw) -> tuple[list[Node], tuple[int, ...]]:
    """A ReLU of the inputs, so that a pattern may speak of them."""
    nodes = [
        Node("a0", ReLU(), (INPUT,)),
        Node("z1", draw.affine(0, 2, 2), ("a0",)),
        Node("a1", ReLU(), ("z1",)),
        Node("y", draw.affine(1, 2, 2), ("a1",)),
    ]
    return nodes, (2,)


KINDS: dict[str, Callable[[Draw], tuple[list[Node], tuple[int, ...]]]] = {
    "chain": chain,
    "leaky": leaky,
    "cancelling": cancelling,
    "residual": residual,
    "affine only": affine_only,
    "pool only": pool_only,
    "on inputs": on_inputs,
    "one output": one_output,
    "closed": closed,
}


def extreme_claim(seed: int) -> tuple[str, Claim]:
    """Family and claim of one seed."""
    rng = np.random.default_rng([seed, 15])
    kind = list(KINDS)[seed % len(KINDS)]
    size = SIZES[(seed // len(KINDS)) % len(SIZES)]
    nodes, shape = KINDS[kind](Draw(rng, sizes(rng, size), whole=size == "whole"))
    network = Network(tuple(nodes), shape)
    box = random_box(rng, network.input_size)
    pattern = random_pattern(rng, network, box)
    if kind == "closed":
        pattern = closed_pattern(rng, network, box)
    half = random_halfspaces(rng, box) if rng.random() < 0.15 else None
    claim_property = random_property(rng, network, box)
    return f"{kind}/{size}", Claim(network, box, pattern, claim_property, half)


def random_box(rng: np.random.Generator, inputs: int) -> Box:
    """Of any size; a few floats wide; or with sides that are single points."""
    how = rng.choice(["unit", "any size", "few floats", "huge"])
    if how == "unit":
        return Box.uniform(inputs, -1.0, float(rng.integers(0, 2)))
    if how == "huge":
        return Box.uniform(inputs, -MAX, MAX)
    centre = rng.normal(size=inputs)
    if how == "any size":
        centre = centre * 10.0 ** rng.uniform(-300, 300)
        width = np.abs(centre) * rng.choice([0.0, 1e-9, 1.0], size=inputs)
        return Box(centre - width, centre + width)
    return Box(centre, np.nextafter(np.nextafter(centre, np.inf), np.inf))


def random_pattern(rng: np.random.Generator, network: Network, box: Box) -> DecisionPattern:
    """Some literals that hold at one point of the box."""
    if rng.random() < 0.6 or not network.decision_layers:
        return DecisionPattern()
    values = exact_values(network, box.sample(1, rng)[0])
    on, off = set(), set()
    for layer in network.decision_layers:
        for index, z in enumerate(values[network.pre_activation(layer)].fractions()):
            if rng.random() < 0.3:
                (on if z > 0 else off).add((layer, index))
    return DecisionPattern(frozenset(on), frozenset(off))


def closed_pattern(rng: np.random.Generator, network: Network, box: Box) -> DecisionPattern:
    """What one point of the box does at all neurons of the first layer, and of some after it."""
    values = exact_values(network, box.sample(1, rng)[0])
    on, off = set(), set()
    share = float(rng.choice([0.0, 0.5, 1.0]))
    for k, layer in enumerate(network.decision_layers):
        for index, z in enumerate(values[network.pre_activation(layer)].fractions()):
            if k == 0 or rng.random() < share:
                (on if z > 0 else off).add((layer, index))
    return DecisionPattern(frozenset(on), frozenset(off))


def random_halfspaces(rng: np.random.Generator, box: Box) -> HalfSpaces:
    """One or two sides through a point of the box, or next to it."""
    rows = rng.normal(size=(int(rng.integers(1, 3)), box.size)) * 10.0 ** rng.uniform(-3, 3)
    point = box.sample(1, rng)[0]
    limits = [
        rounded(
            sum((Fraction(r) * Fraction(v) for r, v in zip(row, point, strict=True)), Fraction(0))
        )
        for row in rows.tolist()
    ]
    return HalfSpaces(rows, np.array(limits))


def random_property(rng: np.random.Generator, network: Network, box: Box) -> Property:
    """``c·y ≥ limit`` (or >) with a limit at, next to or some way from the least value seen."""
    factor = float(rng.choice([1.0, 1.0, 1.0, 1e300, 1e-300]))
    alone = network.output_size == 1 or rng.random() < 0.5
    terms = [(0, factor)] if alone else [(0, factor), (1, -factor)]
    corners = np.where(rng.random((8, box.size)) < 0.5, box.lower, box.upper)
    points = np.concatenate([corners, box.sample(8, rng)])
    seen = []
    for x in points:
        y = exact_values(network, x)[network.output].fractions()
        seen.append(sum((Fraction(v) * y[i] for i, v in terms), Fraction(0)))
    least, most = min(seen), max(seen)
    how = rng.choice(["tie", "above", "below", "between", "far"])
    limit = rounded(least)
    if how == "above":
        limit = float(np.nextafter(limit, np.inf))
    elif how == "below":
        limit = float(np.nextafter(limit, -np.inf))
    elif how == "between":
        limit = rounded((least + most) / 2)
    elif how == "far":
        limit = rounded(least - (most - least) - abs(least) / 2)
    limit = float(np.clip(limit, -MAX, MAX))
    return Property(((Inequality(tuple(terms), limit, strict=bool(rng.random() < 0.5)),),))


def rounded(value: Fraction) -> float:
    """The nearest finite float."""
    if abs(value) >= Fraction(MAX):
        return MAX if value > 0 else -MAX
    return float(value)
