"""Certified margins lie below the true ones, which are known for linear networks."""

from __future__ import annotations

import numpy as np

from attribution.diagnosis.margins import subspace_margins
from attribution.diagnosis.subspaces import Subspace, cosine_bands, whole_space
from precond.apply.certification.subspaces import certified_margins
from precond.network.graph import INPUT, Network
from precond.network.layers import Affine, Node, ReLU
from precond.proof.deadline import Deadline


def test_a_certified_margin_of_a_linear_network() -> None:
    """Along an input's axis the box is the segment itself; elsewhere it is larger: with
    |δ_i| ≤ r h_i the network moves by r Σ |w_i| h_i at most, and r is that bound's."""
    generator = np.random.default_rng(0)
    w, b = generator.normal(size=16), 0.2
    network = Network(
        (Node("out", Affine(np.stack([w, 0 * w]), np.array([b, 0])), (INPUT,)),), (16,)
    )
    x = generator.normal(size=(10, 16))
    spaces = (
        Subspace("axis", np.eye(16)[:1]),
        whole_space(16),
        *cosine_bands((4, 4), width=2, count=2),
    )
    found = subspace_margins(network, x, spaces)
    shown = certified_margins(
        network, x, found.predicted, spaces, upper=found.sizes, deadline=Deadline.after(60)
    )
    score = abs(x @ w + b)
    for place, space in enumerate(spaces):
        reach = np.linalg.norm(space.basis, axis=0)
        expected = np.minimum(score / (abs(w) @ reach), found.sizes[place])
        assert (shown[place] <= expected).all()
        assert (shown[place] >= 0.96 * expected).all()


def test_no_change_that_was_found_is_within_a_certified_margin() -> None:
    generator = np.random.default_rng(1)
    nodes = (
        Node("h", Affine(generator.normal(size=(12, 9)), generator.normal(size=12)), (INPUT,)),
        Node("on", ReLU(), ("h",)),
        Node("out", Affine(generator.normal(size=(3, 12)), generator.normal(size=3)), ("on",)),
    )
    network, x = Network(nodes, (9,)), generator.normal(size=(12, 9))
    spaces = (whole_space(9), *cosine_bands((3, 3), width=2, count=2))
    found = subspace_margins(network, x, spaces)
    shown = certified_margins(
        network, x, found.predicted, spaces, upper=found.sizes, deadline=Deadline.after(60)
    )
    assert (shown > 0).any() and (shown <= found.sizes).all()


def test_nothing_is_certified_after_the_deadline() -> None:
    network = Network((Node("out", Affine(np.eye(2), np.zeros(2)), (INPUT,)),), (2,))
    shown = certified_margins(
        network,
        np.array([[2.0, 1.0]]),
        np.array([0]),
        (whole_space(2),),
        upper=np.ones((1, 1)),
        deadline=Deadline.after(-1.0),
    )
    assert shown.tolist() == [[0.0]]
