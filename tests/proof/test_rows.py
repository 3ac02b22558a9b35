"""Rows of conjuncts as tensors, batches of subdomains, and descent on inputs, by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from small_networks import ABSOLUTE, IDENTITY
from torch import Tensor

from precond.network.operators import operators
from precond.proof.bounds.subdomains import Batch, youngest
from precond.proof.claim import Claim
from precond.proof.descent import Direction, Pace, descend
from precond.proof.rows import Rows, stack_rows
from precond.property import Property
from precond.region.box import Box
from precond.region.inequality import Inequality
from precond.region.pattern import DecisionPattern


def rows() -> Rows:
    """Conjuncts y ≥ 1 ∧ y + x > 3, and y ≥ 1, of y = |x|."""
    claim = Claim(ABSOLUTE, Box.uniform(1, -9.0, 9.0), DecisionPattern(), Property(()))
    first = (
        Inequality(((0, 1.0),), 1.0),
        Inequality(((0, 1.0),), 3.0, strict=True, inputs=((0, 1.0),)),
    )
    return stack_rows(replace(claim.problem, conjuncts=(first, (first[0],))), "cpu")


def test_margins_are_what_each_inequality_lacks() -> None:
    """At x = 2, y = 2: 1 − 2 = −1 and 3 − 4 = −1 violate; at 1.5 the strict one is at 0."""
    x = torch.tensor([[2.0], [1.5], [-4.0]], dtype=torch.float64)
    found = rows()
    margin = found.margins(x.abs(), x)
    assert margin.tolist() == [[-1, -1, -1], [-0.5, 0, -0.5], [-3, 3, -3]]
    assert found.violated(margin).tolist() == [
        [True, True, True],
        [True, False, True],
        [True, False, True],
    ]
    assert found.best(margin).tolist() == [[-1, -1], [0, -0.5], [3, -3]]
    assert found.sum(margin).tolist() == [[-2, -1], [-0.5, -0.5], [0, -3]]
    assert found.best_row(margin[2:], torch.tensor([0])).tolist() == [1]


def test_own_rows_repeat_the_first_of_a_short_conjunct() -> None:
    found = rows()
    assert found.padded.tolist() == [[0, 1], [2, 2]]
    assert [found.size(k) for k in range(2)] == [2, 1]
    own = found.own(torch.tensor([1, 0]))
    assert own.constant.tolist() == [[1, 1], [1, 3]]
    assert own.strict.tolist() == [[False, False], [False, True]]
    x = torch.tensor([[[2.0]], [[2.0]]], dtype=torch.float64)  # one point a subdomain
    assert own.margins(x, x).tolist() == [[[-1, -1]], [[-1, -1]]]


def test_mixed_rows_are_strict_where_all_are() -> None:
    found = rows()
    mixed = found.mixed(torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64))
    assert mixed.form.tolist() == [[-1], [0]] and mixed.constant.tolist() == [2, 0]
    assert mixed.strict.tolist() == [False, False]


@dataclass(frozen=True, eq=False)
class Numbers(Batch):
    node: Tensor
    known: dict[str, tuple[Tensor, Tensor]]


def numbers(*values: int, layer: str = "a") -> Numbers:
    tensor = torch.tensor(values)
    return Numbers(tensor, {layer: (-tensor, tensor)})


def test_the_youngest_go_first() -> None:
    blocks = [numbers(0, 1, 2), numbers(3, 4)]
    taken = youngest(blocks, 3)
    assert taken.node.tolist() == [3, 4, 2] and [len(b) for b in blocks] == [2]
    assert taken.known["a"][0].tolist() == [-3, -4, -2]
    assert youngest(blocks, 9).node.tolist() == [0, 1] and not blocks


def test_values_of_other_layers_are_not_joined() -> None:
    blocks = [numbers(0), numbers(1, layer="b")]
    assert youngest(blocks, 2).node.tolist() == [1]
    assert youngest(blocks, 2).node.tolist() == [0]


@pytest.mark.parametrize("direction", Direction)
def test_descent_stays_in_the_box_and_shortens_its_steps(direction: Direction) -> None:
    """y = x in [−1, 3] (width 4) from 2: steps of 4/4 and 4/8 to 1 and 1/2."""
    ops = operators(IDENTITY, "cpu", torch.float64)
    seen: list[float] = []

    def look(x: Tensor, values: dict[str, Tensor]) -> Tensor | None:
        seen.append(float(x.detach()))
        return values[IDENTITY.output].sum()

    box = torch.tensor([-1.0], dtype=torch.float64), torch.tensor([3.0], dtype=torch.float64)
    start = torch.tensor([[2.0]], dtype=torch.float64)
    pace = Pace(0.25, 0.5, direction)
    descend(ops, start, box, pace, look, wanted=[IDENTITY.output], steps=2)
    assert seen == [2.0, 1.0, 0.5]
    far = Pace(np.inf, 1.0, direction)
    descend(ops, start, box, far, look, wanted=[IDENTITY.output], steps=1)
    assert seen[3:] == [2.0, -1.0]
