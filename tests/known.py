"""Networks whose every region and every answer is worked out by hand.

Each ``Known`` is a claim with the status it must get and, where its property is a single
inequality, the exact minimum of ``Σ c·y + Σ e·x − bound`` over the region.  All numbers are
small dyadic fractions, so the minima are exact in float64 too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from precond.network.graph import INPUT, Network
from precond.network.layers import (
    Add,
    Affine,
    Conv2d,
    LeakyReLU,
    MaxPool2d,
    Node,
    ReLU,
    Reshape,
)
from precond.proof.claim import Claim, HalfSpaces
from precond.proof.verdict import Status
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern


@dataclass(frozen=True, eq=False)
class Known:
    """A claim, its status, the minimum of its margin (None: empty region or several parts)."""

    name: str
    claim: Claim
    status: Status
    minimum: float | None = None


def affine(
    name: str, weight: Sequence[Sequence[float]], bias: Sequence[float], source: str
) -> Node:
    return Node(name, Affine(np.array(weight), np.array(bias)), (source,))


def box(*sides: tuple[float, float]) -> Box:
    return Box(np.array([s[0] for s in sides]), np.array([s[1] for s in sides]))


def phases(on: Iterable[int] = (), off: Iterable[int] = (), layer: str = "a") -> DecisionPattern:
    return DecisionPattern(frozenset((layer, i) for i in on), frozenset((layer, i) for i in off))


def at_least(bound: float, *outputs: float, inputs: Sequence[float] = ()) -> Property:
    """``Σ outputs·y + Σ inputs·x ≥ bound``."""
    terms = Inequality(tuple(enumerate(outputs)), bound, inputs=tuple(enumerate(inputs)))
    return Property(((terms,),))


ANY = DecisionPattern()
EIGHTH = 0.125

# y = relu(x) + relu(−x) = |x|.  Neuron 0 is on for x > 0, neuron 1 for x < 0.
ABSOLUTE = Network(
    (
        affine("z", [[1.0], [-1.0]], [0.0, 0.0], INPUT),
        Node("a", ReLU(), ("z",)),
        affine("y", [[1.0, 1.0]], [0.0], "a"),
    ),
    (1,),
    origin="|x|",
)

# y = relu(x₀ − x₁) + relu(x₁) − relu(−x₁) = max(x₀, x₁).
MAXIMUM = Network(
    (
        affine("z", [[1.0, -1.0], [0.0, 1.0], [0.0, -1.0]], [0.0, 0.0, 0.0], INPUT),
        Node("a", ReLU(), ("z",)),
        affine("y", [[1.0, 1.0, -1.0]], [0.0], "a"),
    ),
    (2,),
    origin="max(x0, x1)",
)

# s = x₀ + x₁; y = relu(s) − 2 relu(s − 1): on [0, 1]², y = s for s ≤ 1 and 2 − s for s ≥ 1,
# so y is 0 at (0, 0) and (1, 1), 1 at (0, 1) and (1, 0).
XOR = Network(
    (
        affine("z", [[1.0, 1.0], [1.0, 1.0]], [0.0, -1.0], INPUT),
        Node("a", ReLU(), ("z",)),
        affine("y", [[1.0, -2.0]], [0.0], "a"),
    ),
    (2,),
    origin="xor",
)

# y = relu(x) − 2 relu(x − 1) + relu(x − 2): 0 up to 0, rises to 1 at x = 1, back to 0 at 2.
BUMP = Network(
    (
        affine("z", [[1.0], [1.0], [1.0]], [0.0, -1.0, -2.0], INPUT),
        Node("a", ReLU(), ("z",)),
        affine("y", [[1.0, -2.0, 1.0]], [0.0], "a"),
    ),
    (1,),
    origin="triangle bump",
)

# Both outputs are relu(x): they tie everywhere.  Neuron 1 reads 0·x: it is 0, so on and off
# both hold in the closure, for every x.
TIES = Network(
    (
        affine("z", [[1.0], [0.0]], [0.0, 0.0], INPUT),
        Node("a", ReLU(), ("z",)),
        affine("y", [[1.0, 0.0], [1.0, 1.0]], [0.0, 0.0], "a"),
    ),
    (1,),
    origin="ties",
)

# y = x for x > 0, x / 4 below.
LEAKY = Network(
    (
        affine("z", [[1.0]], [0.0], INPUT),
        Node("a", LeakyReLU(0.25), ("z",)),
        affine("y", [[1.0]], [0.0], "a"),
    ),
    (1,),
    origin="leaky",
)

# A 1×1 convolution 2x − 1, ReLU, 2×2 max-pool: y = max(0, 2 max x − 1) of a 2×2 picture.
POOLED = Network(
    (
        Node("z", Conv2d(np.array([[[[2.0]]]]), np.array([-1.0])), (INPUT,)),
        Node("a", ReLU(), ("z",)),
        Node("pool", MaxPool2d((2, 2), (2, 2)), ("a",)),
        Node("y", Reshape((1,)), ("pool",)),
    ),
    (1, 2, 2),
    origin="conv and max-pool",
)

# y = x + relu(−x) = relu(x): a skip connection around one neuron.
RESIDUAL = Network(
    (
        affine("z", [[-1.0]], [0.0], INPUT),
        Node("a", ReLU(), ("z",)),
        Node("y", Add((1.0, 1.0)), (INPUT, "a")),
    ),
    (1,),
    origin="residual",
)

UNIT = (0.0, 1.0)
SUM_AT_LEAST_3 = HalfSpaces(np.array([[-1.0, -1.0, -1.0, -1.0]]), np.array([-3.0]))
PROVED, REFUTED, VACUOUS = Status.PROVED, Status.REFUTED, Status.VACUOUS

KNOWN = (
    # |x| on [−2, 2] takes the values 0..2.
    Known("abs ≤ 2.5", Claim(ABSOLUTE, box((-2, 2)), ANY, at_least(-2.5, -1.0)), PROVED, 0.5),
    Known("abs ≥ −0.5", Claim(ABSOLUTE, box((-2, 2)), ANY, at_least(-0.5, 1.0)), PROVED, 0.5),
    Known("abs ≥ 0.25", Claim(ABSOLUTE, box((-2, 2)), ANY, at_least(0.25, 1.0)), REFUTED, -0.25),
    # Neuron 0 on, 1 off: x ≥ 0, where y = x.
    Known(
        "abs = x where on",
        Claim(ABSOLUTE, box((-2, 2)), phases([0], [1]), at_least(-EIGHTH, -1, inputs=[1.0])),
        PROVED,
        EIGHTH,
    ),
    # Both on: only x = 0 is left, and y = 0 there.
    Known(
        "abs both on",
        Claim(ABSOLUTE, box((-2, 2)), phases([0, 1]), at_least(-0.5, -1.0)),
        PROVED,
        0.5,
    ),
    # Both off: only x = 0 again, now the property fails by 1/4.
    Known(
        "abs both off",
        Claim(ABSOLUTE, box((-2, 2)), phases([], [0, 1]), at_least(0.25, 1.0)),
        REFUTED,
        -0.25,
    ),
    # One neuron on and off is z = 0 in the closure: x = 0, y = 0.
    Known(
        "abs on and off",
        Claim(ABSOLUTE, box((-2, 2)), phases([0], [0]), at_least(-0.5, -1.0)),
        PROVED,
        0.5,
    ),
    # z ≥ 1 and z ≤ 1/2 exclude each other.
    Known(
        "abs above and below",
        Claim(
            ABSOLUTE,
            box((-2, 2)),
            DecisionPattern(above=frozenset({("a", 0, 1.0)}), below=frozenset({("a", 0, 0.5)})),
            at_least(9.0, 1.0),
        ),
        VACUOUS,
    ),
    # x ≥ 1 has no point with x ≤ 0.
    Known(
        "abs off above 1",
        Claim(ABSOLUTE, box((1, 2)), phases([], [0]), at_least(9.0, 1.0)),
        VACUOUS,
    ),
    # max(x₀, x₁) on [0, 1]².
    Known(
        "max ≥ x0",
        Claim(MAXIMUM, box(UNIT, UNIT), ANY, at_least(-EIGHTH, 1.0, inputs=[-1.0])),
        PROVED,
        EIGHTH,
    ),
    Known("max ≤ 1.25", Claim(MAXIMUM, box(UNIT, UNIT), ANY, at_least(-1.25, -1.0)), PROVED, 0.25),
    Known(
        "max ≤ 0.75", Claim(MAXIMUM, box(UNIT, UNIT), ANY, at_least(-0.75, -1.0)), REFUTED, -0.25
    ),
    # Neuron 0 off: x₀ ≤ x₁, so y = x₁.  Without that literal y − x₁ reaches 1 at (1, 0).
    Known(
        "max = x1 where off",
        Claim(MAXIMUM, box(UNIT, UNIT), phases([], [0]), at_least(-EIGHTH, -1, inputs=[0.0, 1.0])),
        PROVED,
        EIGHTH,
    ),
    Known(
        "max = x1 anywhere",
        Claim(MAXIMUM, box(UNIT, UNIT), ANY, at_least(-EIGHTH, -1, inputs=[0.0, 1.0])),
        REFUTED,
        -0.875,
    ),
    # xor on [0, 1]² takes the values 0..1.
    Known("xor ≤ 1.125", Claim(XOR, box(UNIT, UNIT), ANY, at_least(-1.125, -1)), PROVED, EIGHTH),
    Known("xor ≥ −0.125", Claim(XOR, box(UNIT, UNIT), ANY, at_least(-EIGHTH, 1)), PROVED, EIGHTH),
    Known("xor ≥ 0.5", Claim(XOR, box(UNIT, UNIT), ANY, at_least(0.5, 1.0)), REFUTED, -0.5),
    # Neuron 1 off: s ≤ 1, so y = s.
    Known(
        "xor = s where off",
        Claim(XOR, box(UNIT, UNIT), phases([0], [1]), at_least(-EIGHTH, 1, inputs=[-1.0, -1.0])),
        PROVED,
        EIGHTH,
    ),
    # s ≤ 0.5 there, so s − 1 ≥ 0 nowhere.
    Known(
        "xor corner",
        Claim(XOR, box((0, 0.25), (0, 0.25)), phases([1]), at_least(9.0, 1.0)),
        VACUOUS,
    ),
    # Always one of the two; and at s = 1/2 neither.
    Known(
        "xor low or high, overlapping",
        Claim(XOR, box(UNIT, UNIT), ANY, at_least(-0.25, -1.0) | at_least(EIGHTH, 1.0)),
        PROVED,
    ),
    Known(
        "xor low or high, with a gap",
        Claim(XOR, box(UNIT, UNIT), ANY, at_least(-0.25, -1.0) | at_least(0.75, 1.0)),
        REFUTED,
    ),
    Known(
        "xor in range",
        Claim(XOR, box(UNIT, UNIT), ANY, Property.between(0, -EIGHTH, 1.0 + EIGHTH)),
        PROVED,
    ),
    # The bump on [−1, 3] takes the values 0..1.
    Known("bump ≤ 1.125", Claim(BUMP, box((-1, 3)), ANY, at_least(-1.125, -1.0)), PROVED, EIGHTH),
    Known("bump ≥ −0.125", Claim(BUMP, box((-1, 3)), ANY, at_least(-EIGHTH, 1)), PROVED, EIGHTH),
    Known("bump ≤ 0.5", Claim(BUMP, box((-1, 3)), ANY, at_least(-0.5, -1.0)), REFUTED, -0.5),
    # 0 on, 1 off: 0 ≤ x ≤ 1, where y = x.
    Known(
        "bump rising",
        Claim(BUMP, box((-1, 3)), phases([0], [1]), at_least(-EIGHTH, 1.0, inputs=[-1.0])),
        PROVED,
        EIGHTH,
    ),
    # x ≥ 2 and x ≤ 1 at once.
    Known("bump nowhere", Claim(BUMP, box((-1, 3)), phases([2], [1]), at_least(9, 1)), VACUOUS),
    # A value threshold: x > 1/2, so 1/2 ≤ y falls only beyond x = 3/2: on [0, 3/2], y ≥ 1/2.
    Known(
        "bump above a half",
        Claim(
            BUMP,
            box((0, 1.5)),
            DecisionPattern(above=frozenset({("a", 0, 0.5)})),
            at_least(0.375, 1.0),
        ),
        PROVED,
        EIGHTH,
    ),
    # Equal outputs are not larger than each other; their difference is 0.
    Known("ties argmax", Claim(TIES, box((1, 2)), ANY, Property.argmax(0, 2)), REFUTED, 0.0),
    Known("ties differ", Claim(TIES, box((1, 2)), ANY, at_least(-EIGHTH, 1, -1)), PROVED, EIGHTH),
    Known(
        "ties with a dead neuron on",
        Claim(TIES, box((1, 2)), phases([1]), at_least(-2.125, -1.0)),
        PROVED,
        EIGHTH,
    ),
    # leaky(x) on [−4, 4] takes the values −1..4.
    Known("leaky ≥ −1.125", Claim(LEAKY, box((-4, 4)), ANY, at_least(-1.125, 1)), PROVED, EIGHTH),
    Known("leaky ≥ −0.5", Claim(LEAKY, box((-4, 4)), ANY, at_least(-0.5, 1.0)), REFUTED, -0.5),
    Known(
        "leaky = x / 4 where off",
        Claim(LEAKY, box((-4, 4)), phases([], [0]), at_least(-EIGHTH, 1.0, inputs=[-0.25])),
        PROVED,
        EIGHTH,
    ),
    # max(0, 2 max x − 1) on [0, 1]⁴ takes the values 0..1.
    Known(
        "pool ≤ 1.125", Claim(POOLED, box(*[UNIT] * 4), ANY, at_least(-1.125, -1)), PROVED, 0.125
    ),
    Known("pool ≥ 0.25", Claim(POOLED, box(*[UNIT] * 4), ANY, at_least(0.25, 1)), REFUTED, -0.25),
    # Neuron 0 on: y ≥ 2 x₀ − 1.
    Known(
        "pool ≥ its first input",
        Claim(POOLED, box(*[UNIT] * 4), phases([0]), at_least(-1.125, 1.0, inputs=[-2.0])),
        PROVED,
        EIGHTH,
    ),
    Known(
        "pool all off",
        Claim(POOLED, box(*[UNIT] * 4), phases([], range(4)), at_least(-EIGHTH, -1.0)),
        PROVED,
        EIGHTH,
    ),
    # Σ x ≥ 3 needs one x ≥ 3/4, so y ≥ 1/2.
    Known(
        "pool under a half-space",
        Claim(POOLED, box(*[UNIT] * 4), ANY, at_least(0.25, 1.0), SUM_AT_LEAST_3),
        PROVED,
        0.25,
    ),
    # relu(x) on [−1, 1].
    Known(
        "residual ≥ −1/8", Claim(RESIDUAL, box((-1, 1)), ANY, at_least(-EIGHTH, 1)), PROVED, 0.125
    ),
    Known("residual ≤ 0.5", Claim(RESIDUAL, box((-1, 1)), ANY, at_least(-0.5, -1)), REFUTED, -0.5),
    # Neuron on: −x ≥ 0, so y = 0.
    Known(
        "residual on",
        Claim(RESIDUAL, box((-1, 1)), phases([0]), at_least(-EIGHTH, -1.0)),
        PROVED,
        EIGHTH,
    ),
)
