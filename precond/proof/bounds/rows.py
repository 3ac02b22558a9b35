"""All inequalities of all conjuncts, stacked, as one backward pass bounds them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from precond.proof.claim import Problem


@dataclass(frozen=True, eq=False)
class Rows:
    """Row r is violated where ``form·y + inputs·x + constant`` is ≤ 0 (< 0 where ``strict``).

    ``form`` (R, outputs), ``inputs`` (R, n) or None, ``constant``, ``strict`` (R,);
    ``owner`` (R,): the conjunct a row belongs to; ``all_strict`` (conjuncts,).
    """

    form: Tensor
    inputs: Tensor | None
    constant: Tensor
    strict: Tensor
    owner: Tensor
    conjuncts: int
    all_strict: Tensor

    def any(self, flags: Tensor) -> Tensor:
        """Per conjunct (G, conjuncts): whether any of its rows is flagged (G, R)."""
        result = torch.zeros(len(flags), self.conjuncts, dtype=torch.int32, device=flags.device)
        result.index_add_(1, self.owner, flags.to(torch.int32))
        return result > 0

    def best(self, value: Tensor) -> Tensor:
        """Per conjunct (G, conjuncts) the largest of its rows' values (G, R)."""
        result = value.new_full((len(value), self.conjuncts), -torch.inf)
        owner = self.owner.expand(len(value), -1)
        return result.scatter_reduce(1, owner, value.nan_to_num(nan=-torch.inf), "amax")

    def spread(self, value: Tensor) -> Tensor:
        """Weights to start from, (G, conjuncts, R): most on a conjunct's best row."""
        own = torch.nn.functional.one_hot(self.owner, self.conjuncts).T.to(value.dtype)
        spread = own[None] * value[:, None, :].masked_fill(own[None] == 0, 0.0)
        best = spread.masked_fill(own[None] == 0, -torch.inf).argmax(-1, keepdim=True)
        weights = (0.1 * own / own.sum(1, keepdim=True))[None].expand(len(value), -1, -1).clone()
        weights.scatter_add_(2, best, torch.full_like(best, 0.9, dtype=value.dtype))
        return weights


def stack_rows(problem: Problem, device: str) -> Rows:
    """The rows of every conjunct of ``problem``, one conjunct after another."""
    parts = [problem.rows(conjunct) for conjunct in problem.conjuncts]

    def tensor(values: list[np.ndarray]) -> Tensor:
        return torch.tensor(np.concatenate(values), dtype=torch.float64, device=device)

    inputs = tensor([-e for _, e, _ in parts])
    return Rows(
        tensor([-c for c, _, _ in parts]),
        inputs if bool(inputs.any()) else None,
        tensor([d for _, _, d in parts]),
        torch.tensor([i.strict for c in problem.conjuncts for i in c], device=device),
        torch.tensor([k for k, c in enumerate(problem.conjuncts) for _ in c], device=device),
        len(problem.conjuncts),
        torch.tensor([all(i.strict for i in c) for c in problem.conjuncts], device=device),
    )
