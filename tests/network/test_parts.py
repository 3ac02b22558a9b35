"""Cutting a network in two: f = g ∘ h."""

from __future__ import annotations

import numpy as np
import pytest
from blobs import chain
from known import POOLED, RESIDUAL

from precond.errors import ModelError, QueryError
from precond.network.evaluate import outputs, values_at
from precond.network.graph import Network
from precond.network.parts import cuts, head, tail


def three_layers(seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    return chain(
        [(rng.normal(size=(m, n)), rng.normal(size=m)) for n, m in ((3, 5), (5, 4), (4, 2))]
    )


@pytest.mark.parametrize("name", ["fc1", "relu1", "fc2", "relu2"])
def test_head_then_tail_is_the_network(name: str) -> None:
    network = three_layers()
    x = np.random.default_rng(1).normal(size=(20, 3))
    middle = outputs(head(network, name), x)
    assert (middle == values_at(network, x, name)).all()
    assert (outputs(tail(network, name), middle) == outputs(network, x)).all()


def test_a_tail_of_pictures_reads_pictures() -> None:
    x = np.random.default_rng(1).random(size=(10, 1, 2, 2))
    rest = tail(POOLED, "a")
    assert rest.input_shape == (1, 2, 2)
    middle = values_at(POOLED, x, "a").reshape(10, 1, 2, 2)
    assert (outputs(rest, middle) == outputs(POOLED, x)).all()


def test_names_of_the_layers_stay() -> None:
    assert tail(three_layers(), "relu1").decision_layers == ("relu2",)
    assert head(three_layers(), "relu1").decision_layers == ("relu1",)


def test_where_a_network_can_be_cut() -> None:
    assert cuts(three_layers()) == ("fc1", "relu1", "fc2", "relu2")
    assert cuts(RESIDUAL) == ()  # y = x + relu(−x) reads x past every node


def test_a_skip_connection_is_refused_by_name() -> None:
    with pytest.raises(QueryError, match=r"residual at a.*go round"):
        tail(RESIDUAL, "a")


def test_an_unknown_node_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match=r"'nothing'.*no such layer"):
        tail(three_layers(), "nothing")
    with pytest.raises(ModelError, match="'nothing'"):
        head(three_layers(), "nothing")
