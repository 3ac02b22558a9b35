"""The backward pass: lower bounds of linear forms, batched over subdomains × rows.

To bound ``a·y + d`` from below over a region, replace y by what computes it, last layer
first.  At an affine layer that is exact (``a ← Lᵀa``, ``d ← d + a·b``).  At an activation a
positive coefficient takes a lower line and a negative one the upper line.  What the region
says about a pre-activation (a pattern, a split) enters by Lagrange multipliers: over
``z ≥ t`` the form ``a·z`` is at least ``(a − β) z + β t`` for *any* β ≥ 0, over ``z ≤ t`` at
least ``(a + β) z − β t``, because the terms added are never positive in the region.  Input
constraints ``M x ≤ b`` enter the same way.  So every choice of lines and multipliers gives
a valid bound, and a better choice only a tighter one.  At the input box the form is
minimised corner by corner: ``a⁺ l + a⁻ u + d``.

Rounding: computed coefficients are taken as exact definitions.  What that leaves is bounded
by γ times the sum of |coefficient| × (largest value), accumulated along the way and
subtracted, so the bound holds for the real-valued network.  γ says nothing of products that
underflow; those lose at most TINY each in a coefficient, so ``TINY × Σ (largest value)``.

Where a layer's floats are not its constants, or a run in floats rounds, a value is what they
give plus an error of at most ``slack``; a form that meets it loses at most ``Σ |form| slack``.

Source: Zhang et al. 2018 (CROWN); Xu et al. 2021 (α); Wang et al. 2021 (β).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from precond.basics.shapes import Bool, Float
from precond.network.graph import INPUT, Network
from precond.network.layers import Node
from precond.network.operators import Operators
from precond.proof.bounds.lines import ActivationLines, LayerLines
from precond.proof.bounds.objective import Objective
from precond.proof.bounds.pools import PoolLines
from precond.proof.bounds.relaxed import (
    LayerMultipliers,
    over_box,
    through_activation,
    through_pool,
)
from precond.proof.bounds.rounding import TINY, UNIT, gamma
from precond.proof.limits import HalfSpaceTensors


@dataclass(frozen=True, eq=False)
class Multipliers:
    """The free choices of a pass, per decision layer; (G or 1, R or 1, m), β ≥ 0.

    ``alpha``: slopes of lower lines.  ``low``/``high``: β of ``z ≥ t`` and ``z ≤ t``.
    ``half``: multipliers (G or 1, R or 1, k) of the input constraints.
    """

    alpha: Mapping[str, Tensor] = field(default_factory=dict)
    low: Mapping[str, Tensor] = field(default_factory=dict)
    high: Mapping[str, Tensor] = field(default_factory=dict)
    half: Tensor | None = None

    def at(self, layer: str) -> LayerMultipliers:
        """Those of one layer."""
        return LayerMultipliers(self.alpha.get(layer), self.low.get(layer), self.high.get(layer))

    def changed(self, change: Callable[[Tensor], Tensor]) -> Multipliers:
        """With every tensor changed."""

        def each(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: change(value) for name, value in values.items()}

        half = None if self.half is None else change(self.half)
        return Multipliers(each(self.alpha), each(self.low), each(self.high), half=half)


@dataclass(frozen=True, eq=False)
class Region:
    """G subdomains as a backward pass needs them.

    ``lower``/``upper`` (G, n); ``lines`` per nonlinear node; ``constraints`` per decision
    layer: (G or 1, 1, m) low and high, ±inf where free; ``sizes`` per affine node
    (G or 1, *shape), ``|L| max|source| + |b|``: what their rounding scales with; ``floors``
    per affine node (G or 1, 1): what underflow of its products costs; ``half``: the input
    constraints, M (k, n) and b (k,); ``slacks`` per node (G or 1, 1, m): how far its values may
    be from what its floats give of what it reads.
    """

    ops: Operators
    lower: Float[Tensor, "subdomains inputs"]
    upper: Float[Tensor, "subdomains inputs"]
    lines: Mapping[str, LayerLines]
    constraints: Mapping[str, tuple[Tensor, Tensor]]
    sizes: Mapping[str, Tensor]
    floors: Mapping[str, Tensor]
    half: HalfSpaceTensors | None = None
    slacks: Mapping[str, Tensor] = field(default_factory=dict)

    def take(self, rows: Tensor | slice) -> Region:
        """The subdomains ``rows`` (a subdomain may be repeated)."""

        def pick(value: Tensor) -> Tensor:
            return value if value.shape[0] == 1 else value[rows]

        return replace(
            self,
            lower=self.lower[rows],
            upper=self.upper[rows],
            lines={name: lines.take(rows) for name, lines in self.lines.items()},
            constraints={n: (pick(low), pick(high)) for n, (low, high) in self.constraints.items()},
            sizes={name: pick(size) for name, size in self.sizes.items()},
            floors={name: pick(floor) for name, floor in self.floors.items()},
            slacks={name: pick(slack) for name, slack in self.slacks.items()},
        )


@dataclass(frozen=True, eq=False)
class Bound:
    """Result of a pass.

    ``value`` (G, R): rigorous lower bounds.  ``form`` (G, R, n) and ``constant`` (G, R): the
    linear form at the input whose minimum over the box ``value`` is (before rounding is
    subtracted).  ``coefficients``: per activation layer the form (G, R, m) that met it,
    kept when asked for.
    """

    value: Float[Tensor, "subdomains rows"]
    form: Float[Tensor, "subdomains rows inputs"]
    constant: Float[Tensor, "subdomains rows"]
    coefficients: dict[str, Float[Tensor, "subdomains rows _"]]

    def raised(self, other: Bound, better: Bool[Tensor, "subdomains rows"]) -> Bound:
        """``other`` in the rows where it is better."""
        return Bound(
            torch.where(better, other.value.detach(), self.value),
            torch.where(better.unsqueeze(-1), other.form.detach(), self.form),
            torch.where(better, other.constant.detach(), self.constant),
            coefficients=self.coefficients,
        )


NO_MULTIPLIERS = Multipliers()


def lower_bound(
    region: Region,
    objective: Objective,
    multipliers: Multipliers = NO_MULTIPLIERS,
    *,
    keep: bool = False,
    mix: Float[Tensor, "_ mixes rows"] | None = None,
) -> Bound:
    """Bound the rows of ``objective`` from below.

    With ``mix`` (G or 1, M, R) ≥ 0 the M weighted sums of the rows are bounded instead.
    ``keep``: say the ``coefficients``.  Differentiable in the multipliers and in ``mix``.
    """
    carried = _BackwardPass(region, objective, mix)
    coefficients: dict[str, Tensor] = {}
    for node in reversed(region.ops.network.nodes):
        if node.name not in carried.forms:
            continue
        form = carried.forms.pop(node.name)
        if node.name in region.slacks:
            slack = region.slacks[node.name].transpose(1, 2)
            carried.error = carried.error + torch.matmul(form.abs(), slack).squeeze(-1)
        if node.name in region.ops.affine:
            carried.affine(node, form)
        elif isinstance(lines := region.lines[node.name], PoolLines):
            carried.pool(node, form, lines)
        else:
            if keep:
                coefficients[node.name] = form
            carried.activation(node, form, lines, multipliers.at(node.name))
    value, form = carried.at_box(multipliers.half)
    return Bound(value, form, carried.total, coefficients=coefficients)


class _BackwardPass:
    """Forms on their way back, and what that may have rounded.

    ``forms`` (G, R, m): per node, the form that waits there.  ``total``: constants (G, R);
    ``mass``: of everything ever added to ``total``, what its rounding scales with.
    ``covered``: affine nodes whose rounding an activation has counted.
    """

    def __init__(self, region: Region, objective: Objective, mix: Tensor | None) -> None:
        self.region = region
        form, constant, inputs = objective.form, objective.constant, objective.inputs
        start_error: Tensor | float = 0.0
        if mix is not None:
            size = _size_at(region, objective.node)
            reach = (form.abs() @ size).squeeze(-1) + constant.abs()
            if inputs is not None:
                reach = reach + (inputs.abs() @ _largest(region)).squeeze(-1)
                inputs = mix @ inputs
            floor = TINY * form.shape[1] * size.sum(1)
            start_error = gamma(form.shape[1]) * (mix @ reach.unsqueeze(-1)).squeeze(-1) + floor
            constant = (mix @ constant.unsqueeze(-1)).squeeze(-1)
            form = mix @ form
        self.shape = region.lower.shape[0], form.shape[1]
        self.forms: dict[str, Tensor] = {objective.node: form.expand(*self.shape, -1)}
        if inputs is not None:
            self._add(INPUT, inputs.expand(*self.shape, -1))
        self.total = constant.expand(self.shape)
        self.mass = self.total.abs()
        self.error = self.mass * UNIT + start_error
        self.covered: set[str] = set()

    def affine(self, node: Node, form: Tensor) -> None:
        """Exact but for rounding: ``a ← Lᵀa``, ``d ← d + a·b``."""
        region, network = self.region, self.region.ops.network
        operator = region.ops.affine[node.name]
        flat = form.reshape(self.shape[0] * self.shape[1], *network.shapes[node.name])
        self._shift(operator.bias_dot(flat).reshape(self.shape))
        if node.name not in self.covered:
            size = region.sizes[node.name].flatten(1).unsqueeze(-1)
            loss = torch.matmul(form.abs(), size).squeeze(-1)
            terms = operator.terms + network.consumers[node.name] + most_readers(network, node)
            self.error = self.error + gamma(terms) * loss
        self.error = self.error + region.floors[node.name]
        for source, part in zip(node.inputs, operator.transpose(flat), strict=True):
            self._add(source, part.reshape(*self.shape, -1))

    def pool(self, node: Node, form: Tensor, lines: PoolLines) -> None:
        (source,) = node.inputs
        network = self.region.ops.network
        part, shift, loss = through_pool(
            lines, form, network.width(source), readers=most_readers(network, node)
        )
        self.error = self.error + loss
        self._shift(shift)
        self._add(source, part)

    def activation(
        self, node: Node, form: Tensor, lines: ActivationLines, chosen: LayerMultipliers
    ) -> None:
        """A line for each neuron; with the rounding of the affine layer that alone feeds it."""
        region, ops = self.region, self.region.ops
        (source,) = node.inputs
        weight = gamma(most_readers(ops.network, node)) * lines.size
        weight = weight + gamma(lines.size.shape[-1]) * lines.shift
        if source in ops.affine and ops.network.consumers[source] == 1:
            self.covered.add(source)
            size = region.sizes[source].flatten(1).unsqueeze(1)
            weight = weight + gamma(ops.affine[source].terms) * size
        constraint = region.constraints.get(node.name)
        part, shift, loss = through_activation(
            lines, form, weight, constraint=constraint, chosen=chosen
        )
        self.error = self.error + loss
        self._shift(shift)
        self._add(source, part)

    def at_box(self, half: Tensor | None) -> tuple[Tensor, Tensor]:
        """The bounds (G, R), and the forms at the input (G, R, n) whose minimum they are;
        ``half``: multipliers of the input constraints."""
        region = self.region
        form = self.forms.get(INPUT)
        if form is None:
            form = self.total.new_zeros(*self.shape, region.lower.shape[1])
        if region.half is not None and half is not None:
            matrix, bound = region.half
            weights = half.clamp(min=0.0).expand(*self.shape, -1)
            form = form + weights @ matrix
            self._shift(-(weights @ bound))
            self.error = self.error + gamma(len(bound)) * (
                (weights @ (matrix.abs() @ _largest(region))).squeeze(-1) + weights @ bound.abs()
            )
            self.error = self.error + TINY * len(bound) * _largest(region).sum(1)
        value, loss = over_box(form, region.lower, region.upper)
        rounded = gamma(4 * len(region.ops.network.nodes)) * (self.mass + value.abs())
        error = (self.error + loss + rounded) * (1 + 1e-9) + TINY
        return value + self.total - error, form

    def _shift(self, constant: Tensor) -> None:
        self.total, self.mass = self.total + constant, self.mass + constant.abs()

    def _add(self, name: str, part: Tensor) -> None:
        self.forms[name] = self.forms[name] + part if name in self.forms else part


def most_readers(network: Network, node: Node) -> int:
    """Of a value that ``node`` reads: its form is a sum of so many, which may cancel, so what that
    sum rounds is counted with every summand."""
    return max(network.consumers[source] for source in node.inputs)


def _largest(region: Region) -> Tensor:
    """Largest |x| per input, (G, n, 1)."""
    return torch.maximum(region.lower.abs(), region.upper.abs()).unsqueeze(-1)


def _size_at(region: Region, name: str) -> Tensor:
    """A bound of every |value| of a node, (G or 1, m, 1)."""
    if name == INPUT:
        return _largest(region)
    if name in region.sizes:
        return region.sizes[name].flatten(1).unsqueeze(-1)
    return region.lines[name].size.transpose(1, 2)
