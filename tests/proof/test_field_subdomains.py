"""Passes over receptive fields for several subdomains, and bisection of a convolutional network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_pools import POOLS, network

from precond.network.evaluate import outputs, values_at
from precond.network.layers import MaxPool2d
from precond.network.operators import operators
from precond.proof.bounds import layer_passes
from precond.proof.bounds.region import refine
from precond.proof.claim import Claim
from precond.proof.deadline import FOREVER
from precond.proof.engines.base import Outcome
from precond.proof.engines.bounds import BoundsEngine
from precond.proof.engines.input_split.search import InputSplitEngine
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern

BOXES = 3


@pytest.mark.parametrize("pool", POOLS[:2], ids=str)
def test_subdomains_together_have_the_bounds_of_each_alone(
    pool: MaxPool2d, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And inputs of each box have values within."""
    rng = np.random.default_rng(2)
    net = network(rng, pool)
    ops = operators(net, "cpu", torch.float64)
    middle = torch.tensor(rng.uniform(size=(BOXES, net.input_size)))
    lower, upper = middle - 0.02, middle + 0.02
    monkeypatch.setattr(layer_passes, "FIELD_ENTRIES", 0)
    together = refine(ops, lower, upper)
    for g in range(BOXES):
        alone = refine(ops, lower[g : g + 1], upper[g : g + 1])
        inputs = (lower[g] + (upper[g] - lower[g]) * torch.rand(50, net.input_size)).numpy()
        for name, (low, high) in together.bounds.items():
            assert torch.allclose(low[g], alone.bounds[name][0][0], rtol=0, atol=1e-5)
            assert torch.allclose(high[g], alone.bounds[name][1][0], rtol=0, atol=1e-5)
            value = values_at(net, inputs, net.node[name].inputs[0]).reshape(50, -1)
            assert (value >= low[g].numpy() - 1e-9).all()
            assert (value <= high[g].numpy() + 1e-9).all()


def test_a_line_through_a_convolutional_network_is_cut() -> None:
    """Two pixels vary, widely: the whole box proves nothing, its parts do.  The limit lies a
    little below the least output on a grid of 41 × 41 points."""
    rng = np.random.default_rng(0)
    net = network(rng, POOLS[0])
    point = rng.uniform(size=net.input_size)
    lower, upper = point.copy(), point.copy()
    lower[[65, 66]], upper[[65, 66]] = -2.0, 2.0
    grid = np.tile(point, (41 * 41, 1))
    grid[:, 65], grid[:, 66] = (each.reshape(-1) for each in np.mgrid[-2:2:41j, -2:2:41j])
    values = outputs(net, grid)[:, 0]
    limit = float(values.min() - 0.1 * (values.max() - values.min()))
    claim = Claim(
        net,
        Box(lower, upper),
        DecisionPattern(),
        Property(((Inequality(((0, 1.0),), limit),),)),
    )
    problem = claim.problem
    (once,) = BoundsEngine(steps=0).solve(problem, FOREVER)
    assert once.outcome is Outcome.UNDECIDED
    (cut,) = InputSplitEngine().solve(problem, FOREVER)
    assert cut.outcome is Outcome.INFEASIBLE and cut.rigorous
    false = replace(claim, property=Property(((Inequality(((0, 1.0),), values.min() + 1e-3),),)))
    (found,) = InputSplitEngine().solve(false.problem, FOREVER)
    assert found.outcome is Outcome.WITNESS
