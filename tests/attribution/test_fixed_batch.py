"""Modules whose forward fixes a batch of one: y = tanh(W x + b), reshaped on the way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attribution.distributions import LinearPath
from attribution.methods.influence import influence
from attribution.methods.integrated import integrated_gradients
from attribution.slices import Slice
from precond.errors import DataError, ModelError


class Reshapes(nn.Module):
    def __init__(self, *sizes: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.sizes = nn.Linear(4, 3).double(), sizes

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.linear(x.view(*self.sizes)))


INPUTS = torch.tensor([[1.0, -2.0, 0.5, 1.5], [0.5, 0.25, -1.0, 2.0]], dtype=torch.float64)


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("method", ["gauss", "midpoint"])
def test_one_row_at_a_time_gives_what_an_open_batch_gives(rows: int, method: str) -> None:
    inputs = INPUTS[:rows]
    want = integrated_gradients(Reshapes(-1, 4), inputs, 0.0, 1, method=method, steps=20)
    found = integrated_gradients(Reshapes(1, 4), inputs, 0.0, 1, method=method, steps=20, chunk=1)
    np.testing.assert_allclose(found.values, want.values, rtol=1e-12)


@pytest.mark.parametrize("sizes", [(1, 4), (1, -1)])
def test_otherwise_the_error_says_why_and_what_to_do(sizes: tuple[int, ...]) -> None:
    module = Reshapes(*sizes)
    with pytest.raises(ModelError, match=r"batch size fixed in forward.*Give chunk=1"):
        integrated_gradients(module, INPUTS[:1], 0.0, 1)
    with pytest.raises(ModelError, match="batch size fixed in forward"):
        influence(Slice(module), 1, LinearPath(0.0, steps=4), INPUTS[:1])


def test_other_errors_are_left_alone() -> None:
    with pytest.raises(DataError, match="shapes cannot be multiplied"):
        integrated_gradients(nn.Linear(3, 2), torch.zeros(1, 4), 0.0, 1)
