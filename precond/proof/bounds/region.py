"""Bounds of every layer over a batch of subdomains: intervals first, then backward
passes where they may change an answer (``wanted``); bounds are intersected, never replaced.

The result, a ``Refined``, is what the last backward pass, the LP encoding and the branching
all read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from precond.basics.shapes import Bool, Float
from precond.network.graph import INPUT
from precond.network.layers import LeakyReLU, Node, ReLU
from precond.network.operators import Operators
from precond.proof.arithmetic import Arithmetic
from precond.proof.bounds.backward import Region
from precond.proof.bounds.execution import leaky_slack, roundings
from precond.proof.bounds.intervals import Interval, constants_slack, intersect, node_interval
from precond.proof.bounds.layer_passes import (
    ONE_PASS,
    LayerPasses,
    cuts_layer,
    tighten,
)
from precond.proof.bounds.lines import LayerLines, activation_lines
from precond.proof.bounds.plain_sums import plain_sums
from precond.proof.bounds.pools import pool_lines
from precond.proof.bounds.relaxed import over_box
from precond.proof.bounds.rounding import TINY, UNIT
from precond.proof.gate import crossed
from precond.proof.limits import NO_LIMITS, LayerBounds, Limits


@dataclass(frozen=True, eq=False)
class Refined:
    """A region with its layer bounds.

    ``bounds``: per nonlinear node the interval of the value it reads, flat (G, m).
    ``empty`` (G,): subdomains that no input can satisfy.  ``unlimited``: as ``bounds``, without
    what is said of the node itself, where the passes are asked for it.
    """

    region: Region
    bounds: dict[str, tuple[Tensor, Tensor]]
    empty: Bool[Tensor, " subdomains"]
    unlimited: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)


def refine(
    ops: Operators,
    lower: Float[Tensor, "subdomains inputs"],
    upper: Float[Tensor, "subdomains inputs"],
    limits: Limits = NO_LIMITS,
    *,
    known: LayerBounds | None = None,
    passes: LayerPasses = ONE_PASS,
    execution: Arithmetic = Arithmetic.REAL,
) -> Refined:
    """Bounds over ``[lower, upper]`` (G, n) cut by ``limits``.

    ``known``: bounds that hold already (a parent's), per nonlinear node (G or 1, m).
    ``execution``: bounds and ``limits`` are about the values that a run in this arithmetic
    computes, with every order of sums.
    """
    state = _Refinement(ops, (lower, upper), limits, execution=execution)
    with plain_sums(str(ops.device)):
        for node in ops.network.nodes:
            if node.name in ops.affine:
                state.affine(node)
            else:
                state.nonlinear(node, (known or {}).get(node.name), passes)
    return Refined(state.region, state.bounds, state.empty, unlimited=state.unlimited)


class _Refinement:
    """From the input on, node after node; ``region`` is what is known of it so far."""

    def __init__(
        self, ops: Operators, box: tuple[Tensor, Tensor], limits: Limits, execution: Arithmetic
    ) -> None:
        self.ops = ops
        self.network = ops.network
        self.execution = execution
        self.runs = execution is not Arithmetic.REAL
        self.rounded = roundings(self.network, str(ops.device), execution) if self.runs else {}
        lower, upper = box
        self.empty = torch.zeros(len(lower), dtype=torch.bool, device=lower.device)
        if limits.half is not None:
            least, loss = over_box(limits.half[0].expand(len(lower), -1, -1), lower, upper)
            self.empty |= crossed(least - loss - TINY, limits.half[1]).any(1)
        self.limits = limits.layers
        self.values: dict[str, Interval] = {
            INPUT: (
                lower.reshape(-1, *self.network.input_shape),
                upper.reshape(-1, *self.network.input_shape),
            )
        }
        self.bounds: dict[str, tuple[Tensor, Tensor]] = {}
        self.unlimited: dict[str, tuple[Tensor, Tensor]] = {}
        self.lines: dict[str, LayerLines] = {}
        self.sizes: dict[str, Tensor] = {}
        self.floors: dict[str, Tensor] = {}
        self.slacks: dict[str, Tensor] = {}
        self.region = Region(
            ops,
            lower,
            upper,
            lines=self.lines,
            constraints={
                name: (low.reshape(-1, 1, low.shape[-1]), high.reshape(-1, 1, high.shape[-1]))
                for name, (low, high) in limits.layers.items()
            },
            sizes=self.sizes,
            floors=self.floors,
            half=limits.half,
            slacks=self.slacks,
        )

    def affine(self, node: Node) -> None:
        """Its interval, and what its rounding scales with."""
        name, ops = node.name, self.ops
        sources = [self.values[source] for source in node.inputs]
        reach = [torch.maximum(low.abs(), high.abs()) for low, high in sources]
        size = ops.absolute[name].apply(reach)
        if (more := constants_slack(ops, name, reach)) is not None:
            size = size + more
            self._add_slack(name, more)
        sums = [value.flatten(1).sum(1, keepdim=True) for value in reach]
        self.floors[name] = TINY * torch.stack(sums).sum(0)
        self.values[name] = node_interval(ops, node, sources)
        if name in self.rounded:
            slack = self.rounded[name].slack(size, reach)
            self.values[name] = _widened(self.values[name], slack)
            size = size + slack
            self._add_slack(name, slack)
        self.sizes[name] = size

    def nonlinear(
        self, node: Node, known: tuple[Tensor, Tensor] | None, passes: LayerPasses
    ) -> None:
        """Bounds of what it reads, tightened, and the lines over them."""
        (source,) = node.inputs
        cuts = [cut for cut in (self.limits.get(node.name), known) if cut is not None]
        early = [cut for cut in (known,) if cut is not None] if passes.limits_last else cuts
        bounds = self._cut(source, self.values[source], early)
        settled = node.name in passes.settled
        loose = source in self.network.loose or cuts_layer(self.region, node, passes)
        tightens = passes.backward and not settled and loose
        if tightens:
            bounds = tighten(self.region, node, bounds, passes=passes)
        if passes.limits_last:
            self.unlimited[node.name] = (bounds[0].flatten(1), bounds[1].flatten(1))
        if passes.limits_last or tightens:
            bounds = self._cut(source, bounds, cuts)
            self.empty |= crossed(*bounds).flatten(1).any(1)
            bounds = (bounds[0], torch.maximum(*bounds))
        self.values[source] = bounds
        self.bounds[node.name] = (bounds[0].flatten(1), bounds[1].flatten(1))
        if isinstance(node.layer, ReLU | LeakyReLU):
            self.lines[node.name] = activation_lines(node.layer, *bounds)
        else:
            self.lines[node.name] = pool_lines(self.ops.windows[node.name], *bounds)
        self.values[node.name] = node_interval(self.ops, node, [bounds])
        if self.runs and isinstance(node.layer, LeakyReLU):
            slack = leaky_slack(node.layer, bounds[0], self.execution)
            self.values[node.name] = _widened(self.values[node.name], slack)
            self._add_slack(node.name, slack)

    def _cut(
        self, source: str, bounds: Interval, cuts: Sequence[tuple[Tensor, Tensor]]
    ) -> Interval:
        for cut in cuts:
            bounds, none = intersect(bounds, cut, self.network.shapes[source])
            self.empty |= none
        return bounds

    def _add_slack(self, name: str, slack: Tensor) -> None:
        flat = slack.flatten(1).unsqueeze(1)
        self.slacks[name] = self.slacks[name] + flat if name in self.slacks else flat


def _widened(bounds: Interval, slack: Tensor) -> Interval:
    more = slack * (1 + 4 * UNIT) + 4 * UNIT * torch.maximum(bounds[0].abs(), bounds[1].abs())
    return bounds[0] - more, bounds[1] + more
