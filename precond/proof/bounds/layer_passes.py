"""Backward passes for the values of a layer whose bounds may change an answer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from precond.basics.shapes import Bool
from precond.network.graph import INPUT
from precond.network.layers import Affine, Node
from precond.proof.bounds.backward import Bound, Region, lower_bound
from precond.proof.bounds.field_maps import fits
from precond.proof.bounds.field_pass import field_bounds
from precond.proof.bounds.half_spaces import half_bounds
from precond.proof.bounds.intervals import Interval
from precond.proof.bounds.layer_record import LayerRecord
from precond.proof.bounds.multipliers import improve
from precond.proof.bounds.objective import Objective
from precond.proof.bounds.row_multipliers import RowMultipliers
from precond.proof.bounds.wanted import wanted
from precond.proof.deadline import FOREVER, Deadline

CHUNK_BYTES = 256 << 20  # of one layer's linear forms in a pass, on a GPU
CACHE_BYTES = 1 << 20  # the same on a CPU
FIELD_ENTRIES = 64  # of a subdomain, from which on its passes go over receptive fields


@dataclass(frozen=True)
class LayerPasses:
    """What backward passes add to the intervals of layers: none with ``backward=False``.

    ``steps`` > 0 optimises the multipliers of every layer bound (slopes, and β of the pattern's
    literals), until ``deadline``: dear, and for hard claims worth it.  ``settled``: nonlinear
    nodes whose known bounds are taken as they are.  ``limits_last``: a layer's bounds are computed
    before what is said of that layer itself, which the result then has as ``unlimited``.
    ``half``: bounds of dense layers use the input constraints, the first layer's too; those that a
    certificate derives do not.  ``record``: told of optimised bounds of a single subdomain.
    ``multipliers``: where the passes optimise, what they come to is kept there; where they do not,
    they take those that are there.
    """

    backward: bool = True
    steps: int = 0
    deadline: Deadline = FOREVER
    settled: frozenset[str] = frozenset()
    limits_last: bool = False
    half: bool = False
    record: LayerRecord | None = None
    multipliers: RowMultipliers | None = None


INTERVALS = LayerPasses(backward=False)
ONE_PASS = LayerPasses()


def cuts_layer(region: Region, node: Node, passes: LayerPasses) -> bool:
    """Whether the input constraints may say more of what ``node`` reads than the box does: of
    sums of many inputs they do."""
    if region.half is None or not passes.half:
        return False
    before = region.ops.network.node.get(node.inputs[0])
    return before is not None and isinstance(before.layer, Affine)


def tighten(region: Region, node: Node, bounds: Interval, passes: LayerPasses) -> Interval:
    """Backward bounds of what nonlinear ``node`` reads, where they may change an answer."""
    name = node.inputs[0]
    shape = region.ops.network.shapes[name]
    flat = bounds[0].flatten(1).clone(), bounds[1].flatten(1).clone()
    for open_ in wanted(region.ops, node, flat, constrained=node.name in region.constraints):
        if not bool(open_.any()):
            continue
        plain = not passes.steps and not cuts_layer(region, node, passes)
        plain = plain and (passes.multipliers is None or name not in passes.multipliers)
        if plain and _by_fields(region, open_):
            _tighten_fields(region, name, flat, open_=open_, deadline=passes.deadline)
        else:
            _tighten_open(region, name, flat, open_=open_, passes=passes)
    return flat[0].reshape(-1, *shape), flat[1].reshape(-1, *shape)


def _by_fields(region: Region, open_: Bool[Tensor, "subdomains units"]) -> bool:
    """Whether passes over receptive fields, one subdomain after the other, are the faster ones:
    of few values in many subdomains they are not."""
    return fits(region) and (len(open_) == 1 or int(open_.sum()) >= FIELD_ENTRIES * len(open_))


def _tighten_fields(
    region: Region,
    name: str,
    bounds: Interval,
    open_: Bool[Tensor, "subdomains units"],
    deadline: Deadline,
) -> None:
    """The entries ``open_`` of one subdomain after the other, in place, over their receptive
    fields."""
    for g in open_.any(1).nonzero().squeeze(1).tolist():
        one = region if len(open_) == 1 else region.take(slice(g, g + 1))
        both = open_[g].nonzero().squeeze(1).repeat(2)
        signs = torch.ones_like(both)
        signs[len(both) // 2 :] = -1
        for rows, value in field_bounds(one, name, both, signs=signs, deadline=deadline):
            up = signs[rows] == 1
            above, below = both[rows[~up]], both[rows[up]]
            bounds[0][g, below] = _raised(bounds[0][g, below], value[up])
            bounds[1][g, above] = -_raised(-bounds[1][g, above], value[~up])


def _tighten_open(
    region: Region,
    name: str,
    bounds: Interval,
    open_: Bool[Tensor, "subdomains units"],
    passes: LayerPasses,
) -> None:
    """The entries ``open_``, in place."""
    lower, upper = bounds
    count = len(lower)
    widest = max(region.ops.network.width(n) for n in (INPUT, *region.ops.network.node))
    # Linear forms that fit the cache are worth more than long batches.
    size = CACHE_BYTES if lower.device.type == "cpu" else CHUNK_BYTES
    budget = max(2, size // (8 * widest))
    per_box = max(1, budget // (2 * max(1, int(open_.sum(1).amax()))))
    for start in range(0, count, per_box):
        if passes.deadline.passed:
            break
        boxes = slice(start, start + per_box)
        part = region if per_box >= count else region.take(boxes)
        _tighten_some(
            part,
            name,
            (lower[boxes], upper[boxes]),
            open_=open_[boxes],
            budget=budget,
            passes=passes,
        )


def _tighten_some(
    region: Region,
    name: str,
    bounds: Interval,
    open_: Bool[Tensor, "subdomains units"],
    *,
    budget: int,
    passes: LayerPasses,
) -> None:
    """Improve flat bounds (G, m) in place where ``open_``, ``budget`` rows at a time."""
    lower, upper = bounds
    count, width = lower.shape
    pairs = int(open_.sum())
    columns = open_.any(0).nonzero().squeeze(1)
    record, kept = passes.record if count == 1 else None, passes.multipliers
    if not pairs:
        return
    bounded = half_bounds if passes.half else lower_bound
    if count == 1 or pairs * 2 >= count * len(columns):
        for part in torch.split(columns, max(1, budget // (2 * count))):
            if passes.deadline.passed:
                return
            both = _signed_rows(part, width, lower)
            objective = Objective(name, both.unsqueeze(0), lower.new_zeros(1, len(both)))
            ends = lower[:, part], upper[:, part]
            if passes.steps and (record is None or name in record.layers):
                bound, used = improve(
                    region,
                    objective,
                    steps=passes.steps,
                    deadline=passes.deadline,
                    goal=torch.inf,
                )
                below, above = _ends(bound)
                if kept is not None and count == 1:
                    kept.keep(region, name, part, used)
                if record is not None:
                    below, above = record.enter(name, part, ends, found=(below, above), used=used)
            elif kept is not None and name in kept:
                below, above = _ends(
                    lower_bound(region, objective, kept.both(name, part, lower.dtype))
                )
            else:
                below, above = _ends(bounded(region, objective))
            lower[:, part] = _raised(ends[0], below)
            upper[:, part] = -_raised(-ends[1], -above)
        return
    owners, entries = open_.nonzero(as_tuple=True)
    for owner, entry in zip(
        torch.split(owners, max(1, budget // 2)),
        torch.split(entries, max(1, budget // 2)),
        strict=True,
    ):
        if passes.deadline.passed:
            return
        form = lower.new_zeros(len(owner), 2, width)
        index = torch.arange(len(owner), device=lower.device)
        form[index, 0, entry] = 1.0
        form[index, 1, entry] = -1.0
        objective = Objective(name, form, lower.new_zeros(1, 2))
        if kept is not None and name in kept:
            known = kept.pairs(name, entry, lower.dtype)
            bound = lower_bound(region.take(owner), objective, known)
        else:
            bound = bounded(region.take(owner), objective)
        lower[owner, entry] = _raised(lower[owner, entry], bound.value[:, 0])
        upper[owner, entry] = -_raised(-upper[owner, entry], bound.value[:, 1])


def _ends(bound: Bound) -> Interval:
    """Lower and upper bounds (G, k) of what rows +e_i, then −e_i, stand for."""
    below, above = torch.chunk(bound.value, 2, dim=1)
    return below, -above


def _raised(bound: Tensor, value: Tensor) -> Tensor:
    """The larger of two lower bounds; one that is no number, or overflowed, is none."""
    return torch.where((value > bound) & torch.isfinite(value), value, bound)


def _signed_rows(columns: Tensor, width: int, like: Tensor) -> Tensor:
    """+e_i for every column, then −e_i, (2k, width)."""
    rows = like.new_zeros(2 * len(columns), width)
    index = torch.arange(len(columns), device=like.device)
    rows[index, columns] = 1.0
    rows[index + len(columns), columns] = -1.0
    return rows
