"""Bounds of every layer over a batch of subdomains: intervals first, then, for each neuron
whose sign they leave open, a backward pass; bounds are intersected, never replaced.

The result, a ``Refined``, is what the last backward pass, the LP encoding and the branching
all read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from precond.network.graph import INPUT
from precond.network.layers import LeakyReLU, MaxPool2d, ReLU
from precond.network.operators import Operators
from precond.proof.arithmetic import Arithmetic
from precond.proof.bounds.backward import Region, lower_bound
from precond.proof.bounds.execution import leaky_slack, roundings
from precond.proof.bounds.intervals import Interval, constants_slack, intersect, node_interval
from precond.proof.bounds.lines import Lines, activation_lines, pool_lines
from precond.proof.bounds.multipliers import improve
from precond.proof.bounds.relaxed import over_box
from precond.proof.bounds.rounding import TINY, UNIT
from precond.proof.deadline import Deadline
from precond.proof.gate import crossed

FOREVER = Deadline(float("inf"))
CHUNK_BYTES = 256 << 20  # of one layer's linear forms in a pass, on a GPU
CACHE_BYTES = 1 << 20  # the same on a CPU


@dataclass(frozen=True, eq=False)
class Refined:
    """A region with its layer bounds.

    ``bounds``: per nonlinear node the interval of the value it reads, flat (G, m).
    ``empty`` (G,): subdomains that no input can satisfy.
    """

    region: Region
    bounds: dict[str, tuple[Tensor, Tensor]]
    empty: Tensor


def refine(
    ops: Operators,
    lower: Tensor,
    upper: Tensor,
    constraints: Mapping[str, tuple[Tensor, Tensor]],
    *,
    half: tuple[Tensor, Tensor] | None = None,
    known: Mapping[str, tuple[Tensor, Tensor]] | None = None,
    backward: bool = True,
    steps: int = 0,
    deadline: Deadline = FOREVER,
    execution: Arithmetic = Arithmetic.REAL,
) -> Refined:
    """Bounds over ``[lower, upper]`` (G, n) cut by ``constraints`` (per decision layer
    (G or 1, m) low and high).

    ``known``: bounds that hold already (a parent's), per nonlinear node (G or 1, m).
    ``backward=False`` stops at intervals.  ``steps`` > 0 optimises the multipliers of every
    layer bound (slopes, and β of the pattern's literals), until ``deadline``: dear, and for
    hard claims worth it.  ``execution``: bounds and ``constraints`` are about the values that
    a run in this arithmetic computes, with every order of sums.
    """
    network = ops.network
    runs = execution is not Arithmetic.REAL
    rounded = roundings(network, str(ops.device), execution) if runs else {}
    slacks: dict[str, Tensor] = {}
    count = lower.shape[0]
    empty = torch.zeros(count, dtype=torch.bool, device=lower.device)
    if half is not None:
        least, loss = over_box(half[0].expand(count, -1, -1), lower, upper)
        empty |= crossed(least - loss - TINY, half[1]).any(1)
    limits = {
        name: (low.reshape(-1, 1, low.shape[-1]), high.reshape(-1, 1, high.shape[-1]))
        for name, (low, high) in constraints.items()
    }
    values: dict[str, Interval] = {
        INPUT: (lower.reshape(-1, *network.input_shape), upper.reshape(-1, *network.input_shape))
    }
    lines: dict[str, Lines] = {}
    sizes: dict[str, Tensor] = {}
    floors: dict[str, Tensor] = {}
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for node in network.nodes:
        sources = [values[source] for source in node.inputs]
        if node.name in ops.affine:
            reach = [torch.maximum(low.abs(), high.abs()) for low, high in sources]
            sizes[node.name] = ops.absolute[node.name].apply(reach)
            if (more := constants_slack(ops, node.name, reach)) is not None:
                sizes[node.name] = sizes[node.name] + more
                slacks[node.name] = more.flatten(1).unsqueeze(1)
            sums = [value.flatten(1).sum(1, keepdim=True) for value in reach]
            floors[node.name] = TINY * torch.stack(sums).sum(0)
            values[node.name] = node_interval(ops, node, sources)
            if node.name in rounded:
                slack = rounded[node.name].slack(sizes[node.name], reach)
                values[node.name] = _widened(values[node.name], slack)
                sizes[node.name] = sizes[node.name] + slack
                flat = slack.flatten(1).unsqueeze(1)
                slacks[node.name] = slacks[node.name] + flat if node.name in slacks else flat
            continue
        (source,) = node.inputs
        shape = network.shapes[source]
        bounds = values[source]
        cuts = [c for c in (limits.get(node.name), (known or {}).get(node.name)) if c is not None]
        for cut in cuts:
            bounds, none = intersect(bounds, cut, shape)
            empty |= none
        if backward and _depends_on_activation(ops, source):
            region = Region(
                ops,
                lower,
                upper,
                dict(lines),
                limits,
                dict(sizes),
                dict(floors),
                half,
                dict(slacks),
            )
            signs = not isinstance(node.layer, MaxPool2d)
            bounds = _tighten(region, source, bounds, signs, steps, deadline)
            for cut in cuts:
                bounds, none = intersect(bounds, cut, shape)
                empty |= none
            empty |= crossed(*bounds).flatten(1).any(1)
            bounds = (bounds[0], torch.maximum(*bounds))
        values[source] = bounds
        found[node.name] = (bounds[0].flatten(1), bounds[1].flatten(1))
        if isinstance(node.layer, ReLU | LeakyReLU):
            lines[node.name] = activation_lines(node.layer, *bounds)
        else:
            lines[node.name] = pool_lines(ops.windows[node.name], *bounds)
        values[node.name] = node_interval(ops, node, [bounds])
        if runs and isinstance(node.layer, LeakyReLU):
            slack = leaky_slack(node.layer, bounds[0], execution)
            values[node.name] = _widened(values[node.name], slack)
            slacks[node.name] = slack.flatten(1).unsqueeze(1)
    region = Region(ops, lower, upper, lines, limits, sizes, floors, half, slacks)
    return Refined(region, found, empty)


def _widened(bounds: Interval, slack: Tensor) -> Interval:
    more = slack * (1 + 4 * UNIT) + 4 * UNIT * torch.maximum(bounds[0].abs(), bounds[1].abs())
    return bounds[0] - more, bounds[1] + more


def _depends_on_activation(ops: Operators, name: str) -> bool:
    """Whether intervals are not already exact (up to dependencies) at ``name``."""
    if name not in ops.affine:
        return False
    network = ops.network
    return any(a in network.node and not network.is_affine(a) for a in network.ancestors[name])


def _tighten(
    region: Region,
    name: str,
    bounds: Interval,
    signs_only: bool,
    steps: int,
    deadline: Deadline,
) -> Interval:
    """Backward bounds of the entries whose sign is open (all, for a max-pool's input)."""
    lower, upper = (bound.flatten(1).clone() for bound in bounds)
    count = len(lower)
    open_ = (lower < 0) & (upper > 0) if signs_only else upper > lower
    if not bool(open_.any()):
        return bounds
    widest = max(region.ops.network.width(n) for n in (INPUT, *region.ops.network.node))
    # Linear forms that fit the cache are worth more than long batches.
    size = CACHE_BYTES if lower.device.type == "cpu" else CHUNK_BYTES
    budget = max(2, size // (8 * widest))
    per_box = max(1, budget // (2 * max(1, int(open_.sum(1).amax()))))
    for start in range(0, count, per_box):
        if deadline.passed:
            break
        boxes = slice(start, start + per_box)
        part = region if per_box >= count else region.take(boxes)
        _tighten_some(
            part, name, (lower[boxes], upper[boxes]), open_[boxes], budget, steps, deadline
        )
    shape = region.ops.network.shapes[name]
    return lower.reshape(count, *shape), upper.reshape(count, *shape)


def _tighten_some(
    region: Region,
    name: str,
    bounds: Interval,
    open_: Tensor,
    budget: int,
    steps: int,
    deadline: Deadline,
) -> None:
    """Improve flat bounds (G, m) in place where ``open_``, ``budget`` rows at a time."""
    lower, upper = bounds
    count, width = lower.shape
    pairs = int(open_.sum())
    columns = open_.any(0).nonzero().squeeze(1)
    if not pairs:
        return
    if count == 1 or pairs * 2 >= count * len(columns):
        for part in torch.split(columns, max(1, budget // (2 * count))):
            if deadline.passed:
                return
            both = _signed_rows(part, width, lower)
            form, constant = both.unsqueeze(0), lower.new_zeros(1, len(both))
            if steps:
                bound, _ = improve(
                    region, name, form, constant, steps=steps, deadline=deadline, goal=torch.inf
                )
            else:
                bound = lower_bound(region, name, form, constant)
            below, above = torch.split(bound.value, len(part), dim=1)
            lower[:, part] = torch.maximum(lower[:, part], below)
            upper[:, part] = torch.minimum(upper[:, part], -above)
        return
    owners, entries = open_.nonzero(as_tuple=True)
    for owner, entry in zip(
        torch.split(owners, max(1, budget // 2)),
        torch.split(entries, max(1, budget // 2)),
        strict=True,
    ):
        form = lower.new_zeros(len(owner), 2, width)
        index = torch.arange(len(owner), device=lower.device)
        form[index, 0, entry] = 1.0
        form[index, 1, entry] = -1.0
        bound = lower_bound(region.take(owner), name, form, lower.new_zeros(1, 2))
        lower[owner, entry] = torch.maximum(lower[owner, entry], bound.value[:, 0])
        upper[owner, entry] = torch.minimum(upper[owner, entry], -bound.value[:, 1])


def _signed_rows(columns: Tensor, width: int, like: Tensor) -> Tensor:
    """+e_i for every column, then −e_i, (2k, width)."""
    rows = like.new_zeros(2 * len(columns), width)
    index = torch.arange(len(columns), device=like.device)
    rows[index, columns] = 1.0
    rows[index + len(columns), columns] = -1.0
    return rows
