"""Rounding that a backward pass cannot see in the form it ends with, against hand-made truths:
products that underflow, factors that float32 has not, and sums that cancel."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from precond.network.graph import INPUT, Network
from precond.network.layers import Add, Affine, Conv2d, Layer, Node, ReLU, Reshape, Scale
from precond.network.operators import operators
from precond.proof.bounds.backward import Region, lower_bound
from precond.proof.bounds.field_maps import number_type
from precond.proof.bounds.field_pass import field_bounds
from precond.proof.bounds.objective import Objective
from precond.proof.bounds.region import refine
from precond.proof.deadline import FOREVER

HALF = {torch.float32: 2.0**-25, torch.float64: 2.0**-54}  # of what follows a number below 1


def one_pixel(*factors: list[list[float]]) -> Network:
    """Convolutions of one pixel, with a ReLU behind each; ``c`` is the last."""
    nodes: list[Node] = []
    source = INPUT
    for k, rows in enumerate(factors):
        name = "c" if k == len(factors) - 1 else f"c{k}"
        weight = np.array(rows)[:, :, None, None]
        nodes += [
            Node(name, Conv2d(weight, np.zeros(len(weight))), (source,)),
            Node(f"r{k}", ReLU(), (name,)),
        ]
        source = f"r{k}"
    nodes += [
        Node("flat", Reshape((len(factors[-1]),)), (source,)),
        Node("out", Affine(np.ones((1, len(factors[-1]))), np.zeros(1)), ("flat",)),
    ]
    return Network(tuple(nodes), (len(factors[0][0]), 1, 1))


def region_of(network: Network, low: float, high: float) -> Region:
    ops = operators(network, "cpu", torch.float64)
    shape = (1, network.input_size)
    ends = (torch.full(shape, end, dtype=torch.float64) for end in (low, high))
    return refine(ops, *ends).region


def highest(region: Region, name: str, *, fields: bool) -> Fraction:
    """What a pass says is the most that the one value of a node reaches."""
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    with torch.no_grad():
        if fields:
            entries, signs = torch.tensor([0]), torch.tensor([-1])
            ((_, found),) = field_bounds(region, name, entries, signs=signs, deadline=FOREVER)
        else:
            found = lower_bound(region, Objective(name, -one, one.new_zeros(1, 1))).value
    return Fraction(-float(found))


@pytest.mark.parametrize("factor", [1.0, 1e-10, 1e-20, 1e-28])
@pytest.mark.parametrize("reach", [1.0, 1e-15, 1e-30, 1e-45])
def test_products_that_underflow_are_counted(factor: float, reach: float) -> None:
    """factor · (relu(x) − relu(−x)) = factor · x is as large as factor · reach; the intercepts of
    the lines, of which half of that comes, are below what float32 has."""
    network = one_pixel([[1.0], [-1.0]], [[factor, -factor]])
    region = region_of(network, -reach, reach)
    assert number_type(region.ops) is torch.float32
    truth = Fraction(factor) * Fraction(reach)
    assert highest(region, "c", fields=True) >= truth


@pytest.mark.parametrize("factors", [(1e-46, 1e30), (1e-35, 1e20), (1e35, 1e-30), (1e39, 1e-39)])
def test_factors_that_float32_has_not_are_held_in_float64(factors: tuple[float, float]) -> None:
    """Of x = 1e10, which 1e-46 · 1e30 leaves 1e-6 of, nothing would be left."""
    network = one_pixel(*([[factor]] for factor in factors))
    region = region_of(network, 1e10, 1e10)
    assert number_type(region.ops) is torch.float64
    truth = Fraction(factors[0]) * Fraction(factors[1]) * Fraction(1e10)
    assert highest(region, "c", fields=True) >= truth


def much_read(kind: torch.dtype, wide: int, deep: int) -> tuple[Network, Fraction]:
    """z = Σ c_i a of one value a that ``wide ** deep`` nodes read, with c = (−1, h, …, h, 1); the
    form on a adds them up from the last, and 1 + h is rounded to 1.  And Σ c_i."""
    tiny = 1.8 * HALF[kind]
    factors = [-1.0, *[tiny] * (wide**deep - 2), 1.0]
    first: Layer = Conv2d(np.ones((1, 1, 1, 1)), np.zeros(1))
    if kind is torch.float64:
        first = Scale(np.array(1.0), np.array(0.0))
    nodes = [Node("a", first, (INPUT,))]
    names = []
    for factor in factors:
        names.append(f"s{len(nodes)}")
        nodes.append(Node(names[-1], Scale(np.array(factor), np.array(0.0)), ("a",)))
    while len(names) > 1:
        parts, names = [names[k : k + wide] for k in range(0, len(names), wide)], []
        for part in parts:
            names.append("z" if len(parts) == 1 else f"s{len(nodes)}")
            nodes.append(Node(names[-1], Add((1.0,) * wide), tuple(part)))
    nodes += [
        Node("r", ReLU(), ("z",)),
        Node("flat", Reshape((1,)), ("r",)),
        Node("out", Affine(np.ones((1, 1)), np.zeros(1)), ("flat",)),
    ]
    return Network(tuple(nodes), (1, 1, 1)), sum(map(Fraction, factors), Fraction(0))


@pytest.mark.parametrize(("wide", "deep"), [(20, 2), (8, 3)])
@pytest.mark.parametrize("kind", HALF, ids=str)
def test_what_is_lost_where_many_read_a_value_is_counted(
    kind: torch.dtype, wide: int, deep: int
) -> None:
    network, truth = much_read(kind, wide, deep)
    region = region_of(network, 1.0, 1.0)
    assert highest(region, "z", fields=kind is torch.float32) >= truth
