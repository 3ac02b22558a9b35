"""Balls around early answers: what is called certified holds for every input that is tried."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from precond.apply.distillation.certified import certified_share, layer_bounds, leads
from precond.apply.distillation.path import FastPath
from precond.apply.distillation.reading import Reading
from precond.apply.distillation.votes import VoteExit
from precond.network.evaluate import values_at
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Node, ReLU
from precond.region.box import Box
from precond.region.radius import Radius
from precond.region.value_ranges import ValueRanges

RNG = np.random.default_rng(3)


def network() -> Network:
    def dense(name: str, source: str, out: int, into: int) -> Node:
        weight = RNG.normal(size=(out, into)).astype(np.float32)
        return Node(name, Affine(weight, RNG.normal(size=out).astype(np.float32) / 4), (source,))

    return Network(
        (
            dense("z", INPUT, 8, 3),
            Node("a", ReLU(), ("z",)),
            dense("u", "a", 6, 8),
            Node("b", ReLU(), ("u",)),
            dense("y", "b", 3, 6),
        ),
        (3,),
        origin="three inputs",
    )


def exit_of(net: Network, layer: str, threshold: float) -> VoteExit:
    """An exit with random rules of a few literals, and votes in halves."""
    width = net.width(layer)
    exit = VoteExit(net, Reading(layer), 5, levels=torch.zeros(1, width))
    exit.vote.weight.copy_(torch.as_tensor(RNG.integers(-2, 3, size=(5, width))))
    exit.vote.limit.copy_(torch.as_tensor(RNG.integers(-1, 2, size=5)))
    exit.vote.votes.copy_(torch.as_tensor(RNG.integers(-4, 5, size=(3, 5)) / 2))
    exit.threshold = torch.tensor(threshold)
    return exit


@pytest.mark.parametrize("layers", [("a",), ("a", "b")])
@pytest.mark.parametrize("radius", [0.02, 0.1])
def test_certified_inputs_keep_their_class_where_they_are_tried(
    layers: tuple[str, ...], radius: float
) -> None:
    """One input at a time, so that a count is a yes or a no; 2,000 inputs of its ball are tried."""
    certified = early = 0
    for _ in range(3):
        net = network()
        path = FastPath(net, [exit_of(net, layer, 1.5) for layer in layers])
        for x in RNG.uniform(-1, 1, size=(25, 1, 3)).astype(np.float32):
            found = certified_share(
                path, x, Radius(radius), ranges=ValueRanges.uniform(3, (-2.0, 2.0))
            )
            own = path.predict(x)
            assert found.inputs == int(own.exits[0] < len(layers))
            assert found.exit <= found.path <= found.inputs
            early += found.inputs
            certified += found.path
            corners = np.array(list(itertools.product((-1, 1), repeat=3)))
            inside = np.concatenate([RNG.uniform(-1, 1, size=(2000, 3)), corners])
            tried = path.predict((x + 0.999 * radius * inside).astype(np.float32))
            if found.path:
                assert (tried.labels == own.labels[0]).all()
            if found.exit:
                assert (tried.exits == own.exits[0]).all()
    assert 0 < certified < early or radius == 0.02


def test_leads_are_the_least_and_the_most_over_all_completions() -> None:
    """Every way to settle four rules that may fire, of six."""
    votes, start = RNG.integers(-4, 5, size=(3, 6)) / 2, RNG.integers(-2, 3, size=3) / 2
    fires = np.array([[True, False, False, False, False, False]])
    may = np.array([[True, True, True, True, True, False]])
    least, most = leads(fires, may, votes, start)
    gaps = []
    for bits in itertools.product((0, 1), repeat=4):
        scores = votes @ np.array([1, *bits, 0]) + start
        gaps.append(scores[:, None] - scores[None])
    assert (least[0] == np.min(gaps, axis=0)).all() and (most[0] == np.max(gaps, axis=0)).all()


def test_bounds_of_a_layer_hold_its_values() -> None:
    net, x = network(), RNG.uniform(-1, 1, size=(4, 3))
    for layer, before in (("a", "z"), ("b", "u")):
        low, high = layer_bounds(net, layer, x - 0.1, x + 0.1)
        for shift in RNG.uniform(-0.1, 0.1, size=(50, 1, 3)):
            values = values_at(net, x + shift, before)
            assert (low <= values).all() and (values <= high).all()


def test_a_share_of_each_column_s_range() -> None:
    """5 % of a column of range 2 is 0.1, of one that never changes nothing."""
    low, high = np.array([0.0, 1.0]), np.array([2.0, 1.0])
    ranges = ValueRanges(Box(low, high), high - low, columns=True)
    lower, upper = ranges.balls(np.array([[1.0, 1.0], [2.0, 1.0]]), Radius(0.05, of_range=True))
    assert np.allclose(lower, [[0.9, 1.0], [1.9, 1.0]])
    assert np.allclose(upper, [[1.1, 1.0], [2.0, 1.0]])
