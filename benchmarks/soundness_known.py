"""Random claims with a truth of their own, where z3's reals do not reach.

``constants``: files whose constants no float holds (a division by 49, a root), read by the ONNX
reader; monotone ones are largest at the upper corner, where fractions say the value.

``activations``: networks of one input that end in a softmax, log-softmax or sigmoid.  Between
the points where a ReLU bends, logits are affine, and 1 / y_i = Σ_j exp(z_j − z_i) is convex: the
least y_i lies at such a point, the largest is found by halving, in decimals.

Limits are the extreme value itself, rounded, and floats next to it on both sides.
"""

from __future__ import annotations

import decimal
import sys
import tempfile
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import itertools

from inexact import made

from precond.formats.load import load
from precond.network.activation import OutputActivation
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Node, ReLU
from precond.proof.claim import Claim
from precond.proof.restate.logits import activated
from precond.proof.verdict import Status
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

DIGITS = 60
STEPS = 90  # of a search for a largest value: its distance falls by a third at each
UNSURE = Decimal(10) ** -25  # of the output's size: a gap that the search may have made
Known = tuple[str, Claim, Status]
Vector = list[Fraction]


def known_claim(seed: int) -> Known:
    """Family, claim and status of one seed."""
    rng = np.random.default_rng([seed, 16])
    if seed % 2:
        return constants(rng)
    while True:  # until the truth is found
        family, claim, known = activations(rng)
        if known is not None:
            return family, claim, known


def status(holds: bool) -> Status:
    return Status.PROVED if holds else Status.REFUTED


def near(rng: np.random.Generator, value: float) -> float:
    """The value, a float next to it, or one a little or far away."""
    how = int(rng.integers(6))
    if how < 3:
        return float([value, np.nextafter(value, np.inf), np.nextafter(value, -np.inf)][how])
    size = abs(value) * float(rng.choice([1e-12, 1e-6, 0.1]))
    return value + float(rng.choice([-1.0, 1.0])) * size


def constants(rng: np.random.Generator) -> Known:
    """A claim about one output of a file, over a box or one point of it."""
    positive = bool(rng.random() < 0.7)
    model = made(rng, rational=bool(rng.random() < 0.5), positive=positive)
    with tempfile.TemporaryDirectory() as folder:
        network = load(model.save(Path(folder) / "m.onnx"))
    x = rng.integers(0, 400, model.inputs) / 4
    values = model.value([Fraction(v) for v in x.tolist()])
    at = int(rng.integers(len(values)))
    factor = -1.0 if positive else float(rng.choice([1.0, -1.0]))
    bound = near(rng, float(values[at]))
    strict = bool(rng.integers(2))
    gap = Fraction(factor) * (values[at] - Fraction(bound))
    holds = gap > 0 if strict else gap >= 0
    box = Box(np.zeros(len(x)) if positive else x, x)
    inequality = Inequality(((at, factor),), factor * bound, strict)
    claim = Claim(network, box, DecisionPattern(), Property(((inequality,),)))
    kind = "monotone" if positive else "point"
    return f"constants/{kind}", claim, status(holds)


def activations(rng: np.random.Generator) -> tuple[str, Claim, Status | None]:
    """A claim about one output, or the difference of two; None where the decimals cannot tell."""
    kinds = (OutputActivation.SOFTMAX, OutputActivation.LOG_SOFTMAX, OutputActivation.SIGMOID)
    activation = kinds[int(rng.integers(3))]
    size = int(rng.integers(1, 4))
    if activation is OutputActivation.LOG_SOFTMAX and size == 1:
        size = 2
    network = chain(rng, size, activation)
    low = float(rng.normal())
    box = Box([low], [low + float(rng.choice([0.0, 1e-9, 0.5, 4.0]))])
    factor = float(rng.choice([1.0, -1.0, 3.0, -0.1, 1e200, -1e-200]))
    terms = {int(rng.integers(size)): factor}
    if size > 1 and rng.random() < 0.3:
        first, second = rng.permutation(size)[:2].tolist()
        terms = {first: 1.0, second: -1.0}
    least = lowest(network, box, terms)
    with decimal.localcontext() as context:
        context.prec = DIGITS
        scale = Decimal(abs(factor)) if len(terms) == 1 else Decimal(1)
        bound = near(rng, float(least / scale)) * float(scale)
        if rng.random() < 0.1:
            bound = float(rng.choice([0.0, -0.0, 1.0, -1.0, 2.0, 5e-324])) * float(scale)
        gap = (least - Decimal(bound)) / scale
        sure = abs(gap) > UNSURE * max(abs(least / scale), Decimal(10) ** -20)
    strict = bool(rng.integers(2))
    claim_property = Property(((Inequality(tuple(terms.items()), bound, strict),),))
    claim = Claim(network, box, DecisionPattern(), claim_property)
    kind = "one" if len(terms) == 1 else "two"
    family = f"{activation.value}/{size} outputs, {kind}"
    return family, claim, status(gap > 0) if sure else None


def chain(rng: np.random.Generator, size: int, activation: OutputActivation) -> Network:
    """One input, up to three hidden layers of up to four neurons."""
    widths = [1, *rng.integers(1, 5, size=int(rng.integers(0, 4))).tolist(), size]
    factor = 10.0 ** float(rng.choice([-3.0, 0.0, 0.0, 1.0]))
    nodes, source = [], INPUT
    for k, (n, m) in enumerate(itertools.pairwise(widths)):
        weight = rng.normal(size=(m, n)) * (factor if k == len(widths) - 2 else 1.0)
        nodes.append(Node(f"z{k}", Affine(weight, rng.normal(size=m)), (source,)))
        source = f"z{k}"
        if k < len(widths) - 2:
            nodes.append(Node(f"a{k}", ReLU(), (source,)))
            source = f"a{k}"
    return Network(tuple(nodes), (1,), "chain", activation)


def affine_values(network: Network, x: Fraction) -> list[Vector]:
    """Pre-activations of every affine layer at one input."""
    value, found = [x], []
    for node in network.nodes:
        if isinstance(node.layer, Affine):
            rows = zip(node.layer.weight.tolist(), node.layer.bias.tolist(), strict=True)
            value = [
                sum((Fraction(w) * v for w, v in zip(row, value, strict=True)), Fraction(b))
                for row, b in rows
            ]
            found.append(value)
        else:
            value = [max(v, Fraction(0)) for v in value]
    return found


def bends(network: Network, low: Fraction, high: Fraction) -> Vector:
    """The ends, and every point between where some ReLU's input changes its sign."""
    points = sorted({low, high})
    for layer in range(len(affine_values(network, low)) - 1):
        z = [affine_values(network, x)[layer] for x in points]
        more = set(points)
        for (a, b), (left, right) in zip(
            itertools.pairwise(points), itertools.pairwise(z), strict=True
        ):
            for u, v in zip(left, right, strict=True):
                if u * v < 0:
                    more.add(a + (b - a) * u / (u - v))
        points = sorted(more)
    return points


def lowest(network: Network, box: Box, terms: dict[int, float]) -> Decimal:
    """The least ``terms · y`` over the box."""
    activation = network.output_activation

    def at(x: Fraction) -> Decimal:
        logits = affine_values(network, x)[-1]
        y = activated([Decimal(v.numerator) / Decimal(v.denominator) for v in logits], activation)
        return sum((Decimal(c) * y[i] for i, c in terms.items()), Decimal(0))

    with decimal.localcontext() as context:
        context.prec = DIGITS
        context.Emin, context.Emax = decimal.MIN_EMIN, decimal.MAX_EMAX
        points = bends(network, Fraction(float(box.lower[0])), Fraction(float(box.upper[0])))
        best = min(at(x) for x in points)
        flat = activation is OutputActivation.SIGMOID or all(c > 0 for c in terms.values())
        if flat and len(terms) == 1:
            return best
        for a, b in itertools.pairwise(points):
            best = min(best, valley(at, a, b))
        return best


def valley(at: Callable[[Fraction], Decimal], a: Fraction, b: Fraction) -> Decimal:
    """The least value that halving finds between two points."""
    for _ in range(STEPS):
        third = (b - a) / 3
        left, right = shortened(a + third), shortened(b - third)
        if at(left) <= at(right):
            b = right
        else:
            a = left
    return min(at(a), at(b))


def shortened(x: Fraction) -> Fraction:
    """Near enough, and of few digits."""
    return Fraction(int(x * 2**160), 2**160)
