"""The inequalities of a problem's conjuncts as tensors: the one form in which bounds, searches
and attacks read them.

``Rows`` stacks those of all conjuncts; ``Rows.own`` gives each of G subdomains the ones of its
own conjunct.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from precond.proof.claim import Problem


@dataclass(frozen=True, eq=False)
class Forms:
    """Row r is violated where ``form·y + inputs·x + constant`` is ≤ 0 (< 0 where ``strict``).

    ``form`` (R, outputs), ``inputs`` (R, n) or None, ``constant``, ``strict`` (R,); or with G
    before R, where each subdomain has rows of its own.
    """

    form: Tensor
    inputs: Tensor | None
    constant: Tensor
    strict: Tensor

    def margins(self, y: Tensor, x: Tensor) -> Tensor:
        """How far outputs y (…, N, outputs) of inputs x (…, N, n) are from violating, (…, N, R)."""
        value = y @ self.form.mT + self.constant.unsqueeze(-2)
        return value if self.inputs is None else value + x @ self.inputs.mT

    def violated(self, margin: Tensor) -> Tensor:
        """Which margins (…, N, R) violate their row."""
        return torch.where(self.strict.unsqueeze(-2), margin < 0, margin <= 0)

    def mixed(self, weights: Tensor) -> Forms:
        """Weighted sums of the rows, ``weights`` (…, M, R) ≥ 0; strict where all rows are."""
        inputs = None if self.inputs is None else weights @ self.inputs
        constant = (weights @ self.constant.unsqueeze(-1)).squeeze(-1)
        return Forms(
            weights @ self.form, inputs, constant, strict=weights.any(-1) & self.strict.all()
        )


@dataclass(frozen=True, eq=False)
class Rows(Forms):
    """Those of all conjuncts, one after another.

    ``owner`` (R,): the conjunct a row belongs to; ``all_strict`` (conjuncts,).
    """

    owner: Tensor
    conjuncts: int
    all_strict: Tensor

    @cached_property
    def padded(self) -> Tensor:
        """The numbers of each conjunct's rows (conjuncts, most), its first repeated at the end."""
        own = [(self.owner == k).nonzero().squeeze(1) for k in range(self.conjuncts)]
        most = max((len(rows) for rows in own), default=0)
        return torch.stack([torch.cat([r, r[:1].expand(most - len(r))]) for r in own])

    def size(self, conjunct: int) -> int:
        """How many rows a conjunct has."""
        return int((self.owner == conjunct).sum())

    def own(self, conjunct: Tensor) -> Forms:
        """The padded rows of one conjunct for each of G subdomains, ``conjunct`` (G,)."""
        return self._at(self.padded[conjunct])

    def only(self, row: int) -> Forms:
        """One row."""
        return self._at(torch.tensor([row], device=self.owner.device))

    def _at(self, index: Tensor) -> Forms:
        inputs = None if self.inputs is None else self.inputs[index]
        return Forms(self.form[index], inputs, self.constant[index], strict=self.strict[index])

    def any(self, flags: Tensor) -> Tensor:
        """Per conjunct (G, conjuncts): whether any of its rows is flagged (G, R)."""
        return self.sum(flags.to(torch.int32)) > 0

    def sum(self, value: Tensor) -> Tensor:
        """Per conjunct (G, conjuncts) the sum of its rows' values (G, R)."""
        result = value.new_zeros(len(value), self.conjuncts)
        return result.index_add(1, self.owner, value)

    def largest(self, value: Tensor) -> Tensor:
        """Per conjunct (G, conjuncts) the largest of its rows' values (G, R)."""
        result = value.new_full((len(value), self.conjuncts), -torch.inf)
        return result.scatter_reduce(1, self.owner.expand(len(value), -1), value, "amax")

    def best(self, bound: Tensor) -> Tensor:
        """``largest`` of bounds: one that overflowed to NaN is none."""
        return self.largest(bound.nan_to_num(nan=-torch.inf))

    def best_row(self, bound: Tensor, conjunct: Tensor) -> Tensor:
        """The row (G,) of a conjunct (G,) that bounds (G, R) best."""
        return bound.masked_fill(self.owner[None] != conjunct[:, None], -torch.inf).argmax(1)

    def spread(self, value: Tensor) -> Tensor:
        """Weights to start from, (G, conjuncts, R): most on a conjunct's best row."""
        own = torch.nn.functional.one_hot(self.owner, self.conjuncts).T.to(value.dtype)
        spread = own[None] * value[:, None, :].masked_fill(own[None] == 0, 0.0)
        best = spread.masked_fill(own[None] == 0, -torch.inf).argmax(-1, keepdim=True)
        weights = (0.1 * own / own.sum(1, keepdim=True))[None].expand(len(value), -1, -1).clone()
        weights.scatter_add_(2, best, torch.full_like(best, 0.9, dtype=value.dtype))
        return weights


def stack_rows(problem: Problem, device: str, dtype: torch.dtype = torch.float64) -> Rows:
    """The rows of every conjunct of ``problem``, one conjunct after another."""
    parts = [problem.rows(conjunct) for conjunct in ((), *problem.conjuncts)]

    def tensor(values: list[np.ndarray]) -> Tensor:
        return torch.tensor(np.concatenate(values), dtype=dtype, device=device)

    def whole(values: list[object], kind: torch.dtype) -> Tensor:
        return torch.tensor(values, dtype=kind, device=device)

    conjuncts = problem.conjuncts
    inputs = tensor([-e for _, e, _ in parts])
    return Rows(
        tensor([-c for c, _, _ in parts]),
        inputs if bool(inputs.any()) else None,
        tensor([d for _, _, d in parts]),
        strict=whole([i.strict for c in conjuncts for i in c], torch.bool),
        owner=whole([k for k, c in enumerate(conjuncts) for _ in c], torch.int64),
        conjuncts=len(conjuncts),
        all_strict=whole([all(i.strict for i in c) for c in conjuncts], torch.bool),
    )
