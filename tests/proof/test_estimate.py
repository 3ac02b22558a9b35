"""Estimates, which ascent climbs, are bounds but for rounding; what ascent ends with is a bound."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from blobs import chain

from precond.network.evaluate import outputs
from precond.network.graph import Network
from precond.network.operators import operators
from precond.proof.bounds.backward import NO_MULTIPLIERS, Region, lower_bound
from precond.proof.bounds.estimate import as_type, estimate
from precond.proof.bounds.multipliers import improve
from precond.proof.bounds.objective import Objective
from precond.proof.bounds.region import refine
from precond.proof.deadline import FOREVER


def case(seed: int) -> tuple[Network, Region, Objective]:
    """A random network of three inputs on [−1, 1]³, and the row y0 − y1."""
    rng = np.random.default_rng(seed)
    sizes = [(3, 9), (9, 7), (7, 2)]
    network = chain([(rng.normal(size=(n, m)) / 2, rng.normal(size=n)) for m, n in sizes])
    low = torch.full((1, 3), -1.0, dtype=torch.float64)
    region = refine(operators(network, "cpu", torch.float64), low, -low).region
    form = torch.tensor([[[1.0, -1.0]]], dtype=torch.float64)
    return network, region, Objective(network.nodes[-1].name, form, form.new_zeros(1, 1))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("dtype", "far"), [(torch.float64, 1e-9), (torch.float32, 1e-3)])
def test_an_estimate_is_the_bound_but_for_rounding(
    seed: int, dtype: torch.dtype, far: float
) -> None:
    _, region, objective = case(seed)
    bound = float(lower_bound(region, objective).value)
    loose = estimate(as_type(region, dtype), objective.to(dtype), NO_MULTIPLIERS)
    assert abs(float(loose.value) - bound) <= far


@pytest.mark.parametrize("seed", range(8))
def test_what_ascent_ends_with_is_a_bound_and_no_worse(seed: int) -> None:
    network, region, objective = case(seed)
    first = float(lower_bound(region, objective).value)
    best, chosen = improve(region, objective, steps=20, deadline=FOREVER, goal=1e9)
    points = np.random.default_rng(seed).uniform(-1, 1, (4000, 3))
    y = outputs(network, points)
    assert first <= float(best.value) <= (y[:, 0] - y[:, 1]).min()
    again = float(lower_bound(region, objective, chosen).value)
    assert again == pytest.approx(float(best.value), abs=1e-12)
