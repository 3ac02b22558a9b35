"""Claims that are well formed but odd are answered: nothing raises, ties are decided.

Networks without a ReLU, a ReLU that reads the input, values of one number, pools alone,
inequalities between numbers alone, witnesses that no float32 holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from precond import Box, Claim, DecisionPattern, Property, Status, prove
from precond.network.exact import exact_values
from precond.network.graph import INPUT, Network
from precond.network.layers import (
    Add,
    Affine,
    Concat,
    Layer,
    LeakyReLU,
    MaxPool2d,
    Node,
    ReLU,
    Reshape,
    Scale,
    Select,
    Sum,
)
from precond.proof.arithmetic import Arithmetic
from precond.proof.replay import replay
from precond.region.inequality import Inequality

NO_PATTERN = DecisionPattern()


def chain(shape: Sequence[int], *layers: Layer) -> Network:
    """Layers one after another, named n0, n1, …"""
    names = [INPUT, *(f"n{i}" for i in range(len(layers)))]
    nodes = [Node(f"n{i}", layer, (names[i],)) for i, layer in enumerate(layers)]
    return Network(tuple(nodes), tuple(shape), "odd")


def affine(*rows: Sequence[float]) -> Affine:
    return Affine(np.array(rows, dtype=float), np.zeros(len(rows)))


def at_most(bound: float, *, strict: bool = False) -> Property:
    """y_0 ≤ bound, < if strict."""
    return Property(((Inequality({0: -1.0}, -bound, strict),),))


def asked(network: Network, low: float, high: float, wanted: Property) -> Claim:
    return Claim(network, Box.uniform(network.input_size, low, high), NO_PATTERN, wanted)


@pytest.mark.parametrize("exact", [False, True])
def test_ties_of_a_network_without_a_relu(exact: bool) -> None:
    # 0.1 x0 + 0.2 x1 reaches 0.1 + 0.2 without rounding, which lies below the float 0.1 + 0.2.
    network = chain((2,), affine([0.1, 0.2]))
    top = 0.1 + 0.2
    assert prove(asked(network, 0, 1, at_most(top, strict=True)), exact=exact).is_proved
    below = prove(asked(network, 0, 1, at_most(math.nextafter(top, 0))), exact=exact)
    assert below.status is Status.REFUTED


@pytest.mark.parametrize("bound", [1.5, math.nextafter(1.5, 0), math.nextafter(1.5, 2)])
@pytest.mark.parametrize("strict", [False, True])
def test_ties_one_unit_in_the_last_place_off(bound: float, strict: bool) -> None:
    # relu(x0) + relu(x1) / 2 reaches exactly 1.5 at the corner.
    network = chain((2,), ReLU(), affine([1.0, 0.5]))
    holds = bound > 1.5 or (bound == 1.5 and not strict)
    found = prove(asked(network, -1, 1, at_most(bound, strict=strict)))
    assert found.status is (Status.PROVED if holds else Status.REFUTED)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("layer", [ReLU(), LeakyReLU(0.0), LeakyReLU(1.0), LeakyReLU(0.5)])
def test_a_pattern_on_a_layer_that_reads_the_input(layer: Layer, exact: bool) -> None:
    network = chain((2,), layer, affine([1.0, -1.0]))
    pattern = DecisionPattern(frozenset({("n0", 0)}), frozenset({("n0", 1)}))
    box, less = Box([-1, -1], [1, 1]), Property(((Inequality({0: 1.0}, -0.25),),))
    assert prove(Claim(network, box, pattern, less), exact=exact).is_proved
    more = Property(((Inequality({0: 1.0}, 0.25),),))
    assert prove(Claim(network, box, pattern, more), exact=exact).status is Status.REFUTED


@pytest.mark.parametrize("top", [1e30, 1e39, 1e300])
def test_a_witness_that_no_float32_holds(top: float) -> None:
    network = chain((1,), affine([1.0]), ReLU())
    found = prove(asked(network, 0, top, at_most(1.0)))
    assert found.status is Status.REFUTED
    assert found.witness is not None
    far = Claim(network, Box([top], [top]), NO_PATTERN, at_most(1.0))
    assert replay(far, [top]).in_float32 == (top < 3e38)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("keepdims", [False, True])
def test_a_value_of_one_number(keepdims: bool, exact: bool) -> None:
    network = chain((2, 2), ReLU(), Sum((0, 1), keepdims, 0.5), ReLU())
    assert network.output_size == 1
    (total,) = exact_values(network, [1.0, -3.0, 2.0, 0.0])[network.output].fractions()
    assert total == 1.5
    assert prove(asked(network, -1, 1, at_most(2.5)), exact=exact).is_proved
    assert prove(asked(network, -1, 1, at_most(1.5)), exact=exact).status is Status.REFUTED


@pytest.mark.parametrize(
    "layers",
    [
        (Reshape((4,)),),
        (MaxPool2d((2, 2), (1, 1)),),
        (MaxPool2d((2, 2), (1, 1), (1, 1, 1, 1)), Reshape((9,))),
        (Select([-1, 3, 3], (3,), 1.0),),
        (ReLU(), ReLU(), Reshape((4,))),
        (Scale(0.0, 0.5), Sum((1,), True)),
    ],
    ids=lambda layers: "-".join(type(layer).__name__ for layer in layers),
)
@pytest.mark.parametrize("exact", [False, True])
def test_layers_alone_are_bounded_by_the_box(layers: tuple[Layer, ...], exact: bool) -> None:
    # Every one of them has values up to 1 on [−1, 1]^4.
    claim = asked(chain((1, 2, 2), *layers), -1, 1, at_most(1.5))
    assert prove(claim, exact=exact).is_proved


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(
    ("bound", "strict", "holds"), [(0.0, False, True), (0.0, True, False), (1.0, False, False)]
)
def test_inequalities_between_numbers(bound: float, strict: bool, holds: bool, exact: bool) -> None:
    network = chain((2,), affine([1.0, 1.0], [1.0, -1.0]), ReLU(), affine([1.0, 1.0]))
    claim = asked(network, -1, 1, Property(((Inequality({}, bound, strict),),)))
    assert prove(claim, exact=exact).status is (Status.PROVED if holds else Status.REFUTED)


def test_a_property_that_asks_nothing() -> None:
    claim = asked(chain((2,), affine([0.1, 0.2]), ReLU()), -1, 1, Property(()))
    for execution in Arithmetic:
        assert prove(claim, execution=execution).is_proved


def random_network(rng: np.random.Generator) -> Network:
    """A few odd layers in a row or in branches, with small whole numbers for weights."""
    nodes: list[Node] = []
    shapes: dict[str, tuple[int, ...]] = {INPUT: (int(rng.integers(1, 4)),)}
    last = INPUT

    def put(layer: Layer, *inputs: str) -> str:
        name = f"n{len(nodes)}"
        nodes.append(Node(name, layer, inputs))
        shapes[name] = layer.output_shape([shapes[i] for i in inputs])
        return name

    for _ in range(int(rng.integers(1, 6))):
        (size,) = shapes[last]
        match int(rng.integers(8)):
            case 0 | 1:
                rows = int(rng.integers(1, 4))
                weight = rng.integers(-2, 3, (rows, size)).astype(float)
                last = put(Affine(weight, rng.integers(-1, 2, rows)), last)
            case 2 | 3:
                last = put(ReLU(), last)
            case 4:
                last = put(LeakyReLU(float(rng.choice([0.0, 0.5, 1.0]))), last)
            case 5:
                alike = [name for name, shape in shapes.items() if shape == shapes[last]]
                last = put(Add((1.0, float(rng.choice([-1.0, 0.0])))), last, str(rng.choice(alike)))
            case 6 if size < 6:
                last = put(Concat(0), last, str(rng.choice(list(shapes))))
            case _:
                last = put(Sum((0,), bool(rng.integers(2))), last)
    if not nodes:
        put(Scale(1.0, 0.0), last)
    return Network(tuple(nodes), shapes[INPUT], "random")


FAST = 6  # seeds; the others are slow tests
SEEDS = [*range(FAST), *(pytest.param(k, marks=pytest.mark.slow) for k in range(FAST, 20))]


@pytest.mark.parametrize("seed", SEEDS)
def test_random_odd_networks_against_their_values_on_a_grid(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    size = network.input_size
    box = Box(np.full(size, -1.0), rng.choice([-1.0, 0.0, 1.0], size))
    axes = [
        np.unique([low, (low + high) / 2, high])
        for low, high in zip(box.lower, box.upper, strict=True)
    ]
    grid = np.stack(np.meshgrid(*axes), -1).reshape(-1, size)
    values = [exact_values(network, x)[network.output].fractions()[0] for x in grid]
    top = float(max(values))
    for bound in (top, math.nextafter(top, math.inf), math.nextafter(top, -math.inf)):
        claim = Claim(network, box, NO_PATTERN, at_most(bound))
        for exact in (False, True):
            found = prove(claim, budget=2, exact=exact)
            if bound < top:
                assert found.status is Status.REFUTED
            elif found.status is Status.REFUTED:  # the grid does not see every corner of f
                assert found.witness is not None
                assert replay(claim, found.witness).counts
            else:
                assert not any(value > bound for value in values)
