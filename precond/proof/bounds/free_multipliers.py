"""The multipliers of every row of every subdomain, as Adam moves them.

β are measured in units of the coefficients that meet their layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from precond.basics.shapes import Float
from precond.proof.bounds.adam import Adam
from precond.proof.bounds.backward import NO_MULTIPLIERS, Multipliers, Region
from precond.proof.bounds.lines import ActivationLines

Store = dict[str, Tensor]


class FreeMultipliers:
    """Slopes of the activation ``layers``, β of their constraints and of the half-spaces.

    ``shape``: subdomains and rows.  ``units`` of β may come later.  ``others``: what else Adam
    moves.  All start as a pass without multipliers has them, or as in ``initial``.
    """

    def __init__(
        self,
        region: Region,
        shape: tuple[int, int],
        layers: Iterable[str],
        *,
        units: Mapping[str, Tensor] | None = None,
        initial: Multipliers = NO_MULTIPLIERS,
        others: Sequence[Tensor] = (),
    ) -> None:
        self.region = region
        self.units = dict(units or {})
        self.alpha: Store = {}
        self.low: Store = {}
        self.high: Store = {}
        self.half: Tensor | None = None
        for name in layers:
            lines = self._lines(name)
            zeros = lines.low.new_zeros(*shape, lines.low.shape[-1])
            if bool(lines.free.any()):
                self.alpha[name] = _moving(initial.alpha.get(name, lines.low), zeros)
            for store, begin, bound in zip(
                (self.low, self.high),
                (initial.low, initial.high),
                region.constraints.get(name, ()),
                strict=False,
            ):
                if bool(torch.isfinite(bound).any()):
                    given = begin[name] / self.units[name] if name in begin else zeros
                    store[name] = _moving(given, zeros)
        if region.half is not None:
            zeros = region.lower.new_zeros(*shape, len(region.half[1]))
            self.half = _moving(zeros if initial.half is None else initial.half, zeros)
        self.positive = [*self.low.values(), *self.high.values()]
        if self.half is not None:
            self.positive.append(self.half)
        self.parameters = [*others, *self.alpha.values(), *self.positive]
        self.adam = Adam(self.parameters)

    def multipliers(self) -> Multipliers:
        """As they are now; differentiable."""

        def scaled(store: Store) -> Store:
            return {n: v * self.units[n] if n in self.units else v for n, v in store.items()}

        return Multipliers(self.alpha, scaled(self.low), scaled(self.high), half=self.half)

    def default(self) -> Multipliers:
        """Those of a pass that is given none, in the same shapes."""

        def zeros(store: Store) -> Store:
            return {name: torch.zeros_like(v, requires_grad=False) for name, v in store.items()}

        alpha = {name: self._lines(name).low.expand_as(v) for name, v in self.alpha.items()}
        half = None if self.half is None else torch.zeros_like(self.half, requires_grad=False)
        return Multipliers(alpha, zeros(self.low), zeros(self.high), half=half)

    @torch.no_grad()
    def move(self, slopes: Sequence[Tensor | None], rate: float) -> None:
        """One step upwards, back into what is allowed."""
        self.adam.step(slopes, rate)
        for name, value in self.alpha.items():
            value.clamp_(self._lines(name).slope, 1.0)
        for value in self.positive:
            value.clamp_(min=0.0)

    def _lines(self, name: str) -> ActivationLines:
        lines = self.region.lines[name]
        assert isinstance(lines, ActivationLines)
        return lines


def sizes(
    coefficients: Mapping[str, Float[Tensor, "subdomains rows _"]], layers: Iterable[str]
) -> Store:
    """Mean |coefficient| of each row at each of the layers it met, (G, R, 1)."""
    return {
        name: coefficients[name].detach().abs().mean(-1, keepdim=True).clamp(min=1e-12)
        for name in layers
        if name in coefficients
    }


def _moving(begin: Tensor, like: Tensor) -> Tensor:
    return begin.expand_as(like).clone().requires_grad_()
