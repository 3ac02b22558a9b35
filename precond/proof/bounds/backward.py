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
from dataclasses import dataclass, field

import torch
from torch import Tensor

from precond.network.graph import INPUT
from precond.network.operators import Operators
from precond.proof.bounds.lines import Lines, PoolLines
from precond.proof.bounds.relaxed import Choice, over_box, through_activation, through_pool
from precond.proof.bounds.rounding import TINY, UNIT, gamma


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

    def at(self, layer: str) -> Choice:
        """Those of one layer."""
        return Choice(self.alpha.get(layer), self.low.get(layer), self.high.get(layer))

    def changed(self, change: Callable[[Tensor], Tensor]) -> Multipliers:
        """With every tensor changed."""

        def each(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: change(value) for name, value in values.items()}

        half = None if self.half is None else change(self.half)
        return Multipliers(each(self.alpha), each(self.low), each(self.high), half)


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
    lower: Tensor
    upper: Tensor
    lines: Mapping[str, Lines]
    constraints: Mapping[str, tuple[Tensor, Tensor]]
    sizes: Mapping[str, Tensor]
    floors: Mapping[str, Tensor]
    half: tuple[Tensor, Tensor] | None = None
    slacks: Mapping[str, Tensor] = field(default_factory=dict)

    def take(self, rows: Tensor | slice) -> Region:
        """The subdomains ``rows`` (a subdomain may be repeated)."""

        def pick(value: Tensor) -> Tensor:
            return value if value.shape[0] == 1 else value[rows]

        return Region(
            self.ops,
            self.lower[rows],
            self.upper[rows],
            {name: lines.take(rows) for name, lines in self.lines.items()},
            {name: (pick(lo), pick(hi)) for name, (lo, hi) in self.constraints.items()},
            {name: pick(size) for name, size in self.sizes.items()},
            {name: pick(floor) for name, floor in self.floors.items()},
            self.half,
            {name: pick(slack) for name, slack in self.slacks.items()},
        )


@dataclass(frozen=True, eq=False)
class Bound:
    """Result of a pass.

    ``value`` (G, R): rigorous lower bounds.  ``form`` (G, R, n) and ``constant`` (G, R): the
    linear form at the input whose minimum over the box ``value`` is (before rounding is
    subtracted).  ``coefficients``: per activation layer the form (G, R, m) that met it,
    kept when asked for.
    """

    value: Tensor
    form: Tensor
    constant: Tensor
    coefficients: dict[str, Tensor]


NO_MULTIPLIERS = Multipliers()


def lower_bound(
    region: Region,
    start: str,
    form: Tensor,
    constant: Tensor,
    multipliers: Multipliers = NO_MULTIPLIERS,
    input_form: Tensor | None = None,
    keep: bool = False,
    mix: Tensor | None = None,
) -> Bound:
    """Bound ``form · value(start) + input_form · x + constant`` from below.

    ``form`` (G or 1, R, width of start), ``constant`` (G or 1, R), ``input_form``
    (G or 1, R, n).  With ``mix`` (G or 1, M, R) ≥ 0 the M weighted sums of the rows are
    bounded instead.  Differentiable in the multipliers and in ``mix``.
    """
    ops = region.ops
    network = ops.network
    count = region.lower.shape[0]
    start_error: Tensor | float = 0.0
    if mix is not None:
        reach = (form.abs() @ _size_at(region, start)).squeeze(-1) + constant.abs()
        if input_form is not None:
            reach = reach + (input_form.abs() @ _largest(region)).squeeze(-1)
            input_form = mix @ input_form
        floor = TINY * form.shape[1] * _size_at(region, start).sum(1)
        start_error = gamma(form.shape[1]) * (mix @ reach.unsqueeze(-1)).squeeze(-1) + floor
        constant = (mix @ constant.unsqueeze(-1)).squeeze(-1)
        form = mix @ form
    rows = form.shape[1]
    forms: dict[str, Tensor] = {start: form.expand(count, rows, -1)}
    total = constant.expand(count, rows)
    mass = total.abs()  # of everything ever added to ``total``: what its rounding scales with
    error = mass * UNIT + start_error
    kept: dict[str, Tensor] = {}
    covered: set[str] = set()  # affine nodes whose rounding an activation has counted
    if input_form is not None:
        forms[INPUT] = input_form.expand(count, rows, -1)
        if start == INPUT:
            forms[INPUT] = forms[INPUT] + form
    for node in reversed(network.nodes):
        if node.name not in forms:
            continue
        current = forms.pop(node.name)
        shape = network.shapes[node.name]
        if node.name in region.slacks:
            slack = region.slacks[node.name].transpose(1, 2)
            error = error + torch.matmul(current.abs(), slack).squeeze(-1)
        if node.name in ops.affine:
            operator = ops.affine[node.name]
            flat = current.reshape(count * rows, *shape)
            shift = operator.bias_dot(flat).reshape(count, rows)
            total, mass = total + shift, mass + shift.abs()
            if node.name not in covered:
                size = region.sizes[node.name].flatten(1).unsqueeze(-1)
                loss = torch.matmul(current.abs(), size).squeeze(-1)
                terms = operator.terms + network.consumers[node.name]
                error = error + gamma(terms) * loss
            error = error + region.floors[node.name]
            for source, part in zip(node.inputs, operator.transpose(flat), strict=True):
                _add(forms, source, part.reshape(count, rows, -1))
            continue
        lines = region.lines[node.name]
        (source,) = node.inputs
        if isinstance(lines, PoolLines):
            part, shift = through_pool(lines, current, network.width(source))
            loss = torch.matmul(current.abs(), lines.size.transpose(1, 2)).squeeze(-1)
            error = error + gamma(lines.top.shape[-1]) * loss
        else:
            if keep:
                kept[node.name] = current
            weight = 8 * UNIT * lines.size + gamma(lines.size.shape[-1]) * lines.shift
            before = None
            if source in ops.affine and network.consumers[source] == 1:
                covered.add(source)
                size = region.sizes[source].flatten(1).unsqueeze(1)
                before = gamma(ops.affine[source].terms) * size
                weight = weight + before
            part, shift, loss = through_activation(
                lines,
                current,
                weight,
                before,
                region.constraints.get(node.name),
                multipliers.at(node.name),
            )
            error = error + loss
        total, mass = total + shift, mass + shift.abs()
        _add(forms, source, part)
    at_input = forms.get(INPUT)
    if at_input is None:
        at_input = total.new_zeros(count, rows, region.lower.shape[1])
    if region.half is not None and multipliers.half is not None:
        matrix, bound = region.half
        weights = multipliers.half.clamp(min=0.0).expand(count, rows, -1)
        at_input = at_input + weights @ matrix
        shift = weights @ bound
        total, mass = total - shift, mass + shift.abs()
        error = error + gamma(len(bound)) * (
            (weights @ (matrix.abs() @ _largest(region))).squeeze(-1) + weights @ bound.abs()
        )
        error = error + TINY * len(bound) * _largest(region).sum(1)
    value, loss = over_box(at_input, region.lower, region.upper)
    depth = 4 * len(network.nodes)
    error = (error + loss + gamma(depth) * (mass + value.abs())) * (1 + 1e-9) + TINY
    return Bound(value + total - error, at_input, total, kept)


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


def _add(forms: dict[str, Tensor], name: str, part: Tensor) -> None:
    forms[name] = forms[name] + part if name in forms else part
